import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';

import { ERROR_KINDS, LoaderError, toLoaderError } from '../../shared/errors/loader-error.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { loggerOf } from '../logger.ts';
import { loaderFor } from '../runtime.ts';
import { checkCaller, type Role } from './caller.ts';
import { checkRequestRate } from './request-rate.ts';

type Handler = (
  loader: Loader,
  request: HttpRequest,
  context: InvocationContext,
) => Promise<HttpResponseInit>;

/**
 * An HTTP handler for callers that have the role; its errors become RFC 9457 problems.
 *
 * @param options.countedAs - by whose limit of requests it is bounded. Default the role's.
 */
export function answering(
  role: Role,
  handler: Handler,
  { countedAs = role }: { readonly countedAs?: Role } = {},
): (request: HttpRequest, context: InvocationContext) => Promise<HttpResponseInit> {
  return async (request, context) => {
    try {
      checkCaller(request, role);
      checkRequestRate(countedAs);
      checkParameters(request.params);
      return await handler(await loaderFor(context), request, context);
    } catch (thrown) {
      return await problem(toLoaderError(thrown), context);
    }
  };
}

/** Names of loads and ids of runs; they become parts of paths and keys in the storage. */
const PARAMETER = /^[A-Za-z0-9][A-Za-z0-9-]{0,199}$/;

/** @throws {LoaderError} `invalidRequest`. */
function checkParameters(parameters: Readonly<Record<string, string>>): void {
  const problems = Object.entries(parameters)
    .filter(([, value]) => !PARAMETER.test(value))
    .map(([field]) => ({ field, message: 'must be letters, digits and hyphens, at most 200 of them' }));
  if (problems.length > 0) throw new LoaderError('invalidRequest', 'The address is not valid', { problems });
}

/** An error as `application/problem+json`: the code, what to do, and the fields that are wrong. */
async function problem(error: LoaderError, context: InvocationContext): Promise<HttpResponseInit> {
  const { httpStatus, title, remedy, owner } = ERROR_KINDS[error.code];
  if (owner === 'system') {
    const { events } = await import('../../shared/observability/events.ts');
    events.requestFailed(loggerOf(context), { function: context.functionName, error });
  }
  return {
    status: httpStatus,
    headers: {
      'content-type': 'application/problem+json',
      ...(error.permanent ? {} : { 'retry-after': '10' }),
    },
    jsonBody: undefined,
    body: JSON.stringify({
      type: `urn:s3-adx-loader:${error.code}`,
      title,
      status: httpStatus,
      detail: error.message,
      code: error.code,
      remedy,
      ...(error.problems.length > 0 ? { problems: error.problems } : {}),
      ...error.facts,
    }),
  };
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): HttpResponseInit {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

/** What is asked has a few KiB; more than this is a mistake, or meant to do harm. */
const MAX_BODY_BYTES = 256 * 1024;

/** A definition may name keys of 2 MiB, and JSON may need twice as much for them: escapes, quotes, indentation. */
export const MAX_DEFINITION_BYTES = 4 * 1024 * 1024;

/**
 * The body as JSON; `undefined` when it is empty.
 *
 * @throws {LoaderError} `invalidRequest`; `requestTooLarge`.
 */
export async function readJson(request: HttpRequest, mostBytes = MAX_BODY_BYTES): Promise<unknown> {
  const bytes = await request.arrayBuffer();
  if (bytes.byteLength > mostBytes)
    throw new LoaderError(
      'requestTooLarge',
      `The body has ${bytes.byteLength} bytes; at most ${mostBytes} are taken`,
    );
  const text = new TextDecoder().decode(bytes);
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LoaderError('invalidRequest', 'The body is not JSON', {
      cause,
      problems: [{ field: '(body)', message: 'must be JSON' }],
    });
  }
}

/** A whole number from the query. @throws {LoaderError} `invalidRequest`. */
export function readLimit(request: HttpRequest, fallback: number, most: number): number {
  const text = request.query.get('limit');
  if (text === null) return fallback;
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= most) return limit;
  throw new LoaderError('invalidRequest', 'The query is not valid', {
    problems: [{ field: 'limit', message: `must be a whole number from 1 to ${most}` }],
  });
}

/** The answer to a start: where to ask how the run fares. */
export function startedRun(request: HttpRequest, runId: string, more: object = {}): HttpResponseInit {
  const location = addressOf(request, `/api/runs/${runId}`);
  return json(
    202,
    { runId, status: location, objects: `${location}/objects`, ...more },
    { location, 'retry-after': '2' },
  );
}

/** Absolute address of a path of this API, as the caller sees it. */
export function addressOf(request: HttpRequest, apiPath: string): string {
  return new URL(apiPath, request.url).href;
}
