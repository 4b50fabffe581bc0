import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  type StackUnderTest,
  type StackUnderTestOptions,
  startStackUnderTest,
} from '../e2e/stack-under-test.ts';
import { keyOf, LOAD, openBucket } from './bucket.ts';
import { CHAOS_LOAD, clearFaults, drawFault, type Field } from './faults.ts';
import { createRandom } from './random.ts';
import { SCALED, type Tempo } from './tempo.ts';
import { checkPromises, differenceOfTwins } from './verify.ts';

export interface SeedOptions {
  /** Folder of the app that is held to its promises. Default: the app as it is built. */
  readonly appFolder?: string;
  /** Kills that must have hit work in progress before the seed ends. Default 10. */
  readonly leastKills?: number;
  /** Objects at the beginning. Default 150. */
  readonly objects?: number;
  /** Default: a seed takes about a minute. */
  readonly tempo?: Tempo;
  readonly onStep?: (text: string) => void;
}

/** What a seed came to; one line of results.jsonl. */
export interface SeedResult {
  readonly seed: number;
  readonly seconds: number;
  /** Faults that struck, by name. */
  readonly faults: Readonly<Record<string, number>>;
  /** Kills while a run was under way. */
  readonly kills: number;
  readonly runs: number;
  readonly epochs: number;
  readonly keys: number;
  readonly rows: number;
  /** Objects whose rows are in the table twice although nothing was doubled inside Kusto; each of them flagged. */
  readonly flaggedDoubles: number;
  /** Objects that were doubled inside Kusto and whose run says, once its rows are counted, that there are too many. */
  readonly reportedDoubles: number;
  /** Empty when all promises were kept. */
  readonly broken: readonly string[];
}

const TABLE = 'Chaos';
const MAPPING = JSON.stringify([
  { Column: 'line', Properties: { Path: '$.line' } },
  { Column: 'n', Properties: { Path: '$.n' } },
  { Column: 'Source', Properties: { Transform: 'SourceLocation' } },
]);
/** Numbers of the objects that faults write: behind all others. */
const FIRST_NEW = 50_000;

/** Lets faults strike while runs load objects, then lets everything settle, and holds the app to what it promises. */
export async function runSeed(seed: number, options: SeedOptions = {}): Promise<SeedResult> {
  const { leastKills = 10, objects = 150, tempo = SCALED, onStep = () => undefined, appFolder } = options;
  const random = createRandom(seed, 0);
  const activitiesTwice = random.chance(50);
  const began = Date.now();
  const differences: string[] = [];
  const stackOptions: StackUnderTestOptions = {
    timeScale: tempo.timeScale,
    sessionTimeScale: tempo.sessionTimeScale,
    settings: tempo.settings,
    host: {
      activitiesTwice,
      logLevel: 'information',
      onLog: (line) => {
        const difference = differenceOfTwins(line);
        if (difference !== null) differences.push(difference);
      },
      ...(appFolder === undefined ? {} : { appFolder }),
    },
  };
  const under = await startStackUnderTest(stackOptions);
  const folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-chaos-'));
  const bucket = await openBucket(under.stack.s3, folder);
  const sequence: string[] = [];
  let kills = 0;
  let extra = 0;
  const doubled = new Set<string>();
  const silenced = new Set<string>();
  const field: Omit<Field, 'random'> = {
    under,
    bucket,
    tempo,
    doubled,
    silenced,
    writeNew: async () => {
      const key = keyOf(FIRST_NEW + extra++);
      await bucket.write(key);
      return key;
    },
    currentRun: () => currentRun(under),
    restart: async () => void (await under.stack.restartHost()),
    noteKill: (hitWork) => void (kills += hitWork ? 1 : 0),
  };
  try {
    await under.createTable(TABLE);
    // ADX's own default, so that messages wait as long as they do there.
    await under.kusto.command(`.delete table ${TABLE} policy ingestionbatching`);
    await under.kusto.command(`.alter-merge table ${TABLE} (Source:string)`);
    await under.kusto.command(`.create table ${TABLE} ingestion parquet mapping 'chaos' '${MAPPING}'`);
    await under.putLoad(LOAD, { ...CHAOS_LOAD, destination: { table: TABLE, mapping: 'chaos' } });
    let written = 0;
    const writeMore = async (count: number) => {
      for (const last = written + count; written < last; written += 1) await bucket.write(keyOf(written));
    };
    await writeMore(objects);
    const until = Date.now() + tempo.mostChaosMs;
    while (kills < leastKills && Date.now() < until) {
      if ((await field.currentRun()) === null) {
        await writeMore(random.int(10, 40));
        await start(under, random.chance(30));
      }
      const drawn = drawFault(seed, sequence.length + 1);
      const { name } = drawn.fault;
      onStep(`${name} (${kills} kills)`);
      sequence.push(name);
      await drawn.fault.strike({ ...field, random: drawn.random });
      await sleep(drawn.random.int(0, tempo.pauseMs));
    }
    onStep('all faults end');
    clearFaults(field);
    await settleEverything(under, tempo, onStep);
    const checked = await checkPromises({ under, bucket, doubled, silenced, table: TABLE });
    checked.broken.push(...differences);
    if (kills < leastKills) checked.broken.push(`Only ${kills} kills hit work in progress within the time`);
    return {
      seed,
      seconds: Math.round((Date.now() - began) / 1000),
      faults: Object.fromEntries(
        [...new Set(sequence)].sort().map((name) => [name, sequence.filter((one) => one === name).length]),
      ),
      kills,
      keys: bucket.keys.size,
      ...checked,
    };
  } finally {
    bucket.close();
    await under.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Asks the app, which may just be away. */
async function ask<Answer>(work: () => Promise<Answer>): Promise<Answer | null> {
  try {
    return await work();
  } catch {
    return null;
  }
}

async function currentRun({ app }: StackUnderTest): Promise<string | null> {
  const answer = await ask(() => app.request('GET', `/api/runs?load=${LOAD}&limit=1`));
  const latest = answer?.body?.runs?.[0] as { runId: string; finalState: string | null } | undefined;
  return latest === undefined || latest.finalState !== null ? null : latest.runId;
}

async function start({ app }: StackUnderTest, retryFailed: boolean): Promise<void> {
  await ask(() => app.request('POST', `/api/loads/${LOAD}/runs`, { retryFailed }));
}

/** Runs of the load, again and again, until one finds nothing to do and nothing is left open. */
async function settleEverything(
  under: StackUnderTest,
  { mostSettlingMs, waitForFenceMs }: Tempo,
  onStep: (text: string) => void,
): Promise<void> {
  const until = Date.now() + mostSettlingMs;
  for (let round = 1; Date.now() < until; round += 1) {
    while ((await currentRun(under)) !== null && Date.now() < until) await sleep(100);
    await start(under, true);
    const runId = await currentRun(under);
    if (runId === null) {
      await sleep(200);
      continue;
    }
    const status = await ask(() => under.waitForEnd(runId, until - Date.now()));
    const summary = status?.summary;
    onStep(`settling, round ${round}: ${summary?.state} ${JSON.stringify(summary?.objects)}`);
    if (summary === null || summary === undefined) continue;
    const { unknown, deferred, notStarted, failed } = summary.objects;
    const isQuiet = summary.plan.selected === 0 && (summary.plan.skipped.unsettled ?? 0) === 0;
    if (isQuiet && summary.problem === null && unknown + deferred + notStarted + failed === 0) return;
    // Whatever is open waits for its fence.
    if (unknown + deferred > 0) await sleep(waitForFenceMs);
  }
}
