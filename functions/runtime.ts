import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

import type { InvocationContext } from '@azure/functions';

import type { AwsCredentials } from '../shared/adapters/s3/aws-credentials.ts';
import type { AddressReach } from '../shared/config/allowed-endpoints.ts';
import type { Settings } from '../shared/config/settings.ts';
import type { LoadDefinition } from '../shared/contracts/load-definition.ts';
import { sourceIdentity } from '../shared/domain/source-identity.ts';
import { toLoaderError } from '../shared/errors/loader-error.ts';
import type { Ingestion } from '../shared/ports/ingestion.ts';
import type { Logger } from '../shared/ports/logger.ts';
import type { Recorder } from '../shared/ports/recorder.ts';
import type { Source } from '../shared/ports/source.ts';
import type { Loader } from '../shared/usecases/loader.ts';
import { loggerOf } from './logger.ts';
import { openCredentials } from './s3-credentials.ts';

/**
 * The composition root: the one place where ports meet their adapters. It is built with the first invocation that
 * needs it, once per process; adapters load their SDKs when they are first used.
 */
let built: Promise<Omit<Loader, 'logger'>> | null = null;

const STARTED_AT = new Date();

/** The loader for one invocation: shared adapters, and log lines that belong to the invocation. */
export async function loaderFor(context: InvocationContext): Promise<Loader> {
  built ??= build(loggerOf(context)).catch((error: unknown) => {
    // A fault that passes, such as storage being away, must not outlive its cause.
    built = null;
    throw error;
  });
  return { ...(await built), logger: loggerOf(context) };
}

async function build(logger: Logger): Promise<Omit<Loader, 'logger'>> {
  const [
    { readSettings },
    { readS3Credentials },
    { reachOf },
    { createAzureState },
    { createAzureCredential },
  ] = await Promise.all([
    import('../shared/config/settings.ts'),
    import('../shared/config/s3-credentials.ts'),
    import('../shared/config/allowed-endpoints.ts'),
    import('../shared/adapters/state/azure-state.ts'),
    import('../shared/adapters/identity/azure-credential.ts'),
  ]);
  const settings = readSettings(process.env);
  const credential = createAzureCredential(settings.identity);
  const state = createAzureState({
    storage:
      'connectionString' in settings.storage
        ? settings.storage
        : {
            endpoints: { blob: settings.storage.blobEndpoint, table: settings.storage.tableEndpoint },
            credential: await needed(credential),
          },
    namePrefix: settings.statePrefix,
  });
  await state.ensureCreated();

  const sources = new Map<string, Promise<Source>>();
  const sessions = new Map<string, Promise<AwsCredentials>>();
  const credentialsOf = ({ credentials: name, region }: LoadDefinition['source']) =>
    once(
      sessions,
      `${name} ${region}`,
      async (): Promise<AwsCredentials> =>
        name === 'anonymous'
          ? { kind: 'anonymous' }
          : openCredentials(readS3Credentials(process.env, name, settings.appId), region, credential),
    );
  const clusters = new Map<string, Promise<Ingestion>>();
  const cluster = (url: string) =>
    once(clusters, url, async () => {
      const reach = reachOf(settings.allowedEndpoints, 'cluster', url);
      const { createKustoIngestion } = await import('../shared/adapters/kusto/kusto-ingestion.ts');
      return createKustoIngestion({ cluster: url, credential, reach });
    });
  const loader: Omit<Loader, 'logger'> = {
    appId: settings.appId,
    timing: settings.timing,
    timeScale: settings.timeScale,
    takeoverAfterMs: settings.takeoverAfterMs,
    maxInFlightPerBucket: settings.maxInFlightPerBucket,
    retention: settings.retention,
    documents: state.documents,
    ledger: state.ledger,
    runs: state.runs,
    loads: state.loads,
    now: () => new Date(),
    randomSuffix: () => randomBytes(2).toString('hex'),
    random: Math.random,
    startedAt: STARTED_AT,
    source: (definition) =>
      once(sources, sourceIdentity(definition), async () =>
        openSource(
          definition,
          reachOf(settings.allowedEndpoints, 'source', definition.endpoint),
          await credentialsOf(definition),
        ),
      ),
    ingestion: cluster,
    recorders: await createRecorders(settings, cluster),
  };
  await readLoadsFolder({ ...loader, logger }, settings.loadsFolder);
  return loader;
}

async function createRecorders(
  { appId, otlp, history }: Settings,
  cluster: (url: string) => Promise<Ingestion>,
): Promise<readonly Recorder[]> {
  const recorders: Recorder[] = [];
  if (otlp !== null) {
    const { createOtlpRecorder } = await import('../shared/adapters/otlp/otlp-recorder.ts');
    recorders.push(createOtlpRecorder(otlp));
  }
  if (history !== null) {
    const { createHistoryTables } = await import('../shared/adapters/kusto/history-tables.ts');
    const { database } = history;
    recorders.push(createHistoryTables({ appId, database, ingestion: () => cluster(history.cluster) }));
  }
  return recorders;
}

async function needed<Value>(promise: Promise<Value | null>): Promise<Value> {
  const value = await promise;
  if (value === null)
    throw new Error('LOADER_IDENTITY=none needs AzureWebJobsStorage to be a connection string');
  return value;
}

async function openSource(
  { bucket, region, endpoint, pathStyle, pinVersions }: LoadDefinition['source'],
  reach: AddressReach,
  credentials: AwsCredentials,
): Promise<Source> {
  const { createAwsSource } = await import('../shared/adapters/s3/aws-source.ts');
  return createAwsSource({ bucket, region, endpoint, pathStyle, pinVersions, reach, credentials });
}

/** Buckets and clusters whose connections a process keeps: a test of a connection may name any. */
const MOST_KEPT = 200;

/** One value per name, also for callers that come at the same time; a failure is not kept, and the oldest gives way. */
function once<Value>(
  values: Map<string, Promise<Value>>,
  name: string,
  make: () => Promise<Value>,
): Promise<Value> {
  const standing = values.get(name);
  if (standing !== undefined) return standing;
  const made = make().catch((error: unknown) => {
    values.delete(name);
    throw error;
  });
  values.set(name, made);
  if (values.size > MOST_KEPT) values.delete(values.keys().next().value!);
  return made;
}

/** Takes over the definitions of the loads folder. A file that is not right is logged and left out. */
async function readLoadsFolder(loader: Loader, folder: string): Promise<void> {
  const [{ seedLoads }, { expandSettings }, { events }] = await Promise.all([
    import('../shared/usecases/load-catalog.ts'),
    import('../shared/config/parse-definition.ts'),
    import('../shared/observability/events.ts'),
  ]);
  const root = path.resolve(process.env['AzureWebJobsScriptRoot'] ?? process.cwd(), folder);
  const names = await readdir(root).catch(() => []);
  for (const file of names.filter((name) => name.endsWith('.json')).sort()) {
    try {
      const json = expandSettings(JSON.parse(await readFile(path.join(root, file), 'utf8')), process.env);
      const seeded = await seedLoads(loader, [{ name: path.basename(file, '.json'), json }]);
      if (seeded.length > 0) events.loadsSeeded(loader.logger, { names: seeded });
      for (const load of seeded) await tellOverlaps(loader, load);
    } catch (thrown) {
      events.loadFileInvalid(loader.logger, { file, error: toLoaderError(thrown, 'invalidDefinition') });
    }
  }
}

async function tellOverlaps(loader: Loader, load: string): Promise<void> {
  const [{ getLoad }, { warnOfOverlaps }, { events }] = await Promise.all([
    import('../shared/usecases/load-catalog.ts'),
    import('../shared/usecases/overlaps.ts'),
    import('../shared/observability/events.ts'),
  ]);
  for (const { message } of await warnOfOverlaps(loader, (await getLoad(loader, load)).definition))
    events.loadsOverlap(loader.logger, { load, message });
}
