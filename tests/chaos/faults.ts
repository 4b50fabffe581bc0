import { setTimeout as sleep } from 'node:timers/promises';

import type { IngestionFault, RequestFault } from '../../dev/kusto/faults.ts';
import type { FaultAction } from '../../dev/s3/index.ts';
import type { StorageFaultRule } from '../../dev/storage-proxy/index.ts';
import type { StackUnderTest } from '../e2e/stack-under-test.ts';
import { type ChaosBucket, LOAD } from './bucket.ts';
import { createRandom, type Random } from './random.ts';
import type { Tempo } from './tempo.ts';

/** What the faults work on. */
export interface Field {
  readonly under: StackUnderTest;
  readonly bucket: ChaosBucket;
  readonly random: Random;
  readonly tempo: Tempo;
  /** Keys whose messages Kusto ingests twice. */
  readonly doubled: Set<string>;
  /** Keys whose status Kusto keeps to itself. */
  readonly silenced: Set<string>;
  /** Writes an object under a new key, which no run has seen yet. */
  writeNew(): Promise<string>;
  /** The run that is under way, if any. */
  currentRun(): Promise<string | null>;
  /** Starts the host again, after it was killed. */
  restart(): Promise<void>;
  /** Notes a kill; `true` when it met a run under way. */
  noteKill(hitWork: boolean): void;
}

interface Fault {
  readonly name: string;
  /** How often it is chosen, beside the others. */
  readonly weight: number;
  strike(field: Field): Promise<void>;
}

const control = (field: Field) => field.under.stack.kusto.control;
const proxy = (field: Field) => field.under.stack.storage;
const aKey = ({ bucket, random }: Field) => random.pick([...bucket.keys.keys()]);
/** As it stands in the URLs that the Kusto endpoint sees. */
const inUrl = (key: string) => key.split('/').at(-1)!;

/** Kills the host before or after its n-th side effect from now on: the request is held up, and the host dies meanwhile. */
async function killAtSideEffect(field: Field): Promise<void> {
  const { random, under, tempo } = field;
  const when = random.pick(['before', 'after'] as const);
  const target = random.pick([
    { service: 'table', method: 'POST' },
    { service: 'table', method: 'PUT' },
    { service: 'blob', method: 'PUT' },
    { service: 'queue', method: 'POST', path: '-ready-' },
  ] as const);
  const id = proxy(field).injectFault({
    ...target,
    skip: random.int(0, 30),
    count: 1,
    action: { kind: 'delay', delayMs: 20_000, when },
  });
  const isHit = () =>
    proxy(field)
      .faults()
      .some((fault) => fault.id === id && fault.hits > 0);
  for (const until = Date.now() + tempo.mostToKillMs; !isHit() && Date.now() < until; ) await sleep(5);
  const hitWork = (await field.currentRun()) !== null;
  await under.stack.host.kill('SIGKILL');
  proxy(field).removeFault(id);
  field.noteKill(hitWork);
  await field.restart();
}

const ofStorage = (
  name: string,
  weight: number,
  rule: (random: Random, tempo: Tempo) => StorageFaultRule,
): Fault => ({
  name,
  weight,
  strike: async (field) => void proxy(field).injectFault(rule(field.random, field.tempo)),
});
const ofS3 = (
  name: string,
  weight: number,
  operation: string,
  action: (random: Random) => FaultAction,
): Fault => ({
  name,
  weight,
  strike: async (field) =>
    void field.under.stack.s3.injectFault({
      operation,
      skip: field.random.int(0, 5),
      times: field.random.int(1, 3),
      action: action(field.random),
    }),
});
const ofIngestion = (
  name: string,
  weight: number,
  fault: Omit<IngestionFault, 'match'> | ((tempo: Tempo, random: Random) => Omit<IngestionFault, 'match'>),
  note: (field: Field, key: string) => void = () => undefined,
): Fault => ({
  name,
  weight,
  strike: async (field) => {
    // Of an object that is there already, the message may be through.
    const key = field.random.chance(70) ? await field.writeNew() : aKey(field);
    note(field, key);
    const what = typeof fault === 'function' ? fault(field.tempo, field.random) : fault;
    control(field).faults.addIngestionFault({ match: inUrl(key), count: 1, ...what });
  },
});
const ofCluster = (name: string, weight: number, fault: RequestFault): Fault => ({
  name,
  weight,
  strike: async (field) => {
    control(field).faults.addRequestFault({ count: field.random.int(1, 3), ...fault });
  },
});

const FAULTS: readonly Fault[] = [
  { name: 'kill', weight: 30, strike: killAtSideEffect },
  // The message is in, and whoever posted it never hears of it.
  ofStorage('post cut after it was in', 6, (random) => ({
    service: 'queue',
    method: 'POST',
    path: '-ready-',
    skip: random.int(0, 10),
    count: random.int(1, 4),
    action: { kind: 'reset', when: 'after' },
  })),
  ofStorage('post cut before it was in', 3, (random) => ({
    service: 'queue',
    method: 'POST',
    path: '-ready-',
    skip: random.int(0, 10),
    count: random.int(1, 4),
    action: { kind: 'reset', when: 'before' },
  })),
  ofStorage('queues busy', 4, (random) => ({
    service: 'queue',
    method: 'POST',
    path: '-ready-',
    count: random.int(3, 12),
    action: { kind: 'error', code: 'ServerBusy' },
  })),
  ofStorage('storage answers lost', 5, (random) => ({
    service: random.pick(['table', 'blob']),
    skip: random.int(0, 20),
    count: random.int(1, 3),
    action: { kind: 'reset', when: 'after' },
  })),
  ofStorage('storage busy', 4, (random) => ({
    service: random.pick(['table', 'blob']),
    skip: random.int(0, 20),
    count: random.int(1, 4),
    action: { kind: 'error', code: random.pick(['ServerBusy', 'InternalError', 'OperationTimedOut']) },
  })),
  // Longer than a run may be silent: it is taken over, and then the old epoch goes on where it was.
  ofStorage('a part falls asleep', 8, (random, { asleepMs, mostAsleep }) => ({
    service: 'table',
    method: 'POST',
    skip: random.int(0, 30),
    count: random.int(1, mostAsleep),
    action: { kind: 'delay', delayMs: random.int(...asleepMs), when: random.pick(['before', 'after']) },
  })),
  {
    name: 'storage cut off',
    weight: 4,
    strike: async (field) => {
      // Not the queues: Kusto could not take away what it has ingested, and would ingest it twice.
      const service = field.random.pick(['table', 'blob'] as const);
      await proxy(field).refuseConnections(service);
      await sleep(field.random.int(50, 600));
      await proxy(field).acceptConnections(service);
    },
  },
  ofS3('S3 throttles listings', 3, 'ListObjectsV2', (random) => ({
    kind: 'error',
    code: random.pick(['SlowDown', 'InternalError', 'ServiceUnavailable']),
  })),
  ofS3('S3 resets listings', 2, 'ListObjectsV2', () => ({ kind: 'reset', when: 'before' })),
  ofS3('credentials end while listing', 1, 'ListObjectsV2', () => ({ kind: 'error', code: 'ExpiredToken' })),
  ofS3('S3 throttles downloads', 3, 'GetObject', (random) => ({
    kind: 'error',
    code: random.pick(['SlowDown', 'InternalError']),
  })),
  ofS3('downloads are reset', 3, 'GetObject', () => ({ kind: 'reset', when: 'body', afterBytes: 5 })),
  ofS3('downloads are cut short', 3, 'GetObject', () => ({ kind: 'truncate', afterBytes: 5 })),
  ofS3('a download is refused', 2, 'GetObject', () => ({ kind: 'error', code: 'AccessDenied' })),
  ofS3('the signature has ended', 2, 'GetObject', () => ({ kind: 'error', code: 'ExpiredToken' })),
  ofS3('HEAD fails', 2, 'HeadObject', () => ({ kind: 'error', code: 'InternalError' })),
  ofIngestion('message lost in Kusto', 4, { action: 'lose' }),
  ofIngestion('message doubled in Kusto', 3, { action: 'deliverTwice' }, (field, key) =>
    field.doubled.add(key),
  ),
  ofIngestion('status never reported', 4, { action: 'suppressStatus' }, (field, key) =>
    field.silenced.add(key),
  ),
  ofIngestion('status late', 6, ({ lateStatusMs }) => ({ action: 'delay', delayMs: lateStatusMs })),
  // Before or after its URL has ended and its fence passed.
  ofIngestion('download late', 5, ({ lateDownloadMs }, random) => ({
    action: 'downloadLate',
    delayMs: random.int(...lateDownloadMs),
  })),
  ofIngestion('ingestion fails for a while', 3, { action: 'failTransient' }),
  ofIngestion('ingestion fails for good', 3, { action: 'failPermanent' }),
  ofIngestion('ingestion throttled', 2, { action: 'failPermanent', errorCode: 'General_ThrottledIngestion' }),
  ofCluster('Kusto refuses commands', 3, { kind: 'mgmt', action: 'status', status: 503 }),
  ofCluster('Kusto throttles', 3, { kind: '*', action: 'status', status: 429 }),
  ofCluster('Kusto drops connections', 2, { kind: '*', action: 'drop' }),
  ofCluster('Kusto refuses the token', 1, { kind: 'mgmt', action: 'status', status: 401 }),
  ofCluster('keys of the queues have ended', 2, { kind: 'resources', action: 'expiredSas' }),
  {
    name: 'object overwritten',
    weight: 8,
    strike: async (field) => field.bucket.write(aKey(field)),
  },
  {
    name: 'object deleted',
    weight: 3,
    strike: async (field) => field.bucket.remove(aKey(field)),
  },
  {
    name: 'instance terminated',
    weight: 3,
    strike: async (field) => {
      const runId = await field.currentRun();
      if (runId === null) return;
      const part = field.random.pick(['', '-planner', '-lane-0', '-lane-1', '-settler-0']);
      const { url, systemKey } = field.under.stack.host;
      // Of any epoch that the run may have; the others answer 404.
      for (const epoch of [1, 2, 3, 4]) {
        const path = `/runtime/webhooks/durabletask/instances/${runId}-e${epoch}${part}/terminate?reason=chaos&code=${systemKey}`;
        await fetch(new URL(path, url), { method: 'POST' }).catch(() => undefined);
      }
    },
  },
  {
    name: 'run suspended for a while',
    weight: 2,
    strike: async (field) => {
      const runId = await field.currentRun();
      if (runId === null) return;
      const ask = (verb: string) =>
        field.under.app.request('POST', `/api/runs/${runId}/${verb}`).catch(() => undefined);
      await ask('suspend');
      await sleep(field.random.int(50, 500));
      await ask('resume');
    },
  },
  {
    name: 'run cancelled',
    weight: 1,
    strike: async (field) => {
      const runId = await field.currentRun();
      if (runId !== null)
        await field.under.app.request('POST', `/api/runs/${runId}/cancel`).catch(() => undefined);
    },
  },
];

/**
 * The n-th fault of a seed, from 1 on, by its weight, and the numbers that all about it is drawn from: it is the same
 * whatever the earlier ones have met, so that a seed can be run again.
 */
export function drawFault(seed: number, n: number): { readonly fault: Fault; readonly random: Random } {
  const random = createRandom(seed, n);
  let left = random.next() * FAULTS.reduce((sum, { weight }) => sum + weight, 0);
  return { fault: FAULTS.find(({ weight }) => (left -= weight) < 0) ?? FAULTS[0]!, random };
}

/** Whatever was injected has no effect any more. */
export function clearFaults({ under }: Pick<Field, 'under'>): void {
  under.stack.storage.clearFaults();
  under.stack.s3.clearFaults();
  under.stack.kusto.control.faults.clear();
}

/** The load's definition: packs of five, so that there are many activities. */
export const CHAOS_LOAD = {
  source: { prefix: `${LOAD}/` },
  // Of this format the loader knows how many rows an object holds, and so tells what was doubled inside Kusto.
  format: { type: 'parquet' },
  reconcile: { parquetFooters: true, sourcePathColumn: 'Source' },
  changed: 'reload',
  concurrency: { lanes: 2, objectsPerActivity: 5, maxInFlight: 400 },
  retry: { attempts: 3, firstDelaySeconds: 30 },
};
