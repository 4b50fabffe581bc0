import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { applyBeforeRequest, isReset, limitsOf } from './control/apply-faults.ts';
import { answerControl, controlPath } from './control/control-endpoint.ts';
import type { FaultAction } from './control/fault-rule.ts';
import type { Faults } from './control/faults.ts';
import type { RequestCounters } from './control/request-counters.ts';
import type { LocalCredentials } from './credentials.ts';
import type { Reply, S3Call } from './operations/call.ts';
import { nameOperation } from './operations/operation-name.ts';
import { addHoistedHeaders, refuseUnknownHeaders } from './operations/request-headers.ts';
import { publicOperations, supportedOperations } from './operations/supported-operations.ts';
import { authenticate } from './protocol/authenticate.ts';
import { notImplemented, S3Error } from './protocol/errors.ts';
import { openRequestBody, readSmallBody } from './protocol/request-body.ts';
import { parseRequestTarget } from './protocol/request-target.ts';
import { parent, renderXml, text } from './protocol/xml.ts';
import { sendReply } from './send-reply.ts';
import type { ObjectStore } from './store/object-store.ts';

/** Operations that read their own body; all others have none that matters. */
const operationsWithBody: ReadonlySet<string> = new Set([
  'CompleteMultipartUpload',
  'CreateBucket',
  'DeleteObjects',
  'PutBucketAcl',
  'PutBucketTagging',
  'PutBucketVersioning',
  'PutObject',
  'PutObjectAcl',
  'PutObjectTagging',
  'UploadPart',
]);
const maxIgnoredBodyBytes = 1024 * 1024;
const maxHeaderBytes = 8 * 1024;

export interface EndpointState {
  readonly store: ObjectStore;
  readonly credentials: readonly LocalCredentials[];
  readonly region: string;
  readonly publicBuckets: ReadonlySet<string>;
  readonly requesterPaysBuckets: ReadonlySet<string>;
  readonly clock: () => Date;
  readonly uploadIdleMs: number;
  readonly faults: Faults;
  readonly counters: RequestCounters;
  readonly stopped: AbortSignal;
}

interface Exchange {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly expectsContinue: boolean;
}

/** Answers one HTTP request, whatever it is; never rejects. */
export async function handleRequest(
  state: EndpointState,
  message: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
): Promise<void> {
  const requestId = randomBytes(8).toString('hex').toUpperCase();
  response.setHeader('x-amz-request-id', requestId);
  const hostId = randomBytes(24).toString('base64');
  response.setHeader('x-amz-id-2', hostId);
  response.setHeader('server', 'AmazonS3');
  // Clients set their clocks by this one, so it has to be the clock that signatures are checked with.
  response.setHeader('date', state.clock().toUTCString());
  let operation = '';
  let actions: readonly FaultAction[] = [];
  let reply: Reply;
  try {
    const target = parseRequestTarget(message.url ?? '', message.headers.host);
    if (target.style === 'path' && (message.url ?? '').startsWith(`${controlPath}/`)) {
      await answerControl(
        { ...state, accessKeyId: state.credentials[0]?.accessKeyId ?? '' },
        message,
        response,
      );
      return;
    }
    refuseLargeHeaders(message);
    const exchange: Exchange = { message, response, requestId, expectsContinue };
    const prepared = prepareCall(state, exchange, target);
    operation = prepared.operation;
    state.counters.countRequest(operation);
    prepared.authorise();
    actions = state.faults.take({
      method: prepared.call.method,
      operation,
      bucket: prepared.call.bucketName,
      key: prepared.call.key,
    });
    if (await applyBeforeRequest(actions, prepared.call, message, state.stopped)) return;
    reply = await runOperation(operation, prepared.call);
    if (state.requesterPaysBuckets.has(prepared.call.bucketName))
      response.setHeader('x-amz-request-charged', 'requester');
  } catch (error) {
    if (message.destroyed && !message.complete) return;
    reply = errorReply(toS3Error(error), message, { requestId, hostId });
  }
  if (operation !== '' && reply.status >= 400) state.counters.countError(operation);
  if (isReset(actions, 'after', message)) {
    if (typeof reply.body === 'object') reply.body.close();
    return;
  }
  await sendReply(response, message.method === 'HEAD', reply, limitsOf(actions));
  // What is left of a body that was refused is read and dropped, so that the client gets to read the answer.
  if (!message.complete) message.resume();
}

function prepareCall(
  state: EndpointState,
  exchange: Exchange,
  target: ReturnType<typeof parseRequestTarget>,
): { readonly operation: string; readonly call: S3Call; readonly authorise: () => void } {
  const { message, response } = exchange;
  const method = message.method ?? '';
  const receivedHeaders = readHeaders(message);
  const headers = addHoistedHeaders(receivedHeaders, target.query);
  const operation = nameOperation(method, target, headers);
  if (operation === null) {
    throw new S3Error('MethodNotAllowed', {
      details: { Method: method, ResourceType: target.key === '' ? 'BUCKET' : 'OBJECT' },
    });
  }
  let authentication: S3Call['authentication'] = { kind: 'anonymous', payload: { kind: 'unsigned' } };
  const call: S3Call = {
    store: state.store,
    region: state.region,
    publicBuckets: state.publicBuckets,
    requesterPaysBuckets: state.requesterPaysBuckets,
    now: state.clock,
    method,
    target,
    bucketName: target.bucket ?? '',
    key: target.key,
    headers,
    get authentication() {
      return authentication;
    },
    openBody: () =>
      openRequestBody({
        message,
        headers,
        authentication,
        idleMs: state.uploadIdleMs,
        beforeRead: () => {
          if (exchange.expectsContinue) response.writeContinue();
        },
      }),
  };
  const authorise = (): void => {
    authentication = authenticate({
      method,
      target,
      headers: receivedHeaders,
      credentials: state.credentials,
      region: state.region,
      now: state.clock(),
    });
    const isPublic = state.publicBuckets.has(call.bucketName) && publicOperations.has(operation);
    if (authentication.kind === 'anonymous' && !isPublic) throw new S3Error('AccessDenied');
  };
  return { operation, call, authorise };
}

async function runOperation(operation: string, call: S3Call): Promise<Reply> {
  const run = supportedOperations.get(operation);
  if (run === undefined) throw notImplemented(operation, { Operation: operation });
  refuseUnknownHeaders(operation, call.headers);
  // A body that nothing reads is covered by the signature all the same.
  if (!operationsWithBody.has(operation))
    await readSmallBody(call.openBody(), call.headers, maxIgnoredBodyBytes);
  return run(call);
}

/** S3 takes no more than 8 KB of headers, of which user metadata may be 2 KB. */
function refuseLargeHeaders(message: IncomingMessage): void {
  // Names and values alternate; each pair has a colon, a space and a line end.
  const sizeBytes = message.rawHeaders.reduce((sum, piece) => sum + piece.length + 2, 0);
  if (sizeBytes > maxHeaderBytes)
    throw new S3Error('RequestHeaderSectionTooLarge', { details: { MaxSizeAllowed: maxHeaderBytes } });
}

/** Headers by lower-case name, repeated ones joined: Node's own view drops or splits some of them. */
function readHeaders(message: IncomingMessage): Map<string, string> {
  const headers = new Map<string, string>();
  for (let index = 0; index + 1 < message.rawHeaders.length; index += 2) {
    const name = message.rawHeaders[index]?.toLowerCase() ?? '';
    const value = message.rawHeaders[index + 1]?.trim() ?? '';
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}

function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  process.stderr.write(`s3: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return new S3Error('InternalError');
}

function errorReply(
  error: S3Error,
  message: IncomingMessage,
  ids: { readonly requestId: string; readonly hostId: string },
): Reply {
  const document = parent('Error', [
    text('Code', error.code),
    text('Message', error.message),
    ...Object.entries(error.details).map(([name, value]) => text(name, value)),
    text('Resource', (message.url ?? '').split('?', 1)[0] ?? ''),
    text('RequestId', ids.requestId),
    text('HostId', ids.hostId),
  ]);
  return {
    status: error.status,
    headers: { 'content-type': 'application/xml', ...error.headers },
    body: renderXml(document, 'without-namespace'),
  };
}
