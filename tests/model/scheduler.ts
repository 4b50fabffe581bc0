import { createHash } from 'node:crypto';

/** What an actor asks for next; it stands still until the schedule says that it is done, and how it ends. */
export interface Call {
  /** `ledger.write` and the like. */
  readonly name: string;
  /** How it may end, where that is not decided by the state alone. Default: in one way, named ''. */
  readonly endings?: readonly string[];
  /** What it reads or changes; calls of different resources commute. Default: everything, as the clock. */
  readonly resource?: string;
  /** It changes something that others see. A crash between two calls that change nothing is no other crash. */
  readonly changes: boolean;
  /** It neither changes nor reads what others change: done at once, for no order of it and others can matter. */
  readonly isLocal?: boolean;
  perform(ending: string): Promise<unknown>;
  /** The result as text, for telling states apart. Default JSON. */
  readonly tell?: (result: unknown) => string;
}

interface Pending extends Call {
  readonly number: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Something that goes on by itself: an activity, an instance, the clock, ADX. */
export interface Actor {
  readonly name: string;
  /** Stands still until the schedule goes on with it. */
  call<Result>(call: Omit<Call, 'perform'> & { perform(ending: string): Promise<Result> }): Promise<Result>;
}

export interface ActorLimits {
  /** May die at a call that changes something. Default `false`. */
  readonly isMortal?: boolean;
  /** The only resources of its calls. Default: it may touch any. */
  readonly uses?: readonly string[];
}

interface ActorState {
  readonly name: string;
  readonly pending: Pending[];
  /** Hash of all that it has been answered, which decides all that it will do. */
  history: string;
  calls: number;
  readonly limits: ActorLimits;
  end: 'alive' | 'ended' | 'dead';
  error: unknown;
}

/** One way to go on: a call of an actor with one of its endings, or its death. */
export interface Option {
  readonly label: string;
  take(): Promise<void>;
}

/** What tells apart what each actor has been answered. */
export type Histories = ReadonlyMap<string, string>;

export interface Scheduler {
  /** Starts an actor; it runs to its first call at once. */
  spawn(name: string, work: (actor: Actor) => Promise<unknown>, limits?: ActorLimits): void;
  /** Lets everybody run until all wait for a call to be done. */
  settle(): Promise<void>;
  options(): readonly Option[];
  /** Equal for states in which every actor will do the same; ended and dead actors do nothing. */
  fingerprint(): string;
  /** Stops telling answers apart, to do again what was done before; or goes on from what was told then. */
  replay(histories: Histories | null): void;
  histories(): Histories;
  /** An error that an actor ended with, if any. */
  failure(): { readonly actor: string; readonly error: unknown } | null;
  deaths(): number;
}

/**
 * Runs actors one call at a time. Between two calls an actor does what it does at once, as JavaScript does between two
 * awaits of something from outside.
 *
 * @param told - what an answer is told apart by, with names that differ from execution to execution taken out.
 */
export function createScheduler(options: {
  readonly now: () => Date;
  readonly told: (text: string) => string;
  readonly mostDeaths: number;
}): Scheduler {
  const actors = new Map<string, ActorState>();
  let deaths = 0;
  let isReplay = false;

  const add = (state: ActorState, answer: () => string) => {
    if (isReplay) return;
    const text = `${state.history} ${options.now().getTime()} ${options.told(answer())}`;
    state.history = createHash('sha1').update(text).digest('base64');
  };

  const performOnce = async (state: ActorState, call: Pending, ending: string): Promise<void> => {
    state.pending.splice(state.pending.indexOf(call), 1);
    try {
      const result = await call.perform(ending);
      add(state, () => `${call.name} ${ending} ${(call.tell ?? asText)(result)}`);
      call.resolve(result);
    } catch (error) {
      add(state, () => `${call.name} ${ending} failed: ${String(error)}`);
      call.reject(error);
    }
  };

  const mayDie = ({ limits }: ActorState) => limits.isMortal === true && deaths < options.mostDeaths;

  /**
   * A call that is done before all others: it touches what no other living actor will ever touch, so that every order of
   * it and their calls comes to the same.
   */
  const findOwn = (alive: readonly ActorState[]) =>
    alive
      .flatMap((state) => state.pending.map((call) => ({ state, call })))
      .find(({ state, call: { isLocal, resource } }) => {
        const others = alive.filter((other) => other !== state);
        return (
          isLocal === true ||
          others.every(
            ({ limits: { uses } }) =>
              uses !== undefined && resource !== undefined && !uses.includes(resource),
          )
        );
      });

  const hasOneWay = ({ state, call }: { state: ActorState; call: Pending }) =>
    call.isLocal === true || ((call.endings?.length ?? 1) === 1 && !(call.changes && mayDie(state)));

  const scheduler: Scheduler = {
    spawn(name, work, limits = {}) {
      const state: ActorState = {
        name,
        pending: [],
        history: '',
        calls: 0,
        limits,
        end: 'alive',
        error: null,
      };
      actors.set(name, state);
      const actor: Actor = {
        name,
        call: <Result>(call: Omit<Call, 'perform'> & { perform(ending: string): Promise<Result> }) =>
          new Promise<Result>((resolve, reject) => {
            const number = state.calls;
            state.calls += 1;
            if (limits.uses !== undefined && !call.isLocal && !limits.uses.includes(call.resource ?? ''))
              throw new Error(`${name} was not to touch ${call.resource}, and calls ${call.name}`);
            state.pending.push({ ...call, number, resolve: resolve as (value: unknown) => void, reject });
          }),
      };
      work(actor).then(
        () => {
          state.end = 'ended';
        },
        (error: unknown) => {
          state.end = 'ended';
          state.error = error;
        },
      );
    },

    async settle() {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        const alive = [...actors.values()].filter(({ end }) => end === 'alive');
        const found = findOwn(alive);
        if (found === undefined || !hasOneWay(found)) return;
        await performOnce(found.state, found.call, found.call.endings?.[0] ?? '');
      }
    },

    options() {
      const alive = [...actors.values()].filter(({ end }) => end === 'alive');
      const optionsOf = (state: ActorState, calls: readonly Pending[]): Option[] => {
        const steps = calls.flatMap((call) =>
          (call.endings ?? ['']).map((ending) => ({
            label: `${state.name}: ${call.name}${ending === '' ? '' : ` (${ending})`} #${call.number}`,
            take: async () => {
              await performOnce(state, call, ending);
              await scheduler.settle();
            },
          })),
        );
        if (!mayDie(state) || !calls.some(({ changes }) => changes)) return steps;
        const die = async () => {
          state.end = 'dead';
          deaths += 1;
          await scheduler.settle();
        };
        return [...steps, { label: `${state.name}: dies`, take: die }];
      };
      const own = findOwn(alive);
      if (own !== undefined) return optionsOf(own.state, [own.call]);
      return alive.flatMap((state) => optionsOf(state, state.pending));
    },

    fingerprint: () =>
      [...actors.values()]
        .map(({ name, end, history, pending }) =>
          end === 'alive'
            ? `${name} ${history} ${pending.map(({ number }) => number).join()}`
            : `${name} over`,
        )
        .sort()
        .concat(String(deaths))
        .join('\n'),

    replay(histories) {
      isReplay = histories === null;
      for (const [name, history] of histories ?? []) actors.get(name)!.history = history;
    },

    histories: () => new Map([...actors].map(([name, { history }]) => [name, history])),

    failure() {
      const failed = [...actors.values()].find(({ error }) => error !== null);
      return failed === undefined ? null : { actor: failed.name, error: failed.error };
    },

    deaths: () => deaths,
  };
  return scheduler;
}

function asText(result: unknown): string {
  return JSON.stringify(result, (_, value: unknown) => (value instanceof Map ? [...value] : value)) ?? '';
}
