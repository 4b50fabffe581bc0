import type { ConnectionTestRequest } from '../contracts/connection-test.ts';
import type { LoadDefinition } from '../contracts/load-definition.ts';
import { quoteEntity } from '../domain/kql-literal.ts';
import { leastLeftMs } from '../domain/least-left.ts';
import { type S3Object, versionIdOf } from '../domain/s3-object.ts';
import { type ErrorCode, toLoaderError } from '../errors/loader-error.ts';
import { askService } from './ask-service.ts';
import type { Loader } from './loader.ts';
import { locateInventory } from './locate-inventory.ts';

/** How one step went. */
interface Step {
  readonly step: string;
  /**
   * - `failed`: see `code`, `message` and `remedy`; what needs it is `skipped`.
   * - `notSeen`: what this identity can see does not tell; `message` says what a run will do.
   */
  readonly result: 'ok' | 'failed' | 'skipped' | 'notSeen';
  readonly latencyMs: number;
  /** What was found, or why the step says nothing; of a failed one, what went wrong. Without secrets. */
  readonly message: string;
  /** `null` unless the step failed. */
  readonly code: ErrorCode | null;
  /** What to do next; `null` when there is nothing to do. */
  readonly remedy: string | null;
}

interface ConnectionTest {
  /** No step has failed. */
  readonly ok: boolean;
  /** As whom the app signed in, without secrets; `null` when it did not come to that. */
  readonly identity: string | null;
  readonly steps: readonly Step[];
}

/** `null`: it was not asked for. */
export interface ConnectionTests {
  readonly ok: boolean;
  readonly source: ConnectionTest | null;
  readonly destination: ConnectionTest | null;
}

/** Longer than any step takes that will work; ten steps stay below the 230 s that Azure gives an HTTP answer. */
const STEP_TIMEOUT_MS = 15_000;

/** Tests the way to the bucket and the way to the table, each by itself, without loading or changing anything. */
export async function testConnections(
  loader: Loader,
  { source, destination, format }: ConnectionTestRequest,
): Promise<ConnectionTests> {
  const [ofSource, ofDestination] = await Promise.all([
    source === null ? null : testSource(loader, source),
    destination === null ? null : testDestination(loader, destination, format?.type ?? 'csv'),
  ]);
  return {
    ok: [ofSource, ofDestination].every((test) => test?.ok !== false),
    source: ofSource,
    destination: ofDestination,
  };
}

async function testSource(loader: Loader, definition: LoadDefinition['source']): Promise<ConnectionTest> {
  const steps = createSteps(loader, 'sourceUnavailable');
  const open = () => loader.source(definition);
  await steps.take('resolve', async () => (await (await open()).resolve()).join(', '));
  // The table, whose batching time may ask for more, is none of this way.
  const identity = await steps.take('signIn', async () =>
    (await open()).signIn(leastLeftMs(0, loader.timeScale)),
  );
  let object: S3Object | null = null;
  await steps.take('list', async (signal) => {
    const source = await open();
    const { files, prefix } = definition;
    if (files !== null) {
      object = await source.head(files[0]!);
      return `The first of ${files.length} named keys is ${object === null ? 'not there' : 'there'}.`;
    }
    const facts = await locateInventory(loader, definition);
    if (facts !== null) return `There is an inventory list that was made at ${facts.list.createdAt}.`;
    const page = await source.listPage({ prefix, startAfter: null, signal });
    // A placeholder of a folder has no byte to read.
    object = page.objects.find(({ sizeBytes }) => sizeBytes > 0) ?? page.objects[0] ?? null;
    // The prefix is not said again: it came from the caller, who may have put a secret where none belongs.
    return `${page.objects.length}${page.isLast ? '' : ' or more'} keys begin with the prefix.${tellUnpinned(definition, page.objects)}`;
  });
  await steps.take('read', async () => {
    if (object === null) return skipped('No object is known whose first byte could be read.');
    const isThere = await (await open()).canRead(object);
    return isThere
      ? `The first byte of "${object.key}" was read.`
      : `"${object.key}" has just changed or gone.`;
  });
  return steps.end(identity);
}

/** A bucket that keeps no versions, or did not always, can be loaded so; but nothing pins such objects. */
function tellUnpinned({ pinVersions }: LoadDefinition['source'], objects: readonly S3Object[]): string {
  const unpinned = pinVersions ? objects.filter(({ version }) => versionIdOf(version) === null).length : 0;
  return unpinned === 0
    ? ''
    : ` ${unpinned} of ${objects.length} have no version id and are loaded as those of a bucket that keeps no versions.`;
}

/** What each error of `describeTable` is about, and so which of its steps fails. */
const STEP_OF: Partial<Record<ErrorCode, string>> = { tableNotFound: 'table', mappingNotFound: 'mapping' };

async function testDestination(
  loader: Loader,
  { cluster, database, table, mapping }: LoadDefinition['destination'],
  format: LoadDefinition['format']['type'],
): Promise<ConnectionTest> {
  const steps = createSteps(loader, 'clusterUnavailable');
  const open = () => loader.ingestion(cluster);
  await steps.take('resolve', async () => (await (await open()).resolve()).join(', '));
  const identity = await steps.take('signIn', async () => (await open()).signIn());

  let described: Promise<unknown> | null = null;
  // One question tells of all three; the first step that it is about waits for it.
  const about = (step: string) => async () => {
    described ??= open().then((ingestion) => ingestion.describeTable({ database, table, mapping, format }));
    try {
      await described;
    } catch (thrown) {
      const failedAt = STEP_OF[toLoaderError(thrown).code] ?? 'database';
      if (failedAt === step) throw thrown;
    }
    return 'It is there, as far as this identity may see.';
  };
  await steps.take('database', about('database'));
  await steps.take('table', about('table'));
  const noMapping = async () => skipped('The destination names no mapping.');
  await steps.take('mapping', mapping === null ? noMapping : about('mapping'));
  await steps.take('ingestion', async () => {
    await (await open()).warmUp();
    return 'The cluster hands out its queues and status tables.';
  });

  await steps.take('permission', async () => {
    const roles = (await (await open()).readRoles(database)) ?? [];
    if (roles.some((role) => /ingestor|admin/i.test(role))) return `Roles: ${roles.join(', ')}.`;
    return {
      result: 'notSeen',
      message: `The cluster shows this identity no role by which it may ingest into "${database}". It may have one through a group; else each object of a run fails with clusterAccessDenied or is never reported.`,
      remedy: `.add database ${quoteEntity(database)} ingestors ('aadapp=<client id>;<tenant id>'), run by an admin of the database.`,
    };
  });
  return steps.end(identity);
}

/** What a step that did not fail has to say; a text alone is `ok`. */
type Finding = string | Pick<Step, 'result' | 'message' | 'remedy'>;

const skipped = (message: string): Finding => ({ result: 'skipped', message, remedy: null });

interface Steps {
  /** Takes a step unless one before it failed. @returns its text when it is ok, else `null`. */
  take(step: string, work: (signal: AbortSignal) => Promise<Finding>): Promise<string | null>;
  end(identity: string | null): ConnectionTest;
}

function createSteps(loader: Loader, noAnswer: ErrorCode): Steps {
  const steps: Step[] = [];
  const hasFailed = () => steps.some(({ result }) => result === 'failed');
  const limit = { noAnswer, timeoutMs: STEP_TIMEOUT_MS };
  return {
    async take(step, work) {
      if (hasFailed()) {
        const message = 'A step before it failed.';
        steps.push({ step, result: 'skipped', latencyMs: 0, message, code: null, remedy: null });
        return null;
      }
      const { ok, value, latencyMs, code, message, remedy } = await askService(loader, limit, work);
      if (!ok) {
        steps.push({ step, result: 'failed', latencyMs, message, code, remedy });
        return null;
      }
      const found =
        typeof value === 'string' ? ({ result: 'ok', message: value, remedy: null } as const) : value;
      steps.push({ step, latencyMs, code, ...found });
      return found.result === 'ok' ? found.message : null;
    },
    end: (identity) => ({ ok: !hasFailed(), identity, steps }),
  };
}
