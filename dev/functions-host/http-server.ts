import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AdminApi } from './admin-api.ts';
import type { DurableClientApi } from './durable/client-api.ts';
import type { FunctionRunner } from './function-runner.ts';
import { type HttpAnswer, status } from './http-answer.ts';
import { toHttpAnswer, toHttpData } from './http-invocation.ts';
import { findRoute, type Route } from './http-routes.ts';
import { type HostKeys, isAuthorized } from './keys.ts';
import { cutUrl, describeError, type Logger } from './log.ts';

/** Longest request body: the real host's setting, and its default. */
const readBodyLimit = () => Number(process.env['FUNCTIONS_REQUEST_BODY_SIZE_LIMIT'] || 100 * 1024 * 1024);

export interface HttpServerParams {
  readonly routes: readonly Route[];
  readonly runner: FunctionRunner;
  readonly admin: AdminApi;
  readonly durable: DurableClientApi;
  readonly keys: HostKeys;
  readonly logger: Logger;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly method: string;
  readonly url: URL;
  readonly segments: readonly string[];
}

class BodyTooLargeError extends Error {}

/** The host's one listener: functions, admin endpoints, and the Durable API under both of its bases. */
export function createHttpServer(params: HttpServerParams): Server {
  return createServer((request, response) => {
    answer(params, request)
      .catch((error: unknown) => {
        if (error instanceof BodyTooLargeError) return status(413);
        const path = cutUrl(request.url ?? '');
        params.logger.log({
          level: 'error',
          category: 'host',
          message: `${request.method} ${path}: ${describeError(error)}`,
        });
        return status(500);
      })
      .then((result) => {
        send(response, result, request.method === 'HEAD');
        // A client reads the answer once it has sent all: what is too much is dropped.
        if (!request.complete) request.resume();
      })
      .catch(() => response.destroy());
  });
}

async function answer(params: HttpServerParams, request: IncomingMessage): Promise<HttpAnswer> {
  const host = request.headers.host ?? '127.0.0.1';
  const target = request.url ?? '/';
  if (!target.startsWith('/') || !URL.canParse(`http://${host}${target}`)) return status(400);
  const url = new URL(`http://${host}${target}`);
  const segments = url.pathname
    .split('/')
    .filter((each) => each !== '')
    .map(decode);
  const exchange: Exchange = { request, method: (request.method ?? 'GET').toUpperCase(), url, segments };
  const [first, second, third] = segments.map((each) => each.toLowerCase());
  if (first === 'admin') return answerAdmin(params, exchange);
  // The rpc base is for the app's own client on loopback, and has no key in the real host either.
  if (first === 'durabletask') return answerDurable(params, exchange, 1);
  if (first === 'runtime' && second === 'webhooks' && third === 'durabletask') {
    if (!isAllowed(params, exchange, 'system')) return status(401);
    return answerDurable(params, exchange, 3);
  }
  return answerFunction(params, exchange);
}

async function answerAdmin(params: HttpServerParams, exchange: Exchange): Promise<HttpAnswer> {
  const path = exchange.segments.slice(1);
  if (path.join('/').toLowerCase() === 'host/ping') return status(200);
  if (!isAllowed(params, exchange, 'admin')) return status(401);
  const body = await readBody(exchange.request);
  return params.admin.handle({ method: exchange.method, segments: path, body });
}

async function answerDurable(
  params: HttpServerParams,
  exchange: Exchange,
  baseLength: number,
): Promise<HttpAnswer> {
  const { request, method, url, segments } = exchange;
  const body = await readBody(request);
  return params.durable.handle({
    method,
    segments: segments.slice(baseLength),
    query: url.searchParams,
    headers: request.headers,
    body,
  });
}

async function answerFunction(params: HttpServerParams, exchange: Exchange): Promise<HttpAnswer> {
  const { request, method, url } = exchange;
  const found = findRoute(params.routes, { method, path: url.pathname });
  if (found === null) return url.pathname === '/' && method === 'GET' ? status(204) : status(404);
  const { route, params: routeParams } = found;
  if (!isAllowed(params, exchange, route.authLevel)) return status(401);
  const body = await readBody(request);
  try {
    const { response } = await params.runner.run(route.fn, {
      triggerData: toHttpData({ request, url, routeParams, body }),
    });
    return toHttpAnswer(response);
  } catch (error) {
    params.logger.log({
      level: 'error',
      category: `function.${route.fn.name}`,
      message: `Executed '${route.fn.name}' (Failed): ${describeError(error)}`,
    });
    return status(500);
  }
}

function isAllowed(
  params: HttpServerParams,
  exchange: Exchange,
  level: 'anonymous' | 'function' | 'system' | 'admin',
) {
  const { request, url } = exchange;
  return isAuthorized(params.keys, { level, headers: request.headers, query: url.searchParams });
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  // The end of the iteration must not end the connection, which the answer still has to go over.
  const bodyLimitBytes = readBodyLimit();
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    sizeBytes += (chunk as Buffer).length;
    if (sizeBytes > bodyLimitBytes) throw new BodyTooLargeError();
    chunks.push(chunk as Buffer);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

function send(response: ServerResponse, result: HttpAnswer, isHead: boolean): void {
  if (response.destroyed) return;
  response.statusCode = result.status;
  for (const [name, value] of Object.entries(result.headers))
    response.setHeader(name, value as string | string[]);
  const hasBody = result.body !== null && result.status !== 204 && result.status !== 304 && !isHead;
  response.removeHeader('transfer-encoding');
  if (result.status !== 204) response.setHeader('content-length', result.body?.length ?? 0);
  response.end(hasBody ? result.body : undefined);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
