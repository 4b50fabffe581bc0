import { app } from '@azure/functions';
import * as df from 'durable-functions';

import '../../functions/orchestrators/orchestrators.ts';
import {
  ACTIVITIES,
  type IngestUnitOutput,
  type LoadRunInput,
  ORCHESTRATORS,
  PAYLOAD_VERSION,
  type PlanPageInput,
  type PlanPageOutput,
  type RunRef,
  type SettleShardOutput,
  type TakePostedInput,
  type TakePostedOutput,
  type TakeShardInput,
  type TakeShardOutput,
} from '../../shared/contracts/durable.ts';
import { layOutShards, type Shard } from '../../shared/domain/shard-layout.ts';
import { settlersFor } from '../../shared/usecases/start-run.ts';

/**
 * The product's orchestrations over activities that return at once: of a run's parts they keep no more than what is to
 * be done next. What is left is the cost of host and orchestrators, as with the naive fan-out of `stand-ins-app`.
 */
interface Run {
  /** Shards of the next plan page; nothing is to be taken before it is planned. */
  planned: Shard[] | null;
  readonly toTake: { readonly shard: string; readonly units: number }[];
  readonly toSettle: string[];
  lanesAtWork: number;
}

/** The defaults of a load. */
const LANES = 4;
const MAX_IN_FLIGHT = 20_000;
const WAIT_MS = 100;

const runs = new Map<string, Run>();

function activity<Input extends RunRef, Output>(name: string, answer: (run: Run, input: Input) => Output) {
  df.app.activity(name, { handler: (input: Input) => answer(runs.get(input.runId)!, input) });
}

activity(ACTIVITIES.planPage, (run, { page }: PlanPageInput): PlanPageOutput => {
  if (run.planned === null) return { kind: 'stop' };
  run.toTake.push(...run.planned.map(({ length }, index) => ({ shard: String(index), units: length })));
  run.planned = null;
  return { kind: 'page', next: page + 1 };
});
activity(ACTIVITIES.takeShard, (run, { finished }: TakeShardInput): TakeShardOutput => {
  if (finished !== null) run.toSettle.push(finished.shard);
  const next = run.toTake.shift();
  if (next !== undefined) return { kind: 'shard', ...next, attempt: 1 };
  if (run.planned !== null) return { kind: 'wait', waitMs: WAIT_MS };
  run.lanesAtWork -= 1;
  return { kind: 'stop' };
});
activity(ACTIVITIES.ingestUnit, (): IngestUnitOutput => ({ ok: true }));
activity<TakePostedInput, TakePostedOutput>(ACTIVITIES.takePosted, (run) => {
  const shard = run.toSettle.shift();
  if (shard !== undefined) return { kind: 'settle', shard };
  return run.lanesAtWork === 0 ? { kind: 'stop' } : { kind: 'wait', waitMs: WAIT_MS };
});
activity(ACTIVITIES.settleShard, (): SettleShardOutput => ({ ok: true, settled: true }));
activity(ACTIVITIES.finishRun, () => null);

app.http('start', {
  route: 'start/{objects}/{objectsPerActivity}',
  methods: ['POST'],
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const [objects, objectsPerActivity] = [request.params.objects, request.params.objectsPerActivity].map(
      Number,
    );
    const runId = `run-${runs.size}`;
    runs.set(runId, {
      planned: [
        ...layOutShards(
          Array.from({ length: objects! }, (_, n) => ({
            key: `data/${n}.json`,
            version: 'v',
            sizeBytes: 1,
            reason: 'new' as const,
          })),
          { lanes: LANES, objectsPerActivity: objectsPerActivity!, maxInFlight: MAX_IN_FLIGHT },
        ),
      ],
      toTake: [],
      toSettle: [],
      lanesAtWork: LANES,
    });
    const input: LoadRunInput = {
      v: PAYLOAD_VERSION,
      runId,
      epoch: 1,
      lanes: LANES,
      settlers: settlersFor(LANES),
    };
    return { jsonBody: await df.getClient(context).startNew(ORCHESTRATORS.loadRun, { input }) };
  },
});
