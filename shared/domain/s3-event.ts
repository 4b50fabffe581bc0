/** An object that an event says has been created. By the time it is read the object may be another version, or gone. */
export interface CreatedObject {
  readonly bucket: string;
  readonly key: string;
}

/** Wrappers around an event: SNS's text in EventBridge's array is two, and nobody sends more than a few. */
const MAX_WRAPPERS = 10;

/** Thrown text of `parseS3Event`: why a message can't be read. */
export class UnreadableEvent extends Error {}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * Reads an S3 event notification in any of the shapes in which it may reach the queue: as S3 sends it (`Records`),
 * wrapped by SNS (`Message` holds it as text), as EventBridge shapes it (`source: aws.s3`), or several of them in one
 * array.
 *
 * @returns the objects created; empty for S3's test event and for events of other kinds, such as removals.
 * @throws {UnreadableEvent} when the message is none of these.
 */
export function parseS3Event(message: unknown): readonly CreatedObject[] {
  return parseWrapped(message, 0);
}

function parseWrapped(message: unknown, wrappers: number): readonly CreatedObject[] {
  if (wrappers > MAX_WRAPPERS) throw new UnreadableEvent(`It has more than ${MAX_WRAPPERS} wrappers`);
  const json = typeof message === 'string' ? parseText(message) : (message as Json);
  if (Array.isArray(json)) return json.flatMap((each) => parseWrapped(each, wrappers + 1));
  const event = asRecord(json, 'The message');
  if (Array.isArray(event['Records']))
    return event['Records'].flatMap((record) => fromRecord(asRecord(record, 'Records[]')));
  if (typeof event['Message'] === 'string' && ('TopicArn' in event || 'Type' in event))
    return parseWrapped(event['Message'], wrappers + 1);
  if (event['Event'] === 's3:TestEvent') return [];
  if (event['source'] === 'aws.s3') return fromEventBridge(event);
  throw new UnreadableEvent(
    'It has neither `Records` (S3), nor `Message` (SNS), nor `source: aws.s3` (EventBridge)',
  );
}

function parseText(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw new UnreadableEvent('It is not JSON');
  }
}

function fromRecord(record: Record<string, Json>): readonly CreatedObject[] {
  const eventName = record['eventName'];
  if (typeof eventName !== 'string') throw new UnreadableEvent('A record has no `eventName`');
  if (!/^(s3:)?ObjectCreated:/.test(eventName)) return [];
  const s3 = asRecord(record['s3'], '`s3` of a record');
  const bucket = asRecord(s3['bucket'], '`s3.bucket` of a record')['name'];
  const key = asRecord(s3['object'], '`s3.object` of a record')['key'];
  // S3's own notifications URL-encode the key, with `+` for a space; EventBridge does not.
  return [created(bucket, typeof key === 'string' ? decodeKey(key) : key)];
}

function fromEventBridge(event: Record<string, Json>): readonly CreatedObject[] {
  if (event['detail-type'] !== 'Object Created') return [];
  const detail = asRecord(event['detail'], '`detail`');
  return [
    created(
      asRecord(detail['bucket'], '`detail.bucket`')['name'],
      asRecord(detail['object'], '`detail.object`')['key'],
    ),
  ];
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    throw new UnreadableEvent('The key of a record is not URL-encoded');
  }
}

function created(bucket: Json | undefined, key: Json | undefined): CreatedObject {
  if (typeof bucket !== 'string' || bucket === '') throw new UnreadableEvent('An event has no bucket name');
  if (typeof key !== 'string' || key === '') throw new UnreadableEvent('An event has no object key');
  return { bucket, key };
}

function asRecord(json: Json | undefined, what: string): Record<string, Json> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new UnreadableEvent(`${what} is not an object`);
  return json;
}
