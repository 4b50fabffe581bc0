import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { Faults, RequestKind } from '../faults.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { KustoError, makeErrorBody, makeNotSupported } from '../kusto-error.ts';
import { makeMgmtAnswer, makeV1QueryAnswer, makeV2Answer } from './answers.ts';
import type { TokenCheck } from './token-check.ts';

const MAX_BODY_BYTES = 16 * 1024 * 1024;

export interface ServerHandlers {
  runQuery(
    database: string,
    text: string,
    parameters?: Readonly<Record<string, unknown>>,
  ): Promise<ResultTable>;
  runCommand(database: string, text: string): Promise<ResultTable>;
  /** Requests under `/-/control`. @returns undefined for an unknown path. */
  control(method: string, path: string, body: unknown): Promise<object | undefined>;
}

export interface ServerOptions extends ServerHandlers {
  readonly port: number;
  readonly faults: Faults;
  readonly token: TokenCheck | undefined;
  /** Counts requests by path. */
  readonly requestCounts: Map<string, number>;
}

/** What a client may expect from `/v1/rest/auth/metadata`; the Python client wants all six fields. */
const authMetadata = {
  AzureAD: {
    LoginEndpoint: 'https://login.microsoftonline.com',
    LoginMfaRequired: false,
    KustoClientAppId: 'db662dc1-0cfe-4e1c-a843-19a68e65be58',
    KustoClientRedirectUri: 'https://microsoft/kustoclient',
    KustoServiceResourceId: 'https://kusto.kusto.windows.net',
    FirstPartyAuthorityUrl: 'https://login.microsoftonline.com/f8cdef31-a31e-4b4a-93e4-5f571e91255a',
  },
};

/** Starts the HTTP side on 127.0.0.1; engine and data management share the port. */
export async function startServer(options: ServerOptions): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    void handle(request, response, options);
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly activityId: string;
  readonly clientRequestId: string;
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  options: ServerOptions,
): Promise<void> {
  const activityId = randomUUID();
  const clientRequestId = String(request.headers['x-ms-client-request-id'] ?? `unspecified;${activityId}`);
  const exchange: Exchange = { request, response, activityId, clientRequestId };
  response.setHeader('x-ms-activity-id', activityId);
  response.setHeader('x-ms-client-request-id', clientRequestId.replace(/[^\x20-\x7e]/g, '?'));
  try {
    await route(exchange, options);
  } catch (caught) {
    const error =
      caught instanceof KustoError
        ? caught
        : new KustoError('General_InternalServerError', (caught as Error).message, {
            httpStatus: 500,
            permanent: false,
            type: 'Kusto.Data.Exceptions.KustoServicePartialQueryFailureException',
          });
    if (!response.headersSent) send(response, error.httpStatus, makeErrorBody(error, exchange));
  }
}

async function route(exchange: Exchange, options: ServerOptions): Promise<void> {
  const { request, response, activityId, clientRequestId } = exchange;
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const method = request.method ?? 'GET';
  const counted = `${method} ${path.startsWith('/v1/rest/ingest') ? '/v1/rest/ingest' : path}`;
  options.requestCounts.set(counted, (options.requestCounts.get(counted) ?? 0) + 1);
  if (path.startsWith('/-/control')) {
    const body = method === 'GET' ? undefined : parseJson(await readBody(request));
    const answer = await options.control(method, path.slice('/-/control'.length), body);
    if (answer === undefined)
      throw new KustoError('NotFound', `${method} ${path} is no control request.`, { httpStatus: 404 });
    send(response, 200, answer);
    return;
  }
  if (path === '/v1/rest/auth/metadata') {
    if (await applyFault(exchange, options, ['metadata'])) return;
    send(response, 200, authMetadata);
    return;
  }
  if (path === '/' || path === '/v1/rest/ping') {
    send(response, 200, { service: 'local Kusto endpoint' });
    return;
  }
  const isMgmt = path === '/v1/rest/mgmt';
  const isQuery = path === '/v1/rest/query' || path === '/v2/rest/query';
  if (path.startsWith('/v1/rest/ingest')) {
    const body = await readBody(request);
    void body;
    options.token?.(request.headers.authorization);
    if (await applyFault(exchange, options, ['streaming'])) return;
    throw makeNotSupported(
      path.startsWith('/v1/rest/ingest/') ? 'streaming ingestion' : 'the REST ingestion API',
    );
  }
  if (!isMgmt && !isQuery)
    throw new KustoError('NotFound', `${method} ${path} is not a request of this service.`, {
      httpStatus: 404,
    });
  if (method !== 'POST') throw new KustoError('MethodNotAllowed', `${path} takes POST.`, { httpStatus: 405 });
  const body = parseJson(await readBody(request)) as {
    db?: unknown;
    csl?: unknown;
    properties?: { Parameters?: Readonly<Record<string, unknown>> };
  };
  options.token?.(request.headers.authorization);
  const text = typeof body.csl === 'string' ? body.csl.trim() : '';
  const database = typeof body.db === 'string' ? body.db : '';
  if (await applyFault(exchange, options, kindsOf(text, isMgmt))) return;
  if (text === '')
    throw new KustoError('BadRequest_EmptyQuery', "Query (parameter name: 'csl') cannot be empty.");
  if (isMgmt) {
    if (!text.startsWith('.'))
      throw new KustoError('BadRequest_NotACommand', 'A management command begins with a dot.');
    send(response, 200, makeMgmtAnswer(await options.runCommand(database, text)));
    return;
  }
  if (text.startsWith('.'))
    throw new KustoError('BadRequest_NotAQuery', 'A management command must be sent to /v1/rest/mgmt.');
  const result = await options.runQuery(database, text, body.properties?.Parameters);
  const isV2 = path === '/v2/rest/query';
  send(
    response,
    200,
    isV2
      ? makeV2Answer(result, activityId, clientRequestId)
      : makeV1QueryAnswer(result, activityId, clientRequestId),
  );
}

function kindsOf(text: string, isMgmt: boolean): RequestKind[] {
  if (!isMgmt) return ['query'];
  if (/^\.get\s+ingestion\s+resources/i.test(text)) return ['resources', 'mgmt'];
  return /^\.get\s+kusto\s+identity/i.test(text) ? ['identityToken', 'mgmt'] : ['mgmt'];
}

/** @returns true when the fault has answered the request. */
async function applyFault(
  exchange: Exchange,
  options: ServerOptions,
  kinds: readonly RequestKind[],
): Promise<boolean> {
  const fault = options.faults.takeRequestFault(kinds);
  if (fault === undefined) return false;
  if (fault.action === 'drop') {
    exchange.request.socket.destroy();
    return true;
  }
  if (fault.action === 'delay') {
    await new Promise((resolve) => setTimeout(resolve, fault.delayMs ?? 1_000));
    return false;
  }
  const status = fault.status ?? 503;
  const isTransient = status === 429 || status >= 500;
  throw new KustoError(
    status === 429
      ? 'TooManyRequests'
      : status === 401
        ? 'Unauthorized'
        : status >= 500
          ? 'General_InternalServerError'
          : 'General_BadRequest',
    status === 429
      ? 'The request is denied due to throttling.'
      : 'Failed on request of the control endpoint.',
    { httpStatus: status, permanent: fault.permanent ?? !isTransient },
  );
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES)
      throw new KustoError('RequestTooLarge', 'The body is above 16 MB.', { httpStatus: 413 });
    chunks.push(chunk as Buffer);
  }
  const body = Buffer.concat(chunks);
  if (request.headers['content-encoding'] !== 'gzip') return body;
  try {
    return gunzipSync(body);
  } catch {
    throw new KustoError('BadRequest_InvalidBlob', 'The body says gzip and is not.');
  }
}

function parseJson(body: Buffer): object {
  try {
    const value: unknown = JSON.parse(body.toString('utf8') || '{}');
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Falls through to the one error.
  }
  throw new KustoError('BadRequest_InvalidJson', 'The body is not a JSON object.');
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
