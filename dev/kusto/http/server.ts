import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Faults, RequestKind } from '../faults.ts';
import { IngestionError, toKustoError } from '../ingest/ingestion-error.ts';
import { MAX_STREAM_BYTES, type StreamRequest } from '../ingest/streaming-ingestion.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { KustoError, makeErrorBody } from '../kusto-error.ts';
import { type AccessCheck, type Caller, KUSTO_AUDIENCE, requireRight, rightOfCommand } from './access.ts';
import { makeMgmtAnswer, makeV1QueryAnswer, makeV2Answer } from './answers.ts';
import { parseJsonObject, readBody } from './request-body.ts';
import { applyRequestFault } from './request-faults.ts';
import {
  describeConfiguration,
  describeOperation,
  queueByRequest,
  type RestIngestionServices,
} from './rest-ingestion.ts';

export interface ServerHandlers {
  runQuery(
    database: string,
    text: string,
    parameters?: Readonly<Record<string, unknown>>,
  ): Promise<ResultTable>;
  runCommand(
    database: string,
    text: string,
    sent: { readonly clientRequestId: string; readonly caller: Caller },
  ): Promise<ResultTable>;
  /** @throws KustoError. */
  ingestStream(request: StreamRequest): Promise<ResultTable>;
  /** The database that a name in a request means. */
  resolveDatabase(name: string): string;
  /** Requests under `/-/control`. @returns undefined for an unknown path. */
  control(method: string, path: string, body: unknown): Promise<object | undefined>;
}

export interface ServerOptions extends ServerHandlers {
  readonly port: number;
  readonly faults: Faults;
  readonly rest: RestIngestionServices;
  readonly access: AccessCheck;
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
    KustoServiceResourceId: KUSTO_AUDIENCE,
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
        : caught instanceof IngestionError
          ? toKustoError(caught)
          : new KustoError('General_InternalServerError', (caught as Error).message, {
              httpStatus: 500,
              permanent: false,
              type: 'Kusto.Data.Exceptions.KustoServicePartialQueryFailureException',
            });
    if (!response.headersSent) send(response, error.httpStatus, makeErrorBody(error, exchange));
  }
}

async function route(exchange: Exchange, options: ServerOptions): Promise<void> {
  const { request, response } = exchange;
  const url = new URL(request.url ?? '/', 'http://localhost');
  const path = url.pathname;
  const method = request.method ?? 'GET';
  const counted = `${method} ${/^\/v1\/rest\/(ingest|ingestion\/\w+)(?=\/|$)/.exec(path)?.[0] ?? path}`;
  options.requestCounts.set(counted, (options.requestCounts.get(counted) ?? 0) + 1);
  if (path.startsWith('/-/control')) {
    const body = method === 'GET' ? undefined : parseJsonObject(await readBody(request));
    const answer = await options.control(method, path.slice('/-/control'.length), body);
    if (answer === undefined) throw makeNotFound(`${method} ${path} is no control request.`);
    send(response, 200, answer);
  } else if (path === '/v1/rest/auth/metadata') {
    if (!(await applyRequestFault(request, options.faults, ['metadata']))) send(response, 200, authMetadata);
  } else if (path === '/' || path === '/v1/rest/ping') {
    send(response, 200, { service: 'local Kusto endpoint' });
  } else if (path.startsWith('/v1/rest/ingestion/')) {
    await answerRestIngestion(exchange, options, url);
  } else if (path.startsWith('/v1/rest/ingest/')) {
    await answerStreaming(exchange, options, url);
  } else if (['/v1/rest/mgmt', '/v1/rest/query', '/v2/rest/query'].includes(path)) {
    await answerText(exchange, options, path);
  } else throw makeNotFound(`${method} ${path} is not a request of this service.`);
}

function makeNotFound(message: string): KustoError {
  return new KustoError('NotFound', message, { httpStatus: 404 });
}

function requireMethod(request: IncomingMessage, path: string, method: string): void {
  if (request.method !== method)
    throw new KustoError('MethodNotAllowed', `${path} takes ${method}.`, { httpStatus: 405 });
}

/** Queries and commands. */
async function answerText(exchange: Exchange, options: ServerOptions, path: string): Promise<void> {
  const { request, response, activityId, clientRequestId } = exchange;
  const isMgmt = path === '/v1/rest/mgmt';
  requireMethod(request, path, 'POST');
  const body = parseJsonObject(await readBody(request));
  const caller = await options.access(request.headers.authorization);
  const text = typeof body['csl'] === 'string' ? body['csl'].trim() : '';
  const database = typeof body['db'] === 'string' ? body['db'] : '';
  if (await applyRequestFault(request, options.faults, kindsOf(text, isMgmt))) return;
  if (text === '')
    throw new KustoError('BadRequest_EmptyQuery', "Query (parameter name: 'csl') cannot be empty.");
  const { Parameters: parameters } = (body['properties'] ?? {}) as {
    Parameters?: Readonly<Record<string, unknown>>;
  };
  if (isMgmt) {
    if (!text.startsWith('.'))
      throw new KustoError('BadRequest_NotACommand', 'A management command begins with a dot.');
    requireRight(caller, rightOfCommand(text), text.split(/\s+/, 3).join(' '));
    send(
      response,
      200,
      makeMgmtAnswer(await options.runCommand(database, text, { clientRequestId, caller })),
    );
    return;
  }
  if (text.startsWith('.'))
    throw new KustoError('BadRequest_NotAQuery', 'A management command must be sent to /v1/rest/mgmt.');
  requireRight(caller, 'query', 'a query');
  const result = await options.runQuery(database, text, parameters);
  const isV2 = path === '/v2/rest/query';
  send(
    response,
    200,
    isV2
      ? makeV2Answer(result, activityId, clientRequestId)
      : makeV1QueryAnswer(result, activityId, clientRequestId),
  );
}

/** `/v1/rest/ingest/{database}/{table}?streamFormat=...&mappingName=...[&sourceKind=uri]`. */
async function answerStreaming(exchange: Exchange, options: ServerOptions, url: URL): Promise<void> {
  const { request, response } = exchange;
  requireMethod(request, '/v1/rest/ingest', 'POST');
  // Read before anything is refused: a client that is still sending would not see the answer.
  const read = await readBody(request, MAX_STREAM_BYTES).then(
    (body) => ({ body }),
    (error: unknown) => ({ error }),
  );
  requireRight(await options.access(request.headers.authorization), 'ingest', 'ingestion');
  if (await applyRequestFault(request, options.faults, ['streaming'])) return;
  if ('error' in read) throw read.error;
  const [database = '', table = ''] = readNames(url.pathname.slice('/v1/rest/ingest/'.length), 2);
  const format = url.searchParams.get('streamFormat');
  if (format === null || format === '')
    throw new KustoError('BadRequest_FormatNotSupported', "The parameter 'streamFormat' is missing.");
  const isUri = url.searchParams.get('sourceKind')?.toLowerCase() === 'uri';
  const source = isUri ? parseJsonObject(read.body)['sourceUri'] : read.body;
  if (isUri && (typeof source !== 'string' || !/^https?:\/\/[^/]/i.test(source)))
    throw new KustoError('BadRequest_InvalidBlobUri', "'sourceUri' must be an http(s) URL.");
  const answer = await options.ingestStream({
    database,
    table,
    format,
    mappingName: url.searchParams.get('mappingName') || undefined,
    source: source as Buffer | string,
  });
  send(response, 200, makeMgmtAnswer(answer));
}

/** `/v1/rest/ingestion/configuration`, `/v1/rest/ingestion/queued/{database}/{table}[/{id}]`. */
async function answerRestIngestion(exchange: Exchange, options: ServerOptions, url: URL): Promise<void> {
  const { request, response } = exchange;
  const body = await readBody(request);
  requireRight(await options.access(request.headers.authorization), 'ingest', 'ingestion');
  if (await applyRequestFault(request, options.faults, ['ingestion'])) return;
  const { rest } = options;
  if (url.pathname === '/v1/rest/ingestion/configuration') {
    requireMethod(request, url.pathname, 'GET');
    const isExpired = options.faults.takeRequestFault(['resources'], 'expiredSas') !== undefined;
    send(response, 200, describeConfiguration(isExpired ? { ...rest, resourceLifetimeMs: -60_000 } : rest));
    return;
  }
  const prefix = '/v1/rest/ingestion/queued/';
  if (!url.pathname.startsWith(prefix))
    throw makeNotFound(`${url.pathname} is not a request of this service.`);
  const names = url.pathname.slice(prefix.length);
  const isStatus = names.split('/').length === 3;
  const [database = '', table = '', id = ''] = readNames(names, isStatus ? 3 : 2);
  requireMethod(request, url.pathname, isStatus ? 'GET' : 'POST');
  const target = { database: options.resolveDatabase(database), table };
  send(
    response,
    200,
    isStatus
      ? describeOperation(target, id, url.searchParams.get('details') === 'true', rest)
      : await queueByRequest(target, parseJsonObject(body), rest),
  );
}

/** Parts of a path; clients that do not encode them are read, too. */
function readNames(path: string, count: number): string[] {
  const names = path.split('/');
  if (names.length !== count || names.includes(''))
    throw makeNotFound(`'${path}' does not name a database and a table.`);
  return names.map((name) => {
    try {
      return decodeURIComponent(name);
    } catch {
      return name;
    }
  });
}

function kindsOf(text: string, isMgmt: boolean): RequestKind[] {
  if (!isMgmt) return ['query'];
  if (/^\.get\s+ingestion\s+resources/i.test(text)) return ['resources', 'mgmt'];
  return /^\.get\s+kusto\s+identity/i.test(text) ? ['identityToken', 'mgmt'] : ['mgmt'];
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
