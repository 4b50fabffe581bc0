import type { TableClient } from '@azure/data-tables';
import type { RequestHook } from './entity-table.ts';

type PipelinePolicy = Parameters<TableClient['pipeline']['addPolicy']>[0];

/**
 * ETags of the deletes of a transaction, in their order, by the abort signal of its request: the one thing that the
 * SDK hands through from a call to the policies of its pipeline.
 */
export const deleteTags = new WeakMap<object, readonly string[]>();

/**
 * Repairs the body of a request before it is sent.
 *
 * - All but ASCII is escaped, as JSON allows. Azurite decodes a body in pieces of 64 KiB, which breaks a character on
 *   the border, and takes U+2028 and U+2029 in a transaction for ends of line.
 * - The SDK's `submitTransaction` sends every delete with `If-Match: *`; here a delete gets the ETag it was given.
 */
export const requestBodyPolicy: PipelinePolicy = {
  name: 'requestBodyPolicy',
  sendRequest: (request, next) => {
    if (typeof request.body === 'string') {
      const tags = deleteTags.get(request.abortSignal ?? request);
      const body = escapeNonAscii(request.body);
      request.body = tags === undefined ? body : setDeleteTags(body, tags);
      // The length may have been set for the body as it was.
      request.headers.set('Content-Length', String(request.body.length));
    }
    return next(request);
  },
};

function escapeNonAscii(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function setDeleteTags(body: string, tags: readonly string[]): string {
  let deletes = 0;
  // An entity is one line of JSON, so that only a request line can begin with the verb.
  const tagged = body.replace(/^DELETE [^\r\n]+\r\n(?:[^\r\n]+\r\n)*/gm, (head) => {
    const tag = tags[deletes];
    deletes += 1;
    return head.replace(/^If-Match: .*$/im, () => `If-Match: ${tag}`);
  });
  if (deletes !== tags.length) {
    throw new Error(`the transaction has ${deletes} deletes and ${tags.length} ETags for them`);
  }
  return tagged;
}

/** No request waits for longer: a connection may be dead without either end knowing it. */
const REQUEST_TIMEOUT_MS = 30_000;

export const timeoutPolicy: PipelinePolicy = {
  name: 'timeoutPolicy',
  sendRequest: (request, next) => {
    request.timeout = REQUEST_TIMEOUT_MS;
    return next(request);
  },
};

/** Reports every request that goes out, each retry too; belongs after the phase `Retry`. */
export function requestCountPolicy(onRequest: RequestHook): PipelinePolicy {
  return {
    name: 'requestCountPolicy',
    sendRequest: (request, next) => {
      const path = request.url.split('?')[0]!;
      onRequest('table', operationOf(request.method, path, request.headers.has('If-Match')));
      return next(request);
    },
  };
}

function operationOf(method: string, path: string, isConditional: boolean): string {
  if (path.endsWith('/$batch')) return 'transaction';
  if (method === 'GET') return path.endsWith('()') ? 'query' : 'get';
  if (method === 'POST') return path.endsWith('/Tables') ? 'create' : 'insert';
  if (method === 'PUT') return isConditional ? 'replace' : 'upsert';
  return method.toLowerCase();
}
