import type { IncomingMessage } from 'node:http';
import { type HttpAnswer, status } from './http-answer.ts';
import type { RpcHttpCookie, RpcInvocationResponse, RpcTypedData } from './rpc.ts';

/** Trigger data of one request, in the buffered form. */
export function toHttpData(params: {
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly routeParams: Readonly<Record<string, string>>;
  readonly body: Buffer;
}): RpcTypedData {
  const { request, url } = params;
  return {
    http: {
      method: request.method ?? 'GET',
      url: url.href,
      nullableHeaders: wrap(joinHeaders(request)),
      nullableQuery: wrap(joinQuery(url.searchParams)),
      nullableParams: wrap(params.routeParams),
      ...(params.body.length === 0 ? {} : { body: { bytes: params.body } }),
    },
  };
}

/** The answer that a function gave; a function that returned nothing gives 204. */
export function toHttpAnswer(response: RpcInvocationResponse): HttpAnswer {
  const http = response.returnValue?.http;
  if (http === undefined) return status(204);
  const cookies = (http.cookies ?? []).map(renderCookie);
  const bytes = http.body?.bytes ?? null;
  return {
    status: Number(http.statusCode ?? 200),
    headers: { ...http.headers, ...(cookies.length > 0 ? { 'set-cookie': cookies } : {}) },
    body: bytes !== null && bytes.length > 0 ? bytes : null,
  };
}

function wrap(values: Readonly<Record<string, string>>): Record<string, { value: string }> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));
}

function joinHeaders(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}

// The host's mapping holds one text per name: values of a repeated name come joined by commas.
function joinQuery(query: URLSearchParams): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name of new Set(query.keys())) values[name] = query.getAll(name).join(',');
  return values;
}

function renderCookie(cookie: RpcHttpCookie): string {
  const parts = [`${cookie.name ?? ''}=${encodeURIComponent(cookie.value ?? '')}`];
  const { domain, path, expires, secure, httpOnly, sameSite, maxAge } = cookie;
  if (maxAge?.value !== undefined) parts.push(`max-age=${maxAge.value}`);
  if (expires?.value !== undefined)
    parts.push(`expires=${new Date(expires.value.seconds * 1000).toUTCString()}`);
  if (domain?.value !== undefined) parts.push(`domain=${domain.value}`);
  if (path?.value !== undefined) parts.push(`path=${path.value}`);
  if (secure?.value === true) parts.push('secure');
  if (httpOnly?.value === true) parts.push('httponly');
  if (sameSite === 'lax' || sameSite === 'strict') parts.push(`samesite=${sameSite}`);
  if (sameSite === 'explicitNone') parts.push('samesite=none');
  return parts.join('; ');
}
