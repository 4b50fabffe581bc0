import { finishedShard } from '../../functions/orchestrators/load-shard.ts';
import type { FinishedShard, IngestUnitOutput, RunRef } from '../../shared/contracts/durable.ts';
import { finishRun } from '../../shared/usecases/finish-run.ts';
import { ingestUnit } from '../../shared/usecases/ingest-unit.ts';
import { planPage } from '../../shared/usecases/plan-page.ts';
import { settleShard } from '../../shared/usecases/settle-shard.ts';
import { takePosted } from '../../shared/usecases/take-posted.ts';
import { takeShard } from '../../shared/usecases/take-shard.ts';
import type { Call } from './scheduler.ts';
import type { Play, Stage } from './stage.ts';

/** What ADX may do with the messages that it has. */
export type Word =
  | 'reports success'
  | 'reports failure'
  | 'loads silently'
  | 'does nothing'
  /** Its report comes at any time afterwards. */
  | 'reads, and reports later';

export type Activity = 'planPage' | 'takeShard' | 'ingestUnit' | 'takePosted' | 'settleShard' | 'finishRun';

/** All that an activity of a run touches. */
export function resourcesOf(activity: Activity, { runId }: RunRef): readonly string[] {
  const [rows, documents] = [`runs ${runId}`, `documents ${runId}`];
  switch (activity) {
    case 'planPage':
      return [rows, documents, 'loads', 'source', 'ledger'];
    case 'takeShard':
      return [rows, documents];
    case 'takePosted':
      return [rows];
    case 'ingestUnit':
      return [rows, documents, 'source', 'ledger', 'ingestion'];
    case 'settleShard':
      return [rows, documents, 'source', 'ledger', 'ingestion', 'loads'];
    case 'finishRun':
      return [rows, documents, 'ledger', 'ingestion', 'loads'];
  }
}

export interface InstanceOptions {
  /** What ADX may do when the run first waits for it. */
  readonly words: readonly Word[];
  /** The first execution of this activity has a twin, which may live as long as it likes. Steps begin with it. */
  readonly twinOf?: Activity;
  /** Steps begin with the first execution of this activity. */
  readonly stepsFrom?: Activity;
  /** The first execution of this activity is an actor of its own, and the instance ends there. Steps begin with it. */
  readonly endsAt?: Activity;
  /** The instance goes no further than to this activity. */
  readonly breaksOffAt?: Activity;
}

/** Ends an instance where its options say. */
class Reached extends Error {}

const MOST_TURNS = 30;

/**
 * Carries out an epoch of a run as its orchestrations do, one part after the other: planner, lane, settler, finish. The
 * parts of a real run are at work at the same time; what of that matters is in the scenarios with twins.
 */
export async function runInstance(
  stage: Stage,
  play: Play,
  ref: RunRef,
  { words, twinOf, stepsFrom, endsAt, breaksOffAt }: InstanceOptions,
): Promise<void> {
  let hasTwin = false;
  const act: Act = async (activity, work) => {
    const limits = { epoch: ref.epoch, isMortal: true, uses: resourcesOf(activity, ref) };
    if (breaksOffAt === activity) throw new Reached();
    if (endsAt === activity) {
      stage.spawn(`old ${activity}`, limits, work);
      throw new Reached();
    }
    if (stepsFrom === activity) play.beginSteps();
    if (twinOf === activity && !hasTwin) {
      hasTwin = true;
      play.beginSteps();
      stage.spawn(`twin of ${activity}`, limits, work);
    }
    return work(play);
  };
  try {
    await runPlanner(ref, act);
    await runLane(stage, play, ref, act);
    await runSettler(stage, play, ref, words, act);
    await act('finishRun', async ({ loader }) => {
      const summary = await finishRun(loader, ref);
      if (summary !== null) stage.agree(stage.world.canonical(`finishRun ${ref.runId}`), summary);
    });
  } catch (thrown) {
    if (!(thrown instanceof Reached)) throw thrown;
  }
}

type Act = <Output>(activity: Activity, work: (play: Play) => Promise<Output>) => Promise<Output>;

async function runPlanner(ref: RunRef, act: Act): Promise<void> {
  let page = 0;
  let attempt = 0;
  while (attempt < MOST_TURNS) {
    const input = { ...ref, page, attempt };
    const answer = await act('planPage', ({ loader }) => planPage(loader, input));
    if (answer.kind === 'stop') return;
    attempt += 1;
    if (answer.kind !== 'page') continue;
    page = answer.next;
    attempt = 0;
  }
}

async function runLane(stage: Stage, play: Play, ref: RunRef, act: Act): Promise<void> {
  let finished: FinishedShard | null = null;
  for (let turn = 0; turn < MOST_TURNS; turn += 1) {
    const input = { ...ref, lane: 0, turn, finished };
    const answer = await act('takeShard', async ({ loader }) => {
      const given = await takeShard(loader, input);
      if (given.kind === 'shard') stage.agree(`takeShard ${ref.epoch} ${turn}`, given);
      return given;
    });
    finished = null;
    if (answer.kind === 'stop') return;
    if (answer.kind === 'wait') {
      await wait(stage, play, answer.waitMs);
      continue;
    }
    finished = await loadShard(ref, act, answer);
  }
}

async function loadShard(
  ref: RunRef,
  act: Act,
  { shard, units }: { readonly shard: string; readonly units: number },
): Promise<FinishedShard> {
  const outputs: IngestUnitOutput[] = [];
  for (let unit = 0; unit < units; unit += 1)
    outputs.push(await act('ingestUnit', ({ loader }) => ingestUnit(loader, { ...ref, shard, unit })));
  return finishedShard(shard, outputs);
}

async function runSettler(
  stage: Stage,
  play: Play,
  ref: RunRef,
  words: readonly Word[],
  act: Act,
): Promise<void> {
  const heard = new Set<string>();
  let finished: FinishedShard | null = null;
  for (let turn = 0; turn < MOST_TURNS; turn += 1) {
    const input = { ...ref, settler: 0, turn, finished };
    const answer = await act('takePosted', async ({ loader }) => {
      const given = await takePosted(loader, input);
      if ('shard' in given)
        stage.agree(stage.world.canonical(`takePosted ${ref.runId} ${ref.epoch} ${turn}`), given.shard);
      return given;
    });
    finished = null;
    if (answer.kind === 'stop') return;
    if (answer.kind === 'wait') {
      await hear(stage, play, words, heard);
      await wait(stage, play, answer.waitMs);
      continue;
    }
    if (answer.kind === 'load') {
      finished = await loadShard(ref, act, answer);
      continue;
    }
    const { shard } = answer;
    await act('settleShard', ({ loader }) => settleShard(loader, { ...ref, settler: 0, shard }));
  }
}

/** Lets ADX do something with the messages that it has not touched yet. */
async function hear(stage: Stage, play: Play, words: readonly Word[], heard: Set<string>): Promise<void> {
  const { world } = stage;
  const open = world.messages.filter(
    ({ sourceId, hasArrived, report }) => hasArrived && report === null && !heard.has(sourceId),
  );
  if (open.length === 0) return;
  for (const { sourceId } of open) heard.add(sourceId);
  let said: string | null = null;
  await stepOf(play, {
    name: 'ADX',
    changes: false,
    endings: words,
    perform: async (word) => {
      said = word;
      for (const message of open) {
        if (word !== 'reports failure' && word !== 'does nothing') world.load(message);
        if (word === 'reports success' && message.hasRows) world.report(message, 'Succeeded');
        if (word === 'reports failure') world.report(message, 'Failed');
      }
    },
  });
  if (said !== 'reads, and reports later') return;
  stage.spawn('ADX', { epoch: null, uses: ['ingestion'] }, ({ actor }) =>
    actor.call({
      name: 'reports',
      resource: 'ingestion',
      changes: true,
      perform: async () => {
        for (const message of open) if (message.hasRows) world.report(message, 'Succeeded');
      },
      tell: () => '',
    }),
  );
}

/** A step that is no call of a port. */
async function stepOf({ actor, isStepwise }: Play, call: Call): Promise<void> {
  await (isStepwise() ? actor.call(call) : call.perform(call.endings?.[0] ?? ''));
}

export async function wait({ world }: Stage, play: Play, ms: number): Promise<void> {
  await stepOf(play, { name: 'clock', changes: false, perform: async () => world.clock.advance(ms) });
}
