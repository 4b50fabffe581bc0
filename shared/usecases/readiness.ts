import type { LoadDefinition } from '../contracts/load-definition.ts';
import { sourceIdentity } from '../domain/source-identity.ts';
import { type ErrorCode, toLoaderError } from '../errors/loader-error.ts';
import { askService } from './ask-service.ts';
import { allOf } from './bounded.ts';
import { listLoads } from './load-catalog.ts';
import type { Loader } from './loader.ts';

/** How one service that the loader needs has answered. */
interface Dependency {
  readonly kind: 'storage' | 'cluster' | 'bucket';
  /** Host of a cluster, name of a bucket; never an address with a query. */
  readonly name: string;
  /** The load in whose name it was asked; `null` for the storage. */
  readonly load: string | null;
  readonly ok: boolean;
  readonly latencyMs: number;
  /** `null` when it is ok, as are the next two. */
  readonly code: ErrorCode | null;
  readonly message: string | null;
  readonly remedy: string | null;
}

interface Readiness {
  readonly ready: boolean;
  /** ISO 8601, UTC. */
  readonly checkedAt: string;
  readonly dependencies: readonly Dependency[];
  /** Clusters and buckets beyond the bound, of which nothing is known. */
  readonly notAsked: number;
}

const ANSWER_AGE_MS = 10_000;
const CHECK_TIMEOUT_MS = 5_000;
/** Of each kind: a probe must stay cheap and end, however many loads there are. */
const MOST_ASKED = 10;
const ASKED_AT_ONCE = 4;

/**
 * Makes the question whether the loader could load now. It is for one process: an answer holds for ten seconds, and
 * callers that come at the same time share one, so that probes cost the services little however often they come.
 */
export function createReadiness(): (loader: Loader) => Promise<Readiness> {
  let under: Promise<Readiness> | null = null;
  let last: Readiness | null = null;
  return (loader) => {
    if (last !== null && loader.now().getTime() < Date.parse(last.checkedAt) + ANSWER_AGE_MS)
      return Promise.resolve(last);
    under ??= askAll(loader)
      .then((answer) => {
        last = answer;
        return answer;
      })
      .finally(() => {
        under = null;
      });
    return under;
  };
}

async function askAll(loader: Loader): Promise<Readiness> {
  let definitions: readonly LoadDefinition[] = [];
  const storage = await ask(loader, { kind: 'storage', name: 'state', load: null }, async () => {
    // The locks stand in a table, the loads in blobs.
    const [loads] = await Promise.all([listLoads(loader), loader.loads.listLocks()]);
    definitions = loads.map(({ definition }) => definition);
  });
  const clusters = distinct(definitions, ({ destination }) => destination.cluster.toLowerCase());
  const buckets = distinct(definitions, ({ source }) =>
    // The same bucket by other credentials is another question, and so is a look at a key, which needs other rights.
    JSON.stringify([sourceIdentity(source), source.files === null]),
  );
  const [ofClusters, ofBuckets] = await Promise.all([
    allOf(clusters.slice(0, MOST_ASKED), ASKED_AT_ONCE, (load) => askCluster(loader, load)),
    allOf(buckets.slice(0, MOST_ASKED), ASKED_AT_ONCE, (load) => askBucket(loader, load)),
  ]);
  const dependencies = [storage, ...ofClusters, ...ofBuckets];
  return {
    ready: dependencies.every(({ ok }) => ok),
    checkedAt: loader.now().toISOString(),
    dependencies,
    notAsked: [clusters, buckets].reduce((sum, { length }) => sum + Math.max(0, length - MOST_ASKED), 0),
  };
}

/** The first load of each identity. */
function distinct(
  definitions: readonly LoadDefinition[],
  identityOf: (definition: LoadDefinition) => string,
): readonly LoadDefinition[] {
  const first = new Map<string, LoadDefinition>();
  for (const definition of definitions) {
    const identity = identityOf(definition);
    if (!first.has(identity)) first.set(identity, definition);
  }
  return [...first.values()];
}

/** What only says that the load is wrong: the cluster has answered. */
const WRONG_LOAD: readonly ErrorCode[] = [
  'databaseNotFound',
  'tableNotFound',
  'mappingNotFound',
  'columnNotFound',
];

function askCluster(
  loader: Loader,
  { name: load, destination, format }: LoadDefinition,
): Promise<Dependency> {
  const { cluster, database, table } = destination;
  return ask(loader, { kind: 'cluster', name: new URL(cluster).host, load }, async () => {
    const ingestion = await loader.ingestion(cluster);
    await ingestion.warmUp();
    // The way is kept open for an hour: only a question shows that the cluster answers now.
    await ingestion.describeTable({ database, table, mapping: null, format: format.type }).catch((thrown) => {
      if (!WRONG_LOAD.includes(toLoaderError(thrown).code)) throw thrown;
    });
  });
}

function askBucket(loader: Loader, { name: load, source: definition }: LoadDefinition): Promise<Dependency> {
  const { bucket, prefix, files } = definition;
  return ask(loader, { kind: 'bucket', name: bucket, load }, async (signal) => {
    const source = await loader.source(definition);
    // A load of named keys may do without the right to list.
    if (files === null) await source.listPage({ prefix, startAfter: null, signal });
    else await source.head(files[0]!);
  });
}

const NO_ANSWER = {
  storage: 'stateUnavailable',
  cluster: 'clusterUnavailable',
  bucket: 'sourceUnavailable',
} as const;

async function ask(
  loader: Loader,
  who: Pick<Dependency, 'kind' | 'name' | 'load'>,
  question: (signal: AbortSignal) => Promise<void>,
): Promise<Dependency> {
  const limit = { noAnswer: NO_ANSWER[who.kind], timeoutMs: CHECK_TIMEOUT_MS };
  const { value: _nothing, ...answer } = await askService(loader, limit, question);
  return { ...who, ...answer };
}
