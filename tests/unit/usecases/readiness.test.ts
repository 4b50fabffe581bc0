import { afterEach, expect, test, vi } from 'vitest';

import { ERROR_KINDS, LoaderError } from '../../../shared/errors/loader-error.ts';
import type { Source } from '../../../shared/ports/source.ts';
import { deleteLoad, putLoad } from '../../../shared/usecases/load-catalog.ts';
import type { Loader } from '../../../shared/usecases/loader.ts';
import { createReadiness } from '../../../shared/usecases/readiness.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

afterEach(() => void vi.useRealTimers());

const clusterAt = (host: string) => ({ cluster: `https://${host}`, database: 'db', table: 'T' });

async function withLoads(loads: Readonly<Record<string, object>>) {
  const made = createTestLoader();
  for (const [name, changes] of Object.entries(loads))
    await putLoad(made.loader, name, definitionOf(changes));
  return { ...made, readiness: createReadiness() };
}

test('asks the storage, each cluster and each bucket once, by the prefix of a load', async () => {
  const asked: string[] = [];
  const { loader, source, ingestion, readiness, clock } = await withLoads({
    alpha: { source: { bucket: 'one', prefix: 'a/' } },
    beta: { source: { bucket: 'one', prefix: 'b/' }, destination: clusterAt('TEST.kusto.windows.net') },
    gamma: { source: { bucket: 'two' }, destination: clusterAt('other.kusto.windows.net') },
    gone: { source: { bucket: 'three' } },
  });
  await deleteLoad(loader, 'gone');
  const listening: Source = {
    ...source,
    listPage: (input) => {
      asked.push(input.prefix);
      return source.listPage(input);
    },
  };
  const ok = { ok: true, code: null, message: null, remedy: null };
  expect(await readiness({ ...loader, source: async () => listening })).toEqual({
    ready: true,
    checkedAt: clock.now().toISOString(),
    notAsked: 0,
    dependencies: [
      { kind: 'storage', name: 'state', load: null, latencyMs: 0, ...ok },
      { kind: 'cluster', name: 'test.kusto.windows.net', load: 'alpha', latencyMs: 0, ...ok },
      { kind: 'cluster', name: 'other.kusto.windows.net', load: 'gamma', latencyMs: 0, ...ok },
      { kind: 'bucket', name: 'one', load: 'alpha', latencyMs: 0, ...ok },
      { kind: 'bucket', name: 'two', load: 'gamma', latencyMs: 0, ...ok },
    ],
  });
  expect(asked.sort()).toEqual(['', 'a/']);
  expect(ingestion.callCounts).toMatchObject({ warmUp: 2, describeTable: 2 });
});

test('a bucket whose versions are listed, too, is asked for both', async () => {
  const { loader, readiness } = await withLoads({
    alpha: { source: { bucket: 'one' } },
    beta: { source: { bucket: 'one', pinVersions: true } },
    gamma: { source: { bucket: 'one', pinVersions: true, prefix: 'c/' } },
  });
  const { dependencies } = await readiness(loader);
  expect(dependencies.flatMap(({ kind, load }) => (kind === 'bucket' ? [load] : []))).toEqual([
    'alpha',
    'beta',
  ]);
});

test('names what is in the way, with the remedy and without secrets, and asks the rest', async () => {
  const { loader, source, ingestion, readiness } = await withLoads({ alpha: {} });
  const url = 'https://memory-bucket.s3.amazonaws.com/a?X-Amz-Signature=hidden&X-Amz-Credential=hidden';
  source.failNext('listPage', new LoaderError('sourceAccessDenied', `Refused: ${url}`));
  ingestion.failNext('describeTable', new LoaderError('clusterUnavailable', 'It is stopped.'));
  const answer = await readiness(loader);
  expect(answer).toMatchObject({
    ready: false,
    dependencies: [
      { kind: 'storage', ok: true },
      { kind: 'cluster', ok: false, code: 'clusterUnavailable', message: 'It is stopped.' },
      { kind: 'bucket', code: 'sourceAccessDenied', remedy: ERROR_KINDS.sourceAccessDenied.remedy },
    ],
  });
  expect(JSON.stringify(answer)).not.toMatch(/hidden|X-Amz|\?/);
});

test('credentials and endpoints that a load may not have are told of its bucket and its cluster', async () => {
  const { loader, readiness } = await withLoads({ alpha: {} });
  const refusing: Loader = {
    ...loader,
    source: async () => Promise.reject(new LoaderError('credentialsNotFound', 'There are none.')),
    ingestion: async () => Promise.reject(new LoaderError('endpointNotAllowed', 'It is not listed.')),
  };
  expect((await readiness(refusing)).dependencies.map(({ code }) => code)).toEqual([
    null,
    'endpointNotAllowed',
    'credentialsNotFound',
  ]);
});

test('other credentials for the same bucket are asked for themselves; named keys need no right to list', async () => {
  const { loader, source, readiness } = await withLoads({
    listed: { source: { bucket: 'memory-bucket', credentials: 'one' } },
    named: { source: { bucket: 'memory-bucket', credentials: 'two', files: ['in/a'] } },
  });
  expect((await readiness(loader)).dependencies).toHaveLength(4);
  expect(source.callCounts).toMatchObject({ listPage: 1, head: 1 });
});

test('a table that is not there is no fault of the cluster', async () => {
  const { loader, ingestion, readiness } = await withLoads({ alpha: {} });
  ingestion.failNext('describeTable', new LoaderError('tableNotFound', 'There is no table "T".'));
  expect(await readiness(loader)).toMatchObject({ ready: true });
});

test('storage that is away is the one thing that can be told', async () => {
  const { loader, readiness } = await withLoads({ alpha: {} });
  const away = async () => Promise.reject(new LoaderError('stateUnavailable', 'It does not answer.'));
  for (const broken of [
    { ...loader, documents: { ...loader.documents, list: away } },
    { ...loader, loads: { ...loader.loads, listLocks: away } },
  ])
    expect(await createReadiness()(broken)).toMatchObject({
      ready: false,
      dependencies: [{ kind: 'storage', ok: false, code: 'stateUnavailable' }],
    });
  expect((await readiness(loader)).ready).toBe(true);
});

test('does not wait longer than five seconds for anybody, and gives the listing up', async () => {
  const { loader, source, ingestion, readiness } = await withLoads({ alpha: {} });
  vi.useFakeTimers();
  let given: AbortSignal | undefined;
  const never = () => new Promise<never>(() => {});
  const asked = readiness({
    ...loader,
    ingestion: async () => ({ ...ingestion, warmUp: never }),
    source: async () => ({
      ...source,
      listPage: ({ signal }) => {
        given = signal;
        return never();
      },
    }),
  });
  await vi.advanceTimersByTimeAsync(4_999);
  expect(given?.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect((await asked).dependencies).toMatchObject([
    { ok: true },
    { code: 'clusterUnavailable', message: 'There was no answer within 5 s' },
    { code: 'sourceUnavailable' },
  ]);
  expect(given?.aborted).toBe(true);
});

test('one answer serves callers of the same time and of ten seconds, a bad one, too', async () => {
  const { loader, source, clock, readiness } = await withLoads({ alpha: {} });
  source.failNext('listPage', new LoaderError('sourceUnavailable', 'away'));
  const answers = await Promise.all([readiness(loader), readiness(loader), readiness(loader)]);
  expect(new Set(answers).size).toBe(1);
  clock.advance(9_999);
  expect(await readiness(loader)).toBe(answers[0]);
  expect(source.callCounts.listPage).toBe(1);
  clock.advance(1);
  expect((await readiness(loader)).ready).toBe(true);
  expect(source.callCounts.listPage).toBe(2);
});

test('asks ten clusters and ten buckets at the most, four of a kind at a time, and says how many it left out', async () => {
  const many = Array.from({ length: 12 }, (_, index) => {
    const source = { bucket: `bucket-${index}` };
    return [`load-${index}`, { source, destination: clusterAt(`c${index}.kusto.windows.net`) }] as const;
  });
  const { loader, source, ingestion, readiness } = await withLoads(Object.fromEntries(many));
  let under = 0;
  let most = 0;
  const slowly = async () => {
    under += 1;
    most = Math.max(most, under);
    await new Promise((resolve) => setTimeout(resolve, 5));
    under -= 1;
  };
  const answer = await readiness({
    ...loader,
    ingestion: async () => ({ ...ingestion, warmUp: slowly }),
    source: async () => source,
  });
  expect(answer).toMatchObject({ ready: true, notAsked: 4 });
  expect(answer.dependencies).toHaveLength(21);
  expect(most).toBe(4);
});
