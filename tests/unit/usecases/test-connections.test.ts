import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { parseConnectionTest } from '../../../shared/config/parse-definition.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import type { Source } from '../../../shared/ports/source.ts';
import type { Loader } from '../../../shared/usecases/loader.ts';
import { testConnections } from '../../../shared/usecases/test-connections.ts';
import { createTestLoader } from '../../fakes/test-loader.ts';

afterEach(() => void vi.useRealTimers());

const SOURCE = { bucket: 'memory-bucket', prefix: 'in/' };
const DESTINATION = { cluster: 'https://test.kusto.windows.net', database: 'db', table: 'T' };

let made: ReturnType<typeof createTestLoader>;
beforeEach(() => {
  made = createTestLoader({ tables: { 'db/T': { mappings: ['m'] } } });
  made.source.put({ key: 'in/folder/', sizeBytes: 0 });
  made.source.put({ key: 'in/a' });
});

const run = (request: object, loader: Loader = made.loader) =>
  testConnections(loader, parseConnectionTest(request));
const results = (test: Awaited<ReturnType<typeof run>>['source']) =>
  Object.fromEntries(test!.steps.map(({ step, result }) => [step, result]));

test('each step of both ways is taken, and says what it found', async () => {
  const answer = await run({ source: SOURCE, destination: DESTINATION });
  expect(answer).toMatchObject({
    ok: true,
    source: {
      ok: true,
      identity: 'access key that ends with MORY',
      steps: [
        { step: 'resolve', result: 'ok', message: 'memory-bucket.s3.memory.invalid' },
        { step: 'signIn', result: 'ok' },
        { step: 'list', result: 'ok', message: '2 keys begin with the prefix.' },
        {
          step: 'read',
          result: 'ok',
          message: 'The first byte of "in/a" was read.',
          code: null,
          remedy: null,
        },
      ],
    },
    destination: { ok: true, identity: 'application memory' },
  });
  expect(results(answer.destination)).toEqual({
    resolve: 'ok',
    signIn: 'ok',
    database: 'ok',
    table: 'ok',
    mapping: 'skipped',
    ingestion: 'ok',
    permission: 'ok',
  });
});

test('keys that end before ADX would have read what they sign are told', async () => {
  made.source.endCredentialsAt(new Date(made.clock.now().getTime() + 29 * 60_000));
  const { ok, source } = await run({ source: SOURCE });
  expect([ok, source!.steps[1]]).toMatchObject([
    false,
    { step: 'signIn', result: 'failed', code: 'credentialsEndTooSoon', remedy: expect.stringMatching(/.+/) },
  ]);
});

test('one way alone is tested alone, and nothing is posted', async () => {
  expect(await run({ source: SOURCE })).toMatchObject({ ok: true, destination: null });
  expect(await run({ destination: DESTINATION })).toMatchObject({ ok: true, source: null });
  expect(made.ingestion.attempts).toEqual([]);
});

test.each([
  ['resolve', new LoaderError('sourceUnavailable', 'no such host'), 1],
  ['signIn', new LoaderError('credentialsNotFound', 'no key'), 2],
  ['listPage', new LoaderError('sourceAccessDenied', 'no right'), 3],
  ['canRead', new LoaderError('sourceAccessDenied', 'no right'), 4],
] as const)(
  'a failure of %s is told with its remedy, and the steps behind it are skipped',
  async (method, error, at) => {
    made.source.failNext(method, error);
    const { ok, source } = await run({ source: SOURCE });
    expect(ok).toBe(false);
    const words = source!.steps.map(({ result }) => result);
    expect(words).toEqual([...Array(at - 1).fill('ok'), 'failed', ...Array(4 - at).fill('skipped')]);
    expect(source!.steps[at - 1]).toMatchObject({ code: error.code, message: error.message });
    expect(source!.steps[at - 1]!.remedy).toBeTruthy();
  },
);

test.each([
  [{ database: 'nosuch' }, 'database', 'databaseNotFound'],
  [{ table: 'NoSuch' }, 'table', 'tableNotFound'],
  [{ mapping: 'nosuch' }, 'mapping', 'mappingNotFound'],
])('a destination with %o fails at the step %s', async (change, step, code) => {
  const { destination } = await run({ destination: { ...DESTINATION, ...change }, format: { type: 'json' } });
  const failed = destination!.steps.filter(({ result }) => result === 'failed');
  expect(failed).toMatchObject([{ step, code }]);
  expect(destination!.steps.map((one) => one.step)).toEqual([
    'resolve',
    'signIn',
    'database',
    'table',
    'mapping',
    'ingestion',
    'permission',
  ]);
});

test('a mapping that is there is looked at', async () => {
  const { destination } = await run({
    destination: { ...DESTINATION, mapping: 'm' },
    format: { type: 'json' },
  });
  expect(results(destination)).toMatchObject({ mapping: 'ok' });
});

test.each([
  ['it may not ask', null],
  ['it can only read', ['Viewer']],
])(
  'roles that do not show that it may ingest are no failure, and the command that grants it is told: %s',
  async (_, roles) => {
    const ingestion = { ...made.ingestion, readRoles: async () => roles };
    const { ok, destination } = await run(
      { destination: DESTINATION },
      { ...made.loader, ingestion: async () => ingestion },
    );
    expect(ok).toBe(true);
    expect(destination!.steps.at(-1)).toMatchObject({
      step: 'permission',
      result: 'notSeen',
      remedy: expect.stringContaining(".add database ['db'] ingestors"),
    });
  },
);

test('a prefix without objects can be listed, and nothing of it read', async () => {
  const { ok, source } = await run({ source: { ...SOURCE, prefix: 'nothing/' } });
  expect(ok).toBe(true);
  expect(results(source)).toMatchObject({ list: 'ok', read: 'skipped' });
});

test('named keys are asked for one by one, not listed', async () => {
  const { source } = await run({ source: { bucket: 'memory-bucket', files: ['in/a'] } });
  expect(results(source)).toMatchObject({ list: 'ok', read: 'ok' });
  expect(made.source.callCounts).toMatchObject({ listPage: 0, head: 1 });
});

test('a source that pins versions tells of objects without a version id', async () => {
  const listing = async (source: Source) => {
    const loader = { ...made.loader, source: async () => source };
    const answer = await run({ source: { ...SOURCE, pinVersions: true } }, loader);
    expect(answer.ok).toBe(true);
    return answer.source!.steps[2]!.message;
  };
  expect(await listing(made.source.withVersions)).toBe('2 keys begin with the prefix.');
  expect(await listing(made.source)).toBe(
    '2 keys begin with the prefix. 2 of 2 have no version id and are loaded as those of a bucket that keeps no versions.',
  );
});

test('a source by its inventory needs no right to list', async () => {
  made.source.takeInventory(10);
  const { ok, source } = await run({
    source: { bucket: 'memory-bucket', inventory: 's3://memory-bucket/inventory/' },
  });
  expect(ok).toBe(true);
  expect(results(source)).toMatchObject({ list: 'ok', read: 'skipped' });
  expect(made.source.callCounts).toMatchObject({ listPage: 0 });
});

test('a service that never answers ends its step', async () => {
  vi.useFakeTimers();
  const source = { ...made.source, listPage: () => new Promise<never>(() => undefined) };
  const answer = run({ source: SOURCE }, { ...made.loader, source: async () => source });
  await vi.advanceTimersByTimeAsync(15_000);
  expect((await answer).source!.steps[2]).toMatchObject({ result: 'failed', code: 'sourceUnavailable' });
});

test.each([
  [{}, ['source']],
  [{ source: SOURCE, sauce: 1 }, ['sauce']],
  [{ source: { ...SOURCE, bucket: '' } }, ['source.bucket']],
  [{ source: { ...SOURCE, endpoint: 'http://169.254.169.254/' } }, ['source.endpoint']],
  [{ destination: { ...DESTINATION, cluster: 'https://example.com' } }, ['destination.cluster']],
  [{ destination: { ...DESTINATION, mapping: 'm' } }, ['format']],
])('%o is refused before anything is asked', (request, fields) => {
  let error: unknown;
  try {
    parseConnectionTest(request);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(LoaderError);
  expect((error as LoaderError).code).toBe('invalidRequest');
  expect((error as LoaderError).problems.map(({ field }) => field)).toEqual(fields);
});
