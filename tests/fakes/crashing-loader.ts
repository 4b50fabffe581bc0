import type { Orchestrations } from '../../shared/ports/orchestrations.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import type { MortalHost } from './memory-orchestrations.ts';

/** Whether the side effect at which the host dies has been done. */
export type CrashMoment = 'before' | 'after';

export interface CrashingLoader extends MortalHost {
  readonly loader: Loader;
  /** The orchestrations as the host starts them: that is a side effect, too. */
  orchestrations<Port extends Orchestrations>(port: Port): Port;
}

/** What the code of a dying host sees; it can change nothing any more. */
class Crash extends Error {}

/** Methods that change something, by port. */
const SIDE_EFFECTS = {
  documents: ['put'],
  ledger: ['write'],
  runs: ['createRun', 'commit'],
  loads: [
    'acquireLock',
    'releaseLock',
    'addUnsettled',
    'removeUnsettled',
    'addPending',
    'removePending',
    'writeSchedule',
  ],
  ingestion: ['post', 'dropExtents'],
  orchestrations: ['startRun', 'startOperation', 'terminate'],
} as const;

/**
 * A loader on a host that dies once, at its `number`th side effect (from 0), before or after that is done. From then to
 * the restart nothing can be changed, so what a handler of errors does then leaves no trace either.
 */
export function crashAt(loader: Loader, number: number, moment: CrashMoment): CrashingLoader {
  let seen = 0;
  let deaths = 0;
  let isDead = false;
  function guard<Port extends object>(port: Port, methods: readonly string[]): Port {
    return new Proxy(port, {
      get(target, name, receiver) {
        const value: unknown = Reflect.get(target, name, receiver);
        if (typeof value !== 'function' || !methods.includes(String(name))) return value;
        return async (...args: unknown[]) => {
          if (isDead) throw new Crash(`dead before ${String(name)}`);
          const isIt = seen === number;
          seen += 1;
          if (!isIt) return value.apply(target, args) as unknown;
          isDead = true;
          deaths += 1;
          if (moment === 'after') await value.apply(target, args);
          throw new Crash(`${moment} ${String(name)}`);
        };
      },
    });
  }
  return {
    deaths: () => deaths,
    restart: () => {
      isDead = false;
    },
    orchestrations: (port) => guard(port, SIDE_EFFECTS.orchestrations),
    loader: {
      ...loader,
      documents: guard(loader.documents, SIDE_EFFECTS.documents),
      ledger: guard(loader.ledger, SIDE_EFFECTS.ledger),
      runs: guard(loader.runs, SIDE_EFFECTS.runs),
      loads: guard(loader.loads, SIDE_EFFECTS.loads),
      ingestion: async (cluster) => guard(await loader.ingestion(cluster), SIDE_EFFECTS.ingestion),
    },
  };
}

/** Does something on a host that may die of it; what was cut off is for whoever comes next. */
export async function surviving(host: CrashingLoader, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (thrown) {
    if (!(thrown instanceof Crash)) throw thrown;
  }
  host.restart();
}
