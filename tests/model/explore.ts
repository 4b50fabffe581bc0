import type { Histories, Option } from './scheduler.ts';

/** A promise that was broken, as one sentence; the way there is the exploration's to tell. */
export class Violation extends Error {}

/** One execution of a scenario, from its beginning. */
export interface Execution {
  options(): readonly Option[];
  /** See `Scheduler`. */
  replay(histories: Histories | null): void;
  histories(): Histories;
  /** Equal for states from which everything goes on in the same way. */
  fingerprint(): string;
  /** Checks what must hold after every step. @throws {Violation} */
  check(): Promise<void>;
  /** Called where nobody can go on: recovers, and checks what must hold in the end. @throws {Violation} */
  finish(): Promise<void>;
}

export interface Exploration {
  /** Complete schedules, crashes among them: each a different order of steps or different endings of them. */
  readonly schedules: number;
  /** States that differ; schedules that meet in one go on from it in the same way, and are carried on once. */
  readonly states: number;
  /** States in which nobody could go on; from each of them the recovery was run. */
  readonly ends: number;
  /** How often the code was run from the beginning. */
  readonly executions: number;
  readonly violation: { readonly message: string; readonly schedule: readonly string[] } | null;
}

export interface ExploreOptions {
  /** Whether schedules that meet in a state are carried on once. Default `true`. */
  readonly merge?: boolean;
  /** More than that is a mistake in the scenario. Default 200,000. */
  readonly mostExecutions?: number;
}

/** A branch that is still to be taken: the last step of the path is its first. */
interface Task {
  readonly path: readonly string[];
  /** The state that it branches off from, and what actors had been answered by then. */
  readonly from: string | null;
  readonly histories: Histories;
}

const MOST_STEPS = 1000;

interface Node {
  readonly next: string[];
}

/**
 * Runs a scenario in every order of its steps, with every ending of each step, depth first. The code can't be set back,
 * so each branch runs from the beginning. Ends with the first violation.
 */
export async function explore(
  begin: () => Promise<Execution>,
  { merge = true, mostExecutions = 200_000 }: ExploreOptions = {},
): Promise<Exploration> {
  const nodes = new Map<string, Node>();
  const open: Task[] = [{ path: [], from: null, histories: new Map() }];
  let executions = 0;
  let ends = 0;
  let unmerged = 0;
  let root = '';
  const stand = (violation: Exploration['violation']): Exploration => ({
    schedules: violation === null ? countPaths(nodes, root) : 0,
    states: nodes.size,
    ends,
    executions,
    violation,
  });

  for (let task = open.pop(); task !== undefined; task = open.pop()) {
    executions += 1;
    if (executions > mostExecutions) throw new Error(`More than ${mostExecutions} executions`);
    const execution = await begin();
    const path = [...task.path];
    try {
      execution.replay(null);
      for (const label of path.slice(0, -1)) await takeLabelled(execution, label);
      execution.replay(task.histories);
      for (const label of path.slice(-1)) await takeLabelled(execution, label);
      for (let from = task.from; ; ) {
        if (path.length > MOST_STEPS) throw new Violation(`There is no end after ${MOST_STEPS} steps`);
        await execution.check();
        const options = execution.options();
        const key = merge ? execution.fingerprint() : `${(unmerged += 1)}`;
        if (from === null) root = key;
        else nodes.get(from)!.next.push(key);
        if (nodes.has(key)) break;
        nodes.set(key, { next: [] });
        if (options.length === 0) {
          ends += 1;
          await execution.finish();
          break;
        }
        const histories = execution.histories();
        for (const { label } of options.slice(1)) open.push({ path: [...path, label], from: key, histories });
        path.push(options[0]!.label);
        await options[0]!.take();
        from = key;
      }
    } catch (thrown) {
      if (!(thrown instanceof Violation)) throw Object.assign(thrown as Error, { schedule: path });
      return stand({ message: thrown.message, schedule: path });
    }
  }
  return stand(null);
}

async function takeLabelled(execution: Execution, label: string): Promise<void> {
  const option = execution.options().find((one) => one.label === label);
  if (option === undefined) throw new Error(`The code did not do the same again: there is no "${label}"`);
  await option.take();
}

function countPaths(nodes: ReadonlyMap<string, Node>, root: string): number {
  const counts = new Map<string, number>();
  const count = (key: string): number => {
    const known = counts.get(key);
    if (known !== undefined) return known;
    const { next } = nodes.get(key)!;
    const paths = next.length === 0 ? 1 : next.reduce((sum, child) => sum + count(child), 0);
    counts.set(key, paths);
    return paths;
  };
  return count(root);
}
