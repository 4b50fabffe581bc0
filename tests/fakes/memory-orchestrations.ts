import { finishedShard } from '../../functions/orchestrators/load-shard.ts';
import type { FinishedShard, LoadRunInput, OperationInput } from '../../shared/contracts/durable.ts';
import type { RunSummary } from '../../shared/domain/run-summary.ts';
import type { Orchestrations } from '../../shared/ports/orchestrations.ts';
import { finishRun } from '../../shared/usecases/finish-run.ts';
import { ingestUnit } from '../../shared/usecases/ingest-unit.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { planPage } from '../../shared/usecases/plan-page.ts';
import { settleShard } from '../../shared/usecases/settle-shard.ts';
import { takePosted } from '../../shared/usecases/take-posted.ts';
import { takeShard } from '../../shared/usecases/take-shard.ts';
import type { TestClock } from './test-loader.ts';

export interface MemoryOrchestrations extends Orchestrations {
  /** Inputs of the runs that were started and not yet driven, by instance id. */
  readonly started: Map<string, LoadRunInput>;
  /** Inputs of the operations that were started, by instance id. */
  readonly operations: Map<string, OperationInput>;
  readonly terminated: readonly string[];
  /** Instants up to which histories were removed. */
  readonly purges: readonly Date[];
}

/** Notes what was started; `drive` carries it out. */
export function createMemoryOrchestrations(): MemoryOrchestrations {
  const started = new Map<string, LoadRunInput>();
  const operations = new Map<string, OperationInput>();
  const terminated: string[] = [];
  const purges: Date[] = [];
  return {
    purges,
    purge: async (createdBefore) => {
      purges.push(createdBefore);
      return 0;
    },
    started,
    operations,
    terminated,
    startOperation: async (instanceId, input) => {
      if (operations.has(instanceId)) return false;
      operations.set(instanceId, input);
      return true;
    },
    startRun: async (instanceId, input) => {
      if (started.has(instanceId)) return false;
      started.set(instanceId, input);
      return true;
    },
    status: async (instanceId) =>
      started.has(instanceId) || operations.has(instanceId) ? 'active' : 'absent',
    terminate: async (instanceId) => void terminated.push(instanceId),
  };
}

export interface DriveOptions {
  /** Runs each activity twice, at the same time, and goes on with the first answer. */
  readonly twice?: boolean;
  /** The host that the activities run on, if it can die. */
  readonly host?: MortalHost;
  /** Called whenever every part waits, before the clock moves on. */
  readonly whenIdle?: () => void;
  readonly mostIdle?: number;
}

/** A host that dies: whatever its activities answer then, nobody hears it, and they run again after the restart. */
export interface MortalHost {
  /** How often it has died. */
  deaths(): number;
  restart(): void;
}

/**
 * Carries a run out as the orchestrators do, part by part in one thread, moving the clock on when every part waits.
 */
export async function drive(
  loader: Loader,
  clock: TestClock,
  input: LoadRunInput,
  options: DriveOptions = {},
): Promise<RunSummary | null> {
  return (await driveTogether(loader, clock, [input], options))[0]!;
}

/** Carries several runs out at the same time. More may join: inputs that are added to the list meanwhile. */
export async function driveTogether(
  loader: Loader,
  clock: TestClock,
  inputs: readonly LoadRunInput[],
  options: DriveOptions = {},
): Promise<readonly (RunSummary | null)[]> {
  const inFlight = new Set<Promise<unknown>>();
  const call = async <Output>(activity: () => Promise<Output>): Promise<Output> => {
    for (;;) {
      const deaths = options.host?.deaths();
      const work = Promise.allSettled(options.twice === true ? [activity(), activity()] : [activity()]);
      inFlight.add(work);
      const [first] = await work;
      inFlight.delete(work);
      if (options.host?.deaths() === deaths) {
        if (first!.status === 'rejected') throw first!.reason;
        return first!.value;
      }
      // The other activities die with the host; none of them outlives it.
      await Promise.allSettled(inFlight);
      options.host?.restart();
    }
  };

  const runs: { readonly input: LoadRunInput; parts: Part[]; summary: RunSummary | null }[] = [];
  let idle = 0;
  for (;;) {
    for (const input of inputs.slice(runs.length)) {
      const parts = partsOf(loader, input, call).map((step) => ({ step, wakeAt: 0 }));
      runs.push({ input, parts, summary: null });
    }
    const open = runs.filter(({ parts }) => parts.length > 0);
    if (open.length === 0) return runs.map(({ summary }) => summary);
    const isDue = ({ wakeAt }: Part) => wakeAt <= clock.now().getTime();
    const due = open.flatMap((run) => run.parts.filter(isDue).map((part) => ({ run, part })));
    if (due.length === 0) {
      options.whenIdle?.();
      idle += 1;
      if (idle > (options.mostIdle ?? 10_000)) throw new Error('The run makes no headway');
      const next = Math.min(...open.flatMap(({ parts }) => parts.map(({ wakeAt }) => wakeAt)));
      clock.advance(Math.max(1, next - clock.now().getTime()));
      continue;
    }
    for (const { run, part } of due) {
      const waitMs = await part.step();
      if (waitMs !== null) part.wakeAt = clock.now().getTime() + waitMs;
      else run.parts = run.parts.filter((other) => other !== part);
      if (run.parts.length > 0) continue;
      const { v, runId, epoch } = run.input;
      run.summary = await call(() => finishRun(loader, { v, runId, epoch }));
    }
  }
}

/** Answers with the time it wants to wait, or `null` when it has ended. */
type Step = () => Promise<number | null>;

interface Part {
  readonly step: Step;
  wakeAt: number;
}

function partsOf(
  loader: Loader,
  input: LoadRunInput,
  call: <Output>(activity: () => Promise<Output>) => Promise<Output>,
): readonly Step[] {
  const { v, runId, epoch } = input;
  const ref = { v, runId, epoch };
  const planner = () => {
    let page = 0;
    let attempt = 0;
    return async () => {
      const answer = await call(() => planPage(loader, { ...ref, page, attempt }));
      if (answer.kind === 'stop') return null;
      if (answer.kind === 'page') {
        page = answer.next;
        attempt = 0;
        return 0;
      }
      if (answer.kind === 'retry') attempt += 1;
      return answer.waitMs;
    };
  };
  const lane = (number: number) => {
    let turn = 0;
    let finished: FinishedShard | null = null;
    return async () => {
      const answer = await call(() => takeShard(loader, { ...ref, lane: number, turn, finished }));
      turn += 1;
      finished = null;
      if (answer.kind === 'stop') return null;
      if (answer.kind === 'wait') return answer.waitMs;
      finished = await load(answer);
      return 0;
    };
  };
  const load = async ({ shard, units }: { readonly shard: string; readonly units: number }) => {
    const outputs = await Promise.all(
      Array.from({ length: units }, (_, unit) => call(() => ingestUnit(loader, { ...ref, shard, unit }))),
    );
    return finishedShard(shard, outputs);
  };
  const settler = (number: number) => {
    let turn = 0;
    let finished: FinishedShard | null = null;
    return async () => {
      const answer = await call(() => takePosted(loader, { ...ref, settler: number, turn, finished }));
      turn += 1;
      finished = null;
      if (answer.kind === 'stop') return null;
      if (answer.kind === 'wait') return answer.waitMs;
      if (answer.kind === 'load') {
        finished = await load(answer);
        return 0;
      }
      await call(() => settleShard(loader, { ...ref, settler: number, shard: answer.shard }));
      return 0;
    };
  };

  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  return [planner(), ...range(input.lanes).map(lane), ...range(input.settlers).map(settler)];
}
