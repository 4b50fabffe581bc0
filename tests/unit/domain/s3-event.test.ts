import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseS3Event, UnreadableEvent } from '../../../shared/domain/s3-event.ts';

const record = (key: string, eventName = 'ObjectCreated:Put', bucket = 'demo') => ({
  eventVersion: '2.1',
  eventSource: 'aws:s3',
  eventName,
  s3: { bucket: { name: bucket, arn: `arn:aws:s3:::${bucket}` }, object: { key, size: 10, eTag: 'abc' } },
});
const notification = (...keys: string[]) => ({ Records: keys.map((key) => record(key)) });
const wrapped = (message: unknown) => ({
  Type: 'Notification',
  TopicArn: 'arn:aws:sns:us-east-1:123:topic',
  Message: JSON.stringify(message),
});
const eventBridge = (key: string, detailType = 'Object Created') => ({
  version: '0',
  source: 'aws.s3',
  'detail-type': detailType,
  detail: { bucket: { name: 'demo' }, object: { key, size: 10 } },
});
const keysOf = (message: unknown) => parseS3Event(message).map(({ key }) => key);

/** As S3 encodes a key in a notification: like a form, so a space is `+`. */
const encodeAsS3 = (key: string) => encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/');

describe('parseS3Event', () => {
  test('reads a notification of S3, as an object and as text', () => {
    const expected = [
      { bucket: 'demo', key: 'in/a.csv' },
      { bucket: 'demo', key: 'in/b.csv' },
    ];
    expect(parseS3Event(notification('in/a.csv', 'in/b.csv'))).toEqual(expected);
    expect(parseS3Event(JSON.stringify(notification('in/a.csv', 'in/b.csv')))).toEqual(expected);
  });

  test('reads one that SNS has wrapped, and one of EventBridge', () => {
    expect(keysOf(wrapped(notification('in/a.csv')))).toEqual(['in/a.csv']);
    expect(keysOf(eventBridge('in/a.csv'))).toEqual(['in/a.csv']);
    expect(keysOf(wrapped(eventBridge('in/a.csv')))).toEqual(['in/a.csv']);
    expect(keysOf([notification('a'), wrapped(notification('b')), eventBridge('c')])).toEqual([
      'a',
      'b',
      'c',
    ]);
  });

  test.each([
    ['in/my+file.csv', 'in/my file.csv'],
    ['in/a%2Bb.csv', 'in/a+b.csv'],
    ['in/100%25.csv', 'in/100%.csv'],
    ['in/%C3%A9.csv', 'in/é.csv'],
    ['date%3D2026-01-01/a.csv', 'date=2026-01-01/a.csv'],
  ])('decodes the key %s of S3, and leaves that of EventBridge as it is', (encoded, key) => {
    expect(keysOf(notification(encoded))).toEqual([key]);
    expect(keysOf(eventBridge(encoded))).toEqual([encoded]);
  });

  test('gives back any key, whichever way it came', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (key) => {
        expect(keysOf(notification(encodeAsS3(key)))).toEqual([key]);
        expect(keysOf(wrapped(notification(encodeAsS3(key))))).toEqual([key]);
        expect(keysOf(eventBridge(key))).toEqual([key]);
      }),
    );
  });

  test('finds nothing in the test event and in events of other kinds', () => {
    const testEvent = { Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'demo' };
    expect(parseS3Event(testEvent)).toEqual([]);
    expect(parseS3Event(wrapped(testEvent))).toEqual([]);
    expect(parseS3Event({ Records: [] })).toEqual([]);
    expect(
      parseS3Event({
        Records: [record('a', 'ObjectRemoved:Delete'), record('b', 'ObjectRestore:Completed')],
      }),
    ).toEqual([]);
    expect(parseS3Event(eventBridge('a', 'Object Deleted'))).toEqual([]);
  });

  test('takes the created ones out of a mixture', () => {
    expect(
      keysOf({
        Records: [
          record('a', 'ObjectRemoved:Delete'),
          record('b', 'ObjectCreated:Copy'),
          record('c', 's3:ObjectCreated:CompleteMultipartUpload'),
        ],
      }),
    ).toEqual(['b', 'c']);
  });

  test.each<[string, unknown, string]>([
    ['text that is no JSON', 'hello', 'not JSON'],
    ['a number', 7, 'not an object'],
    ['nothing', undefined, 'not an object'],
    ['null', null, 'not an object'],
    ['arrays in arrays without end', `${'['.repeat(6000)}${']'.repeat(6000)}`, 'wrappers'],
    ['another object', { hello: 1 }, 'neither'],
    [
      'SNS asking to confirm',
      { Type: 'SubscriptionConfirmation', TopicArn: 'arn', Message: 'You have chosen to subscribe' },
      'not JSON',
    ],
    ['a record without a name', { Records: [{ s3: {} }] }, 'eventName'],
    ['a record without S3', { Records: [{ eventName: 'ObjectCreated:Put' }] }, 's3'],
    ['a record that is none', { Records: [null] }, 'not an object'],
    ['no bucket', { Records: [record('a', 'ObjectCreated:Put', '')] }, 'bucket'],
    ['no key', notification(''), 'key'],
    ['a key that is not encoded', notification('100%.csv'), 'URL-encoded'],
    ['EventBridge without detail', { source: 'aws.s3', 'detail-type': 'Object Created' }, 'detail'],
  ])('refuses %s and says why', (_, message, why) => {
    expect(() => parseS3Event(message)).toThrow(UnreadableEvent);
    expect(() => parseS3Event(message)).toThrow(why);
  });

  test('reads or refuses any JSON; nothing else is thrown', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        try {
          parseS3Event(json);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(UnreadableEvent);
        }
      }),
    );
  });
});

test.each([12, 30_000, 500_000])(
  'lists nested by the ten thousand are put aside, not followed: %i',
  (depth) => {
    expect(() => parseS3Event(`${'['.repeat(depth)}${']'.repeat(depth)}`)).toThrow(UnreadableEvent);
  },
);
