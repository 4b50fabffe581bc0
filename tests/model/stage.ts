import type { RunRef } from '../../shared/contracts/durable.ts';
import { NO_OPTIONS } from '../../shared/domain/run-record.ts';
import { putLoad } from '../../shared/usecases/load-catalog.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { startRun } from '../../shared/usecases/start-run.ts';
import { tick } from '../../shared/usecases/tick.ts';
import { drive } from '../fakes/memory-orchestrations.ts';
import { definitionOf } from '../fakes/test-loader.ts';
import { type ActorPorts, type Endings, portsOf } from './actor-loader.ts';
import { type Execution, Violation } from './explore.ts';
import { checkAccounts, checkMessages, checkObjects, watchLedger } from './promises.ts';
import { type Actor, type ActorLimits, createScheduler } from './scheduler.ts';
import { createWorld, type World } from './world.ts';

const MINUTE = 60_000;
const BEHIND_THE_FENCE = 8 * 60 * MINUTE;

export interface Scenario {
  /** How posts may end. */
  readonly posts: Endings;
  /** How many actors may die. */
  readonly deaths: number;
  /** Changes of the definition. */
  readonly definition?: Parameters<typeof definitionOf>[0];
  /** Objects have version ids, by which they are read. Default `false`. */
  readonly keepsVersions?: boolean;
  /** Default one object, `in/1`. */
  readonly objects?: number;
  /** Default `true`: after the schedule ADX reports on whatever it has got. `false`: it loads it and says nothing. */
  readonly isReported?: boolean;
  /** Starts the actors. What it does before that is done at once. */
  begin(stage: Stage): Promise<void>;
}

/** Takes a guard away. */
export type Mutation = (loader: Loader, world: World) => Loader;

export interface Play extends ActorPorts {
  readonly actor: Actor;
  /** From now on each call is a step of the schedule. */
  beginSteps(): void;
  isStepwise(): boolean;
}

export interface Stage {
  readonly world: World;
  /** The ports without stops, for what comes before the schedule. */
  readonly loader: Loader;
  /** Starts an actor that works for an epoch of a run; `null` for one that does not, such as the tick. */
  spawn(
    name: string,
    options: ActorLimits & {
      readonly epoch: number | null;
      readonly posts?: Endings;
      /** What it does before it says so is done at once. Default `true`. */
      readonly isStepwise?: boolean;
    },
    script: (play: Play) => Promise<unknown>,
  ): void;
  /** Notes an answer to a question; another answer to the same breaks a promise. */
  agree(question: string, answer: unknown): void;
}

/** Begins an execution of a scenario, in a world of its own. `recovered` holds ends from which the recovery was run. */
export async function beginExecution(
  scenario: Scenario,
  recovered: Set<string>,
  mutate: Mutation = (loader) => loader,
): Promise<Execution> {
  const world = createWorld(scenario.keepsVersions);
  let violation: Violation | null = null;
  const note = (found: Violation) => {
    violation ??= found;
  };
  // What is done again has been watched before.
  let isReplay = false;
  const loader = watchLedger(mutate(world.loader, world), () => isReplay, note);
  const { isReported = true } = scenario;
  await putLoad(loader, 'flights', definitionOf({ concurrency: { lanes: 1 }, ...scenario.definition }));
  for (let number = 1; number <= (scenario.objects ?? 1); number += 1)
    world.source.put({ key: `in/${number}` });

  const scheduler = createScheduler({
    now: world.clock.now,
    told: world.canonical,
    mostDeaths: scenario.deaths,
  });
  const answers = new Map<string, string>();
  const check = async () => {
    const failure = scheduler.failure();
    if (failure !== null)
      throw new Violation(`No activity throws: ${failure.actor}: ${String(failure.error)}`);
    if (violation !== null) throw violation;
    await checkMessages(world);
  };

  await scenario.begin({
    world,
    loader,
    spawn: (name, { epoch, posts = scenario.posts, isStepwise: isAtOnce = true, ...limits }, script) => {
      const guarded = epoch === null ? loader : watchEpoch(loader, epoch, () => isReplay, note);
      let isStepwise = isAtOnce;
      const mode = {
        isStepwise: () => isStepwise,
        beginSteps: () => {
          isStepwise = true;
        },
      };
      scheduler.spawn(
        name,
        (actor) => script({ actor, ...mode, ...portsOf(actor, world, guarded, { posts, ...mode }) }),
        limits,
      );
    },
    agree: (question, answer) => {
      const text = world.canonical(JSON.stringify(answer));
      const first = answers.get(question) ?? text;
      answers.set(question, first);
      if (first !== text) note(new Violation(`Twins get the same answer: ${question}: ${first} and ${text}`));
    },
  });
  await scheduler.settle();

  return {
    options: () => scheduler.options(),
    replay: (histories) => {
      isReplay = histories === null;
      scheduler.replay(histories);
    },
    histories: () => scheduler.histories(),
    fingerprint: () =>
      [world.fingerprint(), scheduler.fingerprint(), JSON.stringify([...answers])].join('\n'),
    check,
    finish: async () => {
      const state = world.fingerprint();
      if (recovered.has(state)) return;
      recovered.add(state);
      await recover(world, loader, { isReported, isByEvents: scenario.definition?.events === true }, check);
      await checkAccounts(world);
      await checkObjects(world, { isReported });
    },
  };
}

/** Nothing that an epoch has decided about a run may be written once a newer one has begun. */
function watchEpoch(
  loader: Loader,
  epoch: number,
  isReplay: () => boolean,
  report: (violation: Violation) => void,
): Loader {
  return {
    ...loader,
    runs: {
      ...loader.runs,
      commit: async (runId, writes) => {
        if (isReplay()) return loader.runs.commit(runId, writes);
        const now = (await loader.runs.readControl(runId))?.run.value.epoch ?? epoch;
        const isWritten = await loader.runs.commit(runId, writes);
        if (isWritten && now > epoch)
          report(new Violation(`An old epoch writes nothing: ${JSON.stringify({ epoch, now, writes })}`));
        return isWritten;
      },
    },
  };
}

/** What comes after a schedule: hosts that start again, ticks, runs that go on, the fence, a last run that retries. */
async function recover(
  world: World,
  loader: Loader,
  { isReported, isByEvents }: { readonly isReported: boolean; readonly isByEvents: boolean },
  check: () => Promise<void>,
): Promise<void> {
  for (const message of world.messages) message.hasArrived = true;
  await tickAndDrive(world, loader, isReported);
  world.clock.advance(BEHIND_THE_FENCE);
  await tickAndDrive(world, loader, isReported);
  // Runs over a listing would find what an event was lost for.
  if (isByEvents) await checkObjects(world, { isReported });
  const runOnce = async (options = NO_OPTIONS) => {
    world.clock.advance(BEHIND_THE_FENCE);
    await startRun(loader, world.orchestrations, { load: 'flights', trigger: 'manual', options });
    await tickAndDrive(world, loader, isReported);
  };
  await runOnce();
  // A run that finds an object open settles it; what its key has become since is for the run after that.
  const ledger = await world.ledger();
  if ([...ledger.values()].some(({ key, version }) => world.source.present(key)?.version !== version))
    await runOnce();
  await checkObjects(world, { isReported });
  await runOnce({ ...NO_OPTIONS, retryFailed: true });
  await check();
  if (!isReported) return;
  for (const entry of (await world.ledger()).values())
    if (entry.state !== 'ingested' && world.source.present(entry.key) !== null)
      throw new Violation(`A retry loads what was not: ${JSON.stringify(entry)}`);
}

/** Longer than it takes to find a silent run twice. */
const TICKS = 20;

async function tickAndDrive(world: World, loader: Loader, isReported: boolean): Promise<void> {
  const driven = new Set<string>();
  for (let minute = 0; minute < TICKS; minute += 1) {
    if (minute > 0 && (await loader.loads.readLock('flights')) === null) return;
    for (const [instance, input] of world.orchestrations.started) {
      const run = (await loader.runs.readControl(input.runId))?.run.value;
      if (run === undefined || run.finalState !== null || run.epoch !== input.epoch || driven.has(instance))
        continue;
      driven.add(instance);
      await drive(loader, world.clock, input, { whenIdle: () => report(world, isReported), mostIdle: 1000 });
    }
    world.clock.advance(MINUTE);
    await tick(loader, world.orchestrations);
  }
}

function report(world: World, isReported: boolean): void {
  for (const message of world.messages.filter((one) => one.report === null)) {
    if (!message.hasRows) world.load(message);
    if (isReported) world.report(message, message.hasRows ? 'Succeeded' : 'Failed');
  }
}

/** Starts the load's first run at once. */
export async function startFirst({ world, loader }: Stage): Promise<RunRef> {
  const { runId } = await startRun(loader, world.orchestrations, { load: 'flights', trigger: 'manual' });
  return { v: 1, runId, epoch: 1 };
}
