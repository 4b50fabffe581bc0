import { app, HttpRequest, HttpResponse, type HttpResponseInit, InvocationContext } from '@azure/functions';
import fc from 'fast-check';
import { beforeAll, describe, expect, test, vi } from 'vitest';

import { ERROR_KINDS, type ErrorCode } from '../../shared/errors/loader-error.ts';
import { createMemoryOrchestrations } from '../fakes/memory-orchestrations.ts';
import { createTestLoader } from '../fakes/test-loader.ts';
import { GOOD_DEFINITION, hostileBody, hostileText } from './hostile-inputs.ts';

const { loader, logged } = createTestLoader();
vi.mock('../../functions/runtime.ts', () => ({ loaderFor: async () => loader }));
vi.mock('../../functions/durable-orchestrations.ts', () => ({
  orchestrationsOf: () => createMemoryOrchestrations(),
}));

type Handler = (request: HttpRequest, context: InvocationContext) => Promise<HttpResponseInit>;
interface Route {
  readonly methods: readonly string[];
  readonly route: string;
  readonly handler: Handler;
}

const routes: Route[] = [];
let receiveEvent: ((message: unknown, context: InvocationContext) => Promise<void>) | undefined;
const lines: string[] = [];
const context = () =>
  new InvocationContext({
    functionName: 'fuzzed',
    logHandler: (_level, ...args) => void lines.push(args.map(String).join(' ')),
  });

beforeAll(async () => {
  vi.stubEnv('LOADER_HTTP_REQUESTS_PER_MINUTE', '1000000000');
  vi.spyOn(app, 'http').mockImplementation((_name, options) => void routes.push(options as unknown as Route));
  vi.spyOn(app, 'storageQueue').mockImplementation((_name, options) => {
    receiveEvent = options.handler as typeof receiveEvent;
  });
  vi.spyOn(app, 'timer').mockImplementation(() => undefined);
  vi.spyOn(app, 'setup').mockImplementation(() => undefined);
  await import('../../functions/main.ts');
});

const NAMES = ['one', 'two', 'three'] as const;
const parameter = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...NAMES) },
  { weight: 2, arbitrary: hostileText },
);
/** Headers can only hold what HTTP lets through. */
const headerText = hostileText.map((text) =>
  text
    .replace(/[^\x20-\x7e\x80-\xff]/g, '')
    .slice(0, 5000)
    .trim(),
);
const input = fc.record({
  route: fc.nat(),
  method: fc.nat(),
  parameters: fc.array(parameter, { minLength: 3, maxLength: 3 }),
  query: fc.dictionary(fc.constantFrom('limit', 'after', 'state', 'load', 'code', '__proto__'), hostileText, {
    maxKeys: 3,
  }),
  contentType: fc.constantFrom(
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-16',
    '',
  ),
  idempotencyKey: fc.option(headerText),
  body: fc.option(hostileBody, { freq: 8 }),
});

/** A request for one of the app's own routes. */
function requestOf(made: typeof input extends fc.Arbitrary<infer Made> ? Made : never) {
  const { route, methods, handler } = routes[made.route % routes.length]!;
  const names = [...route.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const method = methods[made.method % methods.length]!;
  const query = new URLSearchParams(made.query).toString();
  const request = new HttpRequest({
    method,
    url: `http://localhost:7071/api/fuzzed?${query}`,
    params: Object.fromEntries(names.map((name, at) => [name, made.parameters[at]!])),
    query: made.query,
    headers: {
      'content-type': made.contentType,
      ...(made.idempotencyKey === null ? {} : { 'idempotency-key': made.idempotencyKey }),
    },
    ...(made.body === null || method === 'GET' ? {} : { body: { bytes: made.body } }),
  });
  return { handler, request };
}

/** What every answer must be: no 5xx, errors as problems with a code of the closed list, headers that HTTP takes. */
async function checkAnswer(init: HttpResponseInit): Promise<string> {
  const answer = new HttpResponse(init);
  expect(answer.status).toBeLessThan(500);
  expect([...answer.headers.values()].join('')).not.toMatch(/[\r\n\0]/);
  if (answer.status < 400) return String(answer.status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  const problem = (await answer.json()) as { code: ErrorCode; status: number; title: string; type: string };
  expect(Object.hasOwn(ERROR_KINDS, problem.code)).toBe(true);
  expect(problem).toMatchObject({
    status: answer.status,
    type: `urn:s3-adx-loader:${problem.code}`,
    title: ERROR_KINDS[problem.code].title,
    detail: expect.any(String),
    remedy: expect.any(String),
  });
  expect(ERROR_KINDS[problem.code].httpStatus).toBe(answer.status);
  return problem.code;
}

describe('10,000 hostile requests', () => {
  test('are answered without a 500, each error as a problem with its code', async () => {
    const put = routes.find(({ methods, route }) => methods[0] === 'PUT' && route === 'loads/{name}')!;
    for (const name of NAMES) {
      const body = { string: JSON.stringify(GOOD_DEFINITION) };
      const request = new HttpRequest({ method: 'PUT', url: 'http://localhost/api', params: { name }, body });
      expect((await put.handler(request, context())).status).toBe(201);
    }
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(input, async (made) => {
        const { handler, request } = requestOf(made);
        const kind = await checkAnswer(await handler(request, context()));
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
      }),
      { seed: 6, numRuns: 10_000, endOnFailure: true },
    );
    // They reach what lies behind the checks, too; a load that is running can't be started again.
    const least = {
      200: 100,
      201: 3,
      202: 1,
      invalidDefinition: 100,
      invalidRequest: 100,
      loadBusy: 1,
      requestTooLarge: 1,
    };
    for (const [kind, count] of Object.entries(least))
      expect(seen.get(kind) ?? 0, kind).toBeGreaterThanOrEqual(count);
    expect(Object.getOwnPropertyNames(Object.prototype)).toHaveLength(12);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  }, 180_000);

  test('each log line that they caused is one line', () => {
    expect([...lines, ...logged].filter((line) => /[\r\n\0]/.test(line))).toEqual([]);
  });
});

describe('limits', () => {
  const put = (body: Uint8Array | string) => sendTo('PUT', 'loads/{name}', body);
  const sendTo = async (method: string, path: string, body: Uint8Array | string) => {
    const { handler } = routes.find(({ methods, route }) => methods[0] === method && route === path)!;
    const request = new HttpRequest({
      method,
      url: 'http://localhost/api/loads/limits',
      params: { name: 'limits' },
      body: typeof body === 'string' ? { string: body } : { bytes: body },
    });
    const { status, body: text } = await handler(request, context());
    return {
      status,
      problem: JSON.parse(String(text)) as { code?: string; problems?: { field: string; message: string }[] },
    };
  };
  const definition = (description: string) => JSON.stringify({ ...GOOD_DEFINITION, description });

  test('a body of 4 MiB is read as a definition, one byte more is 413', async () => {
    const room = 4 * 1024 * 1024 - definition('').length;
    expect((await put(definition('x'.repeat(room)))).problem.code).toBe('invalidDefinition');
    expect(await put(definition('x'.repeat(room + 1)))).toMatchObject({
      status: 413,
      problem: { code: 'requestTooLarge', remedy: expect.stringContaining('inventory') },
    });
  });

  test('other bodies are read up to 256 KiB', async () => {
    const startWith = (bytes: number) => sendTo('POST', 'loads/{name}/runs', ' '.repeat(bytes));
    await put(definition(''));
    expect((await startWith(256 * 1024)).status).toBe(202);
    expect(await startWith(256 * 1024 + 1)).toMatchObject({
      status: 413,
      problem: { code: 'requestTooLarge' },
    });
  });

  test('a list of a million entries is refused at once, with one problem', async () => {
    const list = (length: number) => `[${'1,'.repeat(length - 1)}1]`;
    const files = (text: string) => JSON.stringify({ source: { files: 0 } }).replace('0', text);
    expect((await put(files(list(1_000_000)))).problem.problems).toEqual([
      { field: 'source.files', message: expect.stringMatching(/^must be a list of at most 10000 entries/) },
    ]);
    expect((await put(files(list(10_000)))).problem.problems).toHaveLength(50);
  });

  test('nesting, text lengths and half characters are problems with their field', async () => {
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(await put(deep)).toMatchObject({ status: 400, problem: { code: 'invalidDefinition' } });
    const messages = async (changes: string) =>
      (await put(changes)).problem.problems?.map(({ field, message }) => `${field} ${message}`);
    expect(await messages('{"source": {"prefix": "\\ud800"}}')).toEqual([
      expect.stringMatching(/^source.prefix must be well-formed/),
    ]);
    expect(await messages('{"source": {"prefix": "a\\u0000"}}')).toEqual([
      expect.stringMatching(/^source.prefix must not hold/),
    ]);
    expect(await messages(definition('x'.repeat(8193)))).toEqual([
      expect.stringMatching(/^description must be at most 8192/),
    ]);
    expect(await messages('{"source": {"__proto__": {}, "constructor": 1}}')).toEqual([
      expect.stringMatching(/^source.__proto__ is not a field/),
      expect.stringMatching(/^source.constructor is not a field/),
    ]);
    expect((await put(definition('x'.repeat(8192)))).problem.code).toBeUndefined();
  });
});

/** Lists within lists by the thousand overflow the stack of the reader; the host then tries the message again, and puts it aside. */
const isFlat = (text: string) => !/^\[{200}/.test(text);

describe('2,000 hostile messages of the event queue', () => {
  test('are taken or put aside, and their texts stay on one line of the log', async () => {
    const record = fc.record({
      eventName: fc.oneof(fc.constant('ObjectCreated:Put'), hostileText),
      s3: fc.record({
        bucket: fc.record({ name: fc.oneof(fc.constant('memory-bucket'), hostileText) }),
        object: fc.record({
          key: fc.oneof(
            fc.constant('in/a.json'),
            hostileText.map((text) => `in/${text}`),
          ),
        }),
      }),
    });
    const message = fc.oneof(
      fc.record({ Records: fc.array(record, { maxLength: 3 }) }),
      fc.record({ Type: fc.constant('Notification'), Message: hostileText }),
      hostileBody.map((bytes) => bytes.toString('utf8')).filter(isFlat),
      hostileText,
    );
    await fc.assert(
      fc.asyncProperty(message, async (made) => {
        await receiveEvent!(made, context());
      }),
      { seed: 6, numRuns: 2000, endOnFailure: true },
    );
    expect(logged.filter((line) => line.includes('eventUnreadable')).length).toBeGreaterThan(100);
    expect([...lines, ...logged].filter((line) => /[\r\n\0]/.test(line))).toEqual([]);
  }, 180_000);
});
