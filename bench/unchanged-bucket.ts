import { createAwsSource } from '../shared/adapters/s3/aws-source.ts';
import { PAYLOAD_VERSION } from '../shared/contracts/durable.ts';
import type { LedgerEntry } from '../shared/domain/ledger-entry.ts';
import type { S3Object } from '../shared/domain/s3-object.ts';
import type { Orchestrations } from '../shared/ports/orchestrations.ts';
import type { Source } from '../shared/ports/source.ts';
import type { Loader } from '../shared/usecases/loader.ts';
import { planPage } from '../shared/usecases/plan-page.ts';
import { planOfRun } from '../shared/usecases/run-totals.ts';
import type { BenchRun } from './bench.ts';

export const BUCKET = 'bench';
export const LOAD = 'bench';

const SEEDED_AT_ONCE = 10_000;

/** The parts that plan are called directly. */
export const NO_ORCHESTRATIONS: Orchestrations = {
  startRun: async () => true,
  startOperation: async () => true,
  status: async () => 'active',
  purge: async () => 0,
  terminate: async () => undefined,
};

/** How the local S3 endpoint is reached. */
export interface S3Settings {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The bucket by the product's own adapter. */
export function sourceOf({ endpoint, region, accessKeyId, secretAccessKey }: S3Settings): Source {
  return createAwsSource({
    bucket: BUCKET,
    region,
    endpoint,
    pathStyle: true,
    credentials: { kind: 'keys', accessKeyId, secretAccessKey },
  });
}

/** Objects in folders of 1,000. */
export function* objectsOf(count: number): Generator<{ key: string; body: string }> {
  for (let index = 0; index < count; index += 1) {
    const folder = String(Math.floor(index / 1000)).padStart(4, '0');
    yield { key: `data/${folder}/part-${String(index).padStart(8, '0')}.json`, body: '{}' };
  }
}

/** The ledger as it is after a run that has ingested everything. @returns how long writing it took, in milliseconds. */
export async function seedLedger({ signal }: BenchRun, { ledger }: Loader, source: Source): Promise<number> {
  let writingMs = 0;
  const at = new Date().toISOString();
  let entries: LedgerEntry[] = [];
  let isLast = false;
  let startAfter: string | null = null;
  while (!isLast) {
    signal.throwIfAborted();
    const page: Awaited<ReturnType<Source['listPage']>> = await source.listPage({ prefix: '', startAfter });
    entries.push(...page.objects.map((object) => ingested(object, at)));
    startAfter = page.objects.at(-1)?.key ?? startAfter;
    ({ isLast } = page);
    if (entries.length < SEEDED_AT_ONCE && !isLast) continue;
    const startedAt = performance.now();
    await ledger.write(
      { load: LOAD, generation: 1 },
      entries.map((entry) => ({ entry, etag: null })),
    );
    writingMs += performance.now() - startedAt;
    entries = [];
  }
  return writingMs;
}

function ingested({ key, version, sizeBytes }: S3Object, at: string): LedgerEntry {
  return {
    key,
    version,
    sizeBytes,
    state: 'ingested',
    runId: 'bench-20260101T000000Z-0000',
    epoch: 1,
    sourceId: '00000000-0000-4000-8000-000000000000',
    attemptSeq: 1,
    attempts: 1,
    intentAt: at,
    queuedAt: at,
    settledAt: at,
    urlExpiresAt: at,
    errorCode: null,
    errorMessage: null,
    tag: null,
    repostedUnproven: false,
    fateUnknown: false,
    earlierSourceIds: null,
    otherTags: null,
  };
}

/** Plans as the orchestrator does; returns how many pages there were. */
export async function plan(loader: Loader, runId: string): Promise<number> {
  for (let page = 0; ; ) {
    const answer = await planPage(loader, { v: PAYLOAD_VERSION, runId, epoch: 1, page, attempt: 0 });
    if (answer.kind === 'stop') return page + 1;
    if (answer.kind !== 'page') throw new Error(`Planning was to go on: ${JSON.stringify(answer)}`);
    page = answer.next;
  }
}

/** @throws unless the run has found so many unchanged objects and no others. */
export async function expectUnchanged(loader: Loader, runId: string, objects: number): Promise<void> {
  const planned = planOfRun((await loader.runs.readRun(runId))!);
  if (planned.skipped.unchanged !== objects || planned.listed !== objects)
    throw new Error(`The run was to find ${objects} unchanged objects: ${JSON.stringify(planned)}`);
}
