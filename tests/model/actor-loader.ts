import type { IngestionRequest } from '../../shared/ports/ingestion.ts';
import type { Orchestrations } from '../../shared/ports/orchestrations.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import type { Actor } from './scheduler.ts';
import type { Ending, World } from './world.ts';

/** What changes something, by port. Everything else of a port only reads. */
const CHANGES: Readonly<Record<string, readonly string[]>> = {
  documents: ['put', 'delete'],
  ledger: ['write'],
  runs: ['createRun', 'commit'],
  loads: [
    'acquireLock',
    'releaseLock',
    'claimIdempotencyKey',
    'dropIdempotencyKey',
    'writeSchedule',
    'addUnsettled',
    'removeUnsettled',
    'addPending',
    'removePending',
  ],
  orchestrations: ['startRun', 'terminate'],
};

/**
 * Neither change nor read what others change: a manifest has a name of its own and is named only when it is whole, and
 * the table is always there.
 */
const LOCAL: ReadonlySet<string> = new Set([
  'documents.getRange',
  'ingestion.warmUp',
  'ingestion.describeTable',
]);

/** Runs are apart from each other, in rows and in documents. */
function resourceOf(port: string, [first]: readonly unknown[]): string {
  if (port === 'runs') return `runs ${typeof first === 'string' ? first : ''}`;
  if (port !== 'documents') return port;
  const [, runId = ''] = /^runs\/([^/]+)\//.exec(String(first)) ?? [];
  return `documents ${runId}`;
}

/** How posts of an actor may end. */
export type Endings = readonly Ending[];

/** What an actor has of the world: each call of a port is one call of the actor. */
export interface ActorPorts {
  readonly loader: Loader;
  readonly orchestrations: Orchestrations;
}

/**
 * The ports of an actor.
 *
 * @param isStepwise - while it says no, calls are done at once, and posts end in the first of the ways.
 */
export function portsOf(
  actor: Actor,
  world: World,
  loader: Loader,
  { posts, isStepwise }: { readonly posts: Endings; readonly isStepwise: () => boolean },
): ActorPorts {
  const stepwise = <Port extends object>(name: string, port: Port): Port =>
    new Proxy(port, {
      get(target, method, receiver) {
        const value: unknown = Reflect.get(target, method, receiver);
        if (typeof value !== 'function') return value;
        return (...args: readonly unknown[]) => {
          if (!isStepwise()) return value.apply(target, args) as unknown;
          const call = `${name}.${String(method)}`;
          // A write of nothing is no request.
          const isEmpty = call === 'ledger.write' && (args[1] as readonly unknown[]).length === 0;
          return actor.call({
            name: call,
            resource: resourceOf(name, args),
            changes: !isEmpty && (CHANGES[name]?.includes(String(method)) ?? false),
            isLocal: isEmpty || LOCAL.has(call),
            perform: () => value.apply(target, args) as Promise<unknown>,
            // ETags of documents count the writes of all.
            ...(call === 'documents.get'
              ? { tell: (document: unknown) => (document as { body: string } | null)?.body ?? 'none' }
              : {}),
          });
        };
      },
    });
  const { source, ingestion } = loader;
  return {
    orchestrations: stepwise('orchestrations', world.orchestrations),
    loader: {
      ...loader,
      documents: stepwise('documents', loader.documents),
      ledger: stepwise('ledger', loader.ledger),
      runs: stepwise('runs', loader.runs),
      loads: stepwise('loads', loader.loads),
      source: async (definition) => stepwise('source', await source(definition)),
      ingestion: async (cluster) => {
        const whole = await ingestion(cluster);
        const post = (request: IngestionRequest, ending: string) => {
          world.endNextPost(ending as Ending);
          return whole.post(request);
        };
        return {
          ...stepwise('ingestion', whole),
          post: (request) =>
            isStepwise()
              ? actor.call({
                  name: 'ingestion.post',
                  resource: 'ingestion',
                  changes: true,
                  endings: posts,
                  perform: (ending) => post(request, ending),
                })
              : post(request, posts[0]!),
        };
      },
    },
  };
}
