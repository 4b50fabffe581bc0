import type { RunRef } from '../../shared/contracts/durable.ts';
import { NO_OPTIONS } from '../../shared/domain/run-record.ts';
import { ingestUnit } from '../../shared/usecases/ingest-unit.ts';
import { planPage } from '../../shared/usecases/plan-page.ts';
import { readSnapshot, writeFacts } from '../../shared/usecases/run-documents.ts';
import { settleShard } from '../../shared/usecases/settle-shard.ts';
import { startRun } from '../../shared/usecases/start-run.ts';
import { takePosted } from '../../shared/usecases/take-posted.ts';
import { takeShard } from '../../shared/usecases/take-shard.ts';
import { tick } from '../../shared/usecases/tick.ts';
import { takeFirstShard } from '../fakes/run-by-hand.ts';
import type { Endings } from './actor-loader.ts';
import { type Activity, resourcesOf, runInstance, type Word, wait } from './scripts.ts';
import { type Scenario, type Stage, startFirst } from './stage.ts';

const MINUTE = 60_000;
const BEHIND_THE_FENCE = 8 * 60 * MINUTE;

/** Every way in which a post can end. */
export const ALL_POSTS: Endings = ['accepted', 'refused', 'ambiguousLost', 'ambiguousArrived', 'arrivesLate'];

/** One activity, executed twice at the same time, before anything else goes on. */
export function twoIngestUnits(posts: Endings, deaths: number): Scenario {
  return {
    posts,
    deaths,
    async begin(stage) {
      const ref = await startFirst(stage);
      const work = await takeFirstShard(stage, ref);
      for (const name of ['one', 'other'])
        stage.spawn(name, { epoch: 1, isMortal: true, uses: resourcesOf('ingestUnit', ref) }, ({ loader }) =>
          ingestUnit(loader, work),
        );
    },
  };
}

/** A settler's turn, executed twice at the same time, of which one goes on and settles its shard; another shard is due, too. */
export function twoTakePosted(deaths: number): Scenario {
  return {
    posts: ['accepted'],
    deaths,
    objects: 2,
    definition: { concurrency: { lanes: 2, objectsPerActivity: 1 } },
    async begin(stage) {
      const { loader, world } = stage;
      const ref = await startFirst(stage);
      const { shard } = await takeFirstShard(stage, ref);
      const next = await takeShard(loader, { ...ref, lane: 1, turn: 0, finished: null });
      if (next.kind !== 'shard') throw new Error('There is no second shard');
      for (const [lane, name] of [shard, next.shard].entries()) {
        await ingestUnit(loader, { ...ref, shard: name, unit: 0 });
        await takeShard(loader, { ...ref, lane, turn: 1, finished: { shard: name, ok: true, code: null } });
      }
      for (const message of world.messages) {
        world.load(message);
        world.report(message, 'Succeeded');
      }
      world.clock.advance(MINUTE);
      const limits = { epoch: 1, isMortal: true, uses: resourcesOf('settleShard', ref) };
      for (const name of ['one', 'other'])
        stage.spawn(name, limits, async (play) => {
          const given = await takePosted(play.loader, { ...ref, settler: 0, turn: 0, finished: null });
          if (given.kind !== 'settle') return;
          stage.agree('takePosted', given.shard);
          if (name === 'one') await settleShard(play.loader, { ...ref, settler: 0, shard: given.shard });
        });
    },
  };
}

export interface TwinOptions {
  readonly posts: Endings;
  readonly deaths: number;
  readonly words: readonly Word[];
  /** Whether the twin may live on while the load's next run, behind the fence, goes from its beginning to its end. */
  readonly withNextRun: boolean;
  /** Where the first run breaks off, as if its host had died; the recovery goes on with it. */
  readonly breaksOffAt?: Activity;
  /** Whether the planner's first steps, before its first page, are part of the schedule. Default `true`. */
  readonly learnsFacts?: boolean;
}

/** A run whose activity has a twin that may live on, and the load's next run. */
export function twinOf(
  activity: Activity,
  { posts, deaths, withNextRun, learnsFacts = true, ...instance }: TwinOptions,
): Scenario {
  return {
    posts,
    deaths,
    async begin(stage) {
      const ref = await startFirst(stage);
      if (!learnsFacts) await learnFacts(stage, ref);
      stage.spawn('first run', { epoch: 1, isStepwise: false }, async (play) => {
        await runInstance(stage, play, ref, { ...instance, twinOf: activity });
        if (!withNextRun) return;
        await wait(stage, play, BEHIND_THE_FENCE);
        startNext(stage, ref, ['reports success']);
      });
    },
  };
}

/**
 * A run retries an object that an earlier one failed to load, and its activity has a twin. The key is overwritten then, and
 * the next run loads the new version.
 */
export function retriedThenRewritten(posts: Endings, deaths: number): Scenario {
  return {
    posts,
    deaths,
    definition: { changed: 'reload' },
    async begin(stage) {
      const { world, loader } = stage;
      const ref = await startFirst(stage);
      const request = { load: 'flights', trigger: 'manual' } as const;
      stage.spawn('first runs', { epoch: 1, isStepwise: false }, async (play) => {
        await runInstance(stage, play, ref, { words: ['reports failure'] });
        await wait(stage, play, MINUTE);
        const options = { ...NO_OPTIONS, retryFailed: true };
        const { runId } = await startRun(loader, world.orchestrations, { ...request, options });
        await runInstance(
          stage,
          play,
          { ...ref, runId },
          { words: ['reports success'], twinOf: 'ingestUnit' },
        );
        world.source.put({ key: 'in/1', sizeBytes: 222 });
        await wait(stage, play, MINUTE);
        startNext(stage, ref, ['reports success']);
      });
    },
  };
}

/** What may happen to a key. */
export type KeyChange = 'put' | 'remove';

export interface RewriteOptions {
  readonly posts: Endings;
  /** What happens to the key, in this order. Default: it is overwritten once. */
  readonly changes?: readonly KeyChange[];
  /** Whether the load's next run, behind the fence, is part of the schedule, too. */
  readonly withNextRun?: boolean;
  /** Whether version ids pin what ADX reads. Default `false`. */
  readonly keepsVersions?: boolean;
  /** Whether the first run's `settleShard` has a twin; its post is no part of the schedule then. Default `false`. */
  readonly isSettledTwice?: boolean;
}

/**
 * The key is overwritten at any time from its post on, and perhaps changed once more at any time after that: before or after ADX reads it, before or after ADX says so, or never
 * told of. Unless the bucket keeps versions nothing pins the version that a URL gives.
 */
export function rewrittenInFlight({
  posts,
  changes = ['put'],
  withNextRun = false,
  isSettledTwice = false,
  keepsVersions = false,
}: RewriteOptions): Scenario {
  return {
    posts,
    keepsVersions,
    deaths: 0,
    definition: { changed: 'reload' },
    async begin(stage) {
      const ref = await startFirst(stage);
      await learnFacts(stage, ref);
      stage.spawn('first run', { epoch: 1, isStepwise: false }, async (play) => {
        await runInstance(stage, play, ref, {
          ...(isSettledTwice
            ? { words: ['reports success'], twinOf: 'settleShard' }
            : {
                words: ['reads, and reports later', 'loads silently', 'reports failure'],
                stepsFrom: 'ingestUnit',
              }),
        });
        if (!withNextRun) return;
        await wait(stage, play, BEHIND_THE_FENCE);
        startNext(stage, ref, ['reports success', 'loads silently']);
      });
      spawnChanges(stage, changes);
    },
  };
}

/** The load's next run, as an actor of its own. */
function startNext(stage: Stage, ref: RunRef, words: readonly Word[]): void {
  stage.spawn('next run', { epoch: 1, posts: ['accepted'] }, async (next) => {
    const request = { load: 'flights', trigger: 'manual' } as const;
    const { runId } = await startRun(next.loader, next.orchestrations, request);
    await runInstance(stage, next, { ...ref, runId }, { words });
  });
}

/** Somebody changes `in/1`, at any times. */
function spawnChanges({ spawn, world }: Stage, changes: readonly KeyChange[]): void {
  spawn('S3', { epoch: null, uses: ['source'] }, async ({ actor }) => {
    for (const change of changes)
      await actor.call({
        name: change,
        resource: 'source',
        changes: true,
        perform: async () =>
          change === 'put'
            ? void world.source.put({ key: 'in/1', sizeBytes: 222 })
            : world.source.remove('in/1'),
        tell: () => '',
      });
  });
}

/**
 * An object that the first run left open is looked at again by the next one, twice at the same time, while ADX may report.
 *
 * @param pauseMs - between the runs. Default long enough for the fence.
 */
export function recheckBesideReport(
  posts: Endings,
  deaths: number,
  pauseMs: number = BEHIND_THE_FENCE,
): Scenario {
  return {
    posts,
    deaths,
    async begin(stage) {
      const { world, loader } = stage;
      const first = await startFirst(stage);
      stage.spawn('first run', { epoch: 1, isStepwise: false, posts: ['accepted'] }, async (play) => {
        await runInstance(stage, play, first, { words: ['loads silently'] });
        world.clock.advance(pauseMs);
        const { runId } = await startRun(loader, world.orchestrations, {
          load: 'flights',
          trigger: 'manual',
        });
        const work = await takeFirstShard(stage, { ...first, runId });
        for (const name of ['one', 'other'])
          stage.spawn(name, { epoch: 1, isMortal: true, uses: resourcesOf('ingestUnit', work) }, (actor) =>
            ingestUnit(actor.loader, work),
          );
        stage.spawn('ADX', { epoch: null, uses: ['ingestion'] }, ({ actor }) =>
          actor.call({
            name: 'reports late',
            resource: 'ingestion',
            changes: true,
            endings: ['Succeeded', 'Nothing'],
            perform: async (word) => {
              if (word === 'Succeeded') world.report(world.messages[0]!, 'Succeeded');
            },
          }),
        );
      });
    },
  };
}

/** An activity of the old epoch is still at work while the run is taken over and the new epoch goes to its end. */
export function takenOverDuring(activity: Activity, posts: Endings, deaths: number): Scenario {
  return {
    posts,
    deaths,
    async begin(stage) {
      const { world, loader } = stage;
      const ref = await startFirst(stage);
      // The planner's first steps, before its first page, would only multiply the orders in which nothing meets.
      if (activity === 'planPage') await learnFacts(stage, ref);
      stage.spawn('old epoch', { epoch: 1, isStepwise: false }, (play) =>
        runInstance(stage, play, ref, { words: ['reports success'], endsAt: activity }),
      );
      stage.spawn('tick', { epoch: null }, async (play) => {
        // Of the tick, what meets the run is done in steps.
        const stepwise = { ...loader, runs: play.loader.runs };
        for (const minutes of [11, 4]) {
          await wait(stage, play, minutes * MINUTE);
          await tick(stepwise, world.orchestrations);
        }
        if (!world.orchestrations.started.has(`${ref.runId}-e2`)) return;
        stage.spawn('new epoch', { epoch: 2, posts: ['accepted'] }, (next) =>
          runInstance(stage, next, { ...ref, epoch: 2 }, { words: ['reports success'] }),
        );
      });
    },
  };
}

/** An announced object is planned, perhaps by several at the same time, while it is overwritten and announced again. */
export function planBesideEvent(planners: number, deaths: number): Scenario {
  return {
    posts: ['accepted'],
    deaths,
    definition: { events: true, changed: 'reload' },
    async begin(stage) {
      const { world, loader } = stage;
      const pending = { load: 'flights', bucket: 'memory-bucket' };
      await loader.loads.addPending(pending, ['in/1']);
      await tick(loader, world.orchestrations);
      const { runId } = [...world.orchestrations.started.values()][0]!;
      const ref: RunRef = { v: 1, runId, epoch: 1 };
      await learnFacts(stage, ref);
      for (let number = 1; number <= planners; number += 1)
        stage.spawn(
          `planner ${number}`,
          { epoch: 1, isMortal: true, uses: resourcesOf('planPage', ref) },
          (play) => planPage(play.loader, { ...ref, page: 0, attempt: 0 }),
        );
      stage.spawn('S3', { epoch: null, uses: ['source', 'loads'] }, async ({ actor, loader: ports }) => {
        await actor.call({
          name: 'put',
          resource: 'source',
          changes: true,
          perform: async () => world.source.put({ key: 'in/1', sizeBytes: 222 }),
          tell: () => '',
        });
        await ports.loads.addPending(pending, ['in/1']);
      });
    },
  };
}

/** What the planner learns before its first page, once per run. */
async function learnFacts({ loader }: Stage, { runId }: RunRef): Promise<void> {
  await readSnapshot(loader, runId);
  await writeFacts(loader, runId, { v: 1, batchingWindowMs: 5 * MINUTE, unsettled: [] });
}
