import { parseDurationMs } from '../domain/duration.ts';
import type { Timing } from '../domain/settle-timing.ts';
import { LoaderError, type Problem } from '../errors/loader-error.ts';
import { type AllowedEndpoints, readAllowedEndpoints } from './allowed-endpoints.ts';
import { readHttpAuth, readRequestsPerMinute } from './http-access.ts';

/**
 * As whom the app signs in to Azure.
 * - `managedIdentity`: `clientId` names a user-assigned identity, `null` is the system-assigned one.
 * - `servicePrincipal`: an application with a proof of its own.
 * - `workloadIdentity`: an application for which another issuer's tokens stand.
 * - `azureCli`: the developer who ran `az login`.
 * - `none`: nobody; for endpoints on this machine that ask for no token.
 */
export type IdentitySettings =
  | { readonly kind: 'managedIdentity'; readonly clientId: string | null }
  | {
      readonly kind: 'servicePrincipal';
      readonly tenantId: string;
      readonly clientId: string;
      /** A secret; or a certificate with its private key, as PEM or as the path of a file with that. */
      readonly proof:
        | { readonly secret: string }
        | { readonly certificate: string }
        | { readonly certificateFile: string };
    }
  | {
      readonly kind: 'workloadIdentity';
      readonly tenantId: string;
      readonly clientId: string;
      /** File that the platform keeps a fresh token in. */
      readonly tokenFile: string;
    }
  | { readonly kind: 'azureCli' }
  | { readonly kind: 'none' };

/** Where the app keeps its state: the storage account of the Functions app. */
export type StorageSettings =
  | { readonly connectionString: string }
  | { readonly blobEndpoint: string; readonly queueEndpoint: string; readonly tableEndpoint: string };

/** How long what nobody needs any more is kept, in milliseconds. */
export interface Retention {
  /** Runs from their end on: rows, plan pages, manifests, outcomes, summaries. */
  readonly runsMs: number;
  /** Histories of orchestrations from their beginning on. */
  readonly historyMs: number;
}

export interface Settings {
  readonly appId: string;
  readonly statePrefix: string;
  /** Folder with load definitions that are read at start, relative to the app's root. */
  readonly loadsFolder: string;
  readonly identity: IdentitySettings;
  readonly storage: StorageSettings;
  /** What load definitions may name as endpoints. */
  readonly allowedEndpoints: AllowedEndpoints;
  readonly timing: Timing;
  /** Divides all waiting times; 1 but in tests. */
  readonly timeScale: number;
  /** From one sight of a silent run to the one that takes it over. */
  readonly takeoverAfterMs: number;
  readonly retention: Retention;
  /** Objects of one bucket that all runs together may have in flight; `null`: as many as each load says. */
  readonly maxInFlightPerBucket: number | null;
  /** OpenTelemetry collector that runs are sent to; `null`: none. */
  readonly otlp: OtlpSettings | null;
  /** Cluster and database with tables of the loader's own history; `null`: none. */
  readonly history: { readonly cluster: string; readonly database: string } | null;
}

export interface OtlpSettings {
  readonly endpoint: string;
  /** Secret. */
  readonly headers: Readonly<Record<string, string>>;
  readonly serviceName: string;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A SigV4 signature is valid for at most 7 days. */
const LONGEST_URL_LIFETIME_MS = 7 * DAY;

/** A run counts rows with those of the runs of the same day, which share its tag; the first may have ended a day before the last. */
const LEAST_RETENTION_OF_RUNS_MS = 2 * DAY;

/** How often a tick must see a silent run, measured as time between the first and the deciding sight. */
const TAKEOVER_AFTER_MS = 3 * MINUTE;

/**
 * Reads the app settings once, from the environment.
 *
 * @throws {LoaderError} `invalidSettings` with every problem, each named by its setting. A bad value is never
 *   replaced by a default.
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const problems: Problem[] = [];
  const problem = (field: string, message: string) => problems.push({ field, message });
  const text = (name: string): string | null =>
    env[name] === undefined || env[name] === '' ? null : env[name];

  const duration = (
    name: string,
    fallbackMs: number,
    { leastMs, mostMs }: { readonly leastMs?: number; readonly mostMs?: number } = {},
  ): number => {
    const value = text(name);
    if (value === null) return fallbackMs;
    const ms = parseDurationMs(value);
    if (ms === null || ms <= 0 || ms < (leastMs ?? 0) || ms > (mostMs ?? Number.POSITIVE_INFINITY)) {
      const least = leastMs === undefined ? '' : `, at least ${leastMs / DAY}d`;
      const most = mostMs === undefined ? '' : `, at most ${mostMs / DAY}d`;
      problem(name, `must be a duration such as 30s, 10m or 6h${least}${most}`);
    }
    return ms ?? fallbackMs;
  };

  const statePrefix = text('LOADER_STATE_PREFIX') ?? 's3adx';
  if (!/^[a-z][a-z0-9]{2,30}$/.test(statePrefix))
    problem('LOADER_STATE_PREFIX', 'must be 3 to 31 lower-case letters and digits, a letter first');
  const appId = text('LOADER_APP_ID') ?? text('WEBSITE_SITE_NAME') ?? 'local';
  if (!/^[A-Za-z0-9-]{1,60}$/.test(appId))
    problem('LOADER_APP_ID', 'must be 1 to 60 letters, digits and hyphens');
  const timeScale = Number(text('LOADER_TIME_SCALE') ?? '1');
  if (!(timeScale >= 1 && Number.isFinite(timeScale)))
    problem('LOADER_TIME_SCALE', 'must be a number of at least 1');

  const perBucket = text('LOADER_MAX_IN_FLIGHT_PER_BUCKET');
  const maxInFlightPerBucket = perBucket === null ? null : Number(perBucket);
  if (maxInFlightPerBucket !== null && !(Number.isInteger(maxInFlightPerBucket) && maxInFlightPerBucket >= 1))
    problem('LOADER_MAX_IN_FLIGHT_PER_BUCKET', 'must be a whole number of at least 1');

  const scaled = (ms: number) => Math.max(1, Math.round(ms / timeScale));
  const timing: Timing = {
    urlLifetimeMs: scaled(duration('LOADER_URL_LIFETIME', 6 * HOUR, { mostMs: LONGEST_URL_LIFETIME_MS })),
    downloadGraceMs: scaled(duration('LOADER_DOWNLOAD_GRACE', HOUR)),
    settleDeadlineMs: scaled(duration('LOADER_SETTLE_DEADLINE', 30 * MINUTE)),
    staleAfterMs: scaled(duration('LOADER_STALE_AFTER', 10 * MINUTE)),
    firstLookMs: scaled(10 * SECOND),
    lookEveryMs: scaled(30 * SECOND),
    lookAtMostEveryMs: scaled(5 * MINUTE),
    longestTimerMs: scaled(MINUTE),
  };

  // Read where requests are answered; a wrong one keeps the app from work as any other does.
  readHttpAuth(env, problem);
  readRequestsPerMinute(env, problem);
  const settings: Settings = {
    appId,
    statePrefix,
    loadsFolder: text('LOADER_LOADS_FOLDER') ?? 'loads',
    identity: readIdentity(text, problem),
    storage: readStorage(text, problem),
    allowedEndpoints: readAllowedEndpoints(env, problem),
    timing,
    timeScale,
    takeoverAfterMs: scaled(TAKEOVER_AFTER_MS),
    maxInFlightPerBucket,
    otlp: readOtlp(text, problem, appId),
    history: readHistory(text, problem),
    retention: {
      // Tests, whose time goes faster, can't wait for days.
      runsMs: scaled(
        duration(
          'LOADER_RETENTION_RUNS',
          90 * DAY,
          timeScale === 1 ? { leastMs: LEAST_RETENTION_OF_RUNS_MS } : {},
        ),
      ),
      historyMs: scaled(duration('LOADER_RETENTION_HISTORY', 7 * DAY)),
    },
  };
  if (problems.length > 0) {
    throw new LoaderError(
      'invalidSettings',
      `App settings are not valid: ${problems.map(({ field, message }) => `${field} ${message}`).join('; ')}`,
      {
        problems,
      },
    );
  }
  return settings;
}

type Text = (name: string) => string | null;
type Report = (field: string, message: string) => void;

/** The names are those of OpenTelemetry's specification. */
function readOtlp(text: Text, problem: Report, appId: string): OtlpSettings | null {
  const endpoint = text('OTEL_EXPORTER_OTLP_ENDPOINT');
  if (endpoint === null) return null;
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint))
    problem(
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'must be the http or https URL of a collector, without /v1/traces',
    );
  const pairs = (text('OTEL_EXPORTER_OTLP_HEADERS') ?? '').split(',').filter((pair) => pair.trim() !== '');
  if (pairs.some((pair) => pair.indexOf('=') < 1))
    problem('OTEL_EXPORTER_OTLP_HEADERS', 'must be name=value pairs with commas between them');
  const headers = pairs.map((pair) => {
    const at = pair.indexOf('=');
    return [pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim())] as const;
  });
  const serviceName = text('OTEL_SERVICE_NAME') ?? appId;
  return { endpoint, headers: Object.fromEntries(headers), serviceName };
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function readHistory(text: Text, problem: Report): Settings['history'] {
  const [cluster, database] = [text('LOADER_HISTORY_CLUSTER'), text('LOADER_HISTORY_DATABASE')];
  if (cluster === null && database === null) return null;
  if (cluster === null || !URL.canParse(cluster))
    problem('LOADER_HISTORY_CLUSTER', 'must be the URL of a cluster, with LOADER_HISTORY_DATABASE');
  if (database === null) problem('LOADER_HISTORY_DATABASE', 'must be set with LOADER_HISTORY_CLUSTER');
  return { cluster: cluster ?? '', database: database ?? '' };
}

function readIdentity(text: Text, problem: Report): IdentitySettings {
  // In Azure the managed identity is there; elsewhere a developer is signed in with the Azure CLI.
  const kind =
    text('LOADER_IDENTITY') ?? (text('IDENTITY_ENDPOINT') === null ? 'azureCli' : 'managedIdentity');
  switch (kind) {
    case 'managedIdentity':
      // The identity that the host itself was given for its storage is the app's, too.
      return { kind, clientId: text('AZURE_CLIENT_ID') ?? text('AzureWebJobsStorage__clientId') };
    case 'azureCli':
    case 'none':
      return { kind };
    case 'servicePrincipal': {
      const proof = readProof(text, problem);
      return { kind, ...readApplication(kind, text, problem), proof };
    }
    case 'workloadIdentity': {
      const tokenFile = text('AZURE_FEDERATED_TOKEN_FILE');
      if (tokenFile === null)
        problem('AZURE_FEDERATED_TOKEN_FILE', 'must be set with LOADER_IDENTITY=workloadIdentity');
      return { kind, ...readApplication(kind, text, problem), tokenFile: tokenFile ?? '' };
    }
    default:
      problem(
        'LOADER_IDENTITY',
        'must be managedIdentity, servicePrincipal, workloadIdentity, azureCli or none',
      );
      return { kind: 'none' };
  }
}

function readApplication(kind: string, text: Text, problem: Report) {
  const [tenantId, clientId] = [text('AZURE_TENANT_ID'), text('AZURE_CLIENT_ID')];
  if (tenantId === null) problem('AZURE_TENANT_ID', `must be set with LOADER_IDENTITY=${kind}`);
  if (clientId === null) problem('AZURE_CLIENT_ID', `must be set with LOADER_IDENTITY=${kind}`);
  return { tenantId: tenantId ?? '', clientId: clientId ?? '' };
}

type ServicePrincipalProof = Extract<IdentitySettings, { kind: 'servicePrincipal' }>['proof'];

function readProof(text: Text, problem: Report): ServicePrincipalProof {
  const secret = text('AZURE_CLIENT_SECRET');
  const certificate = text('AZURE_CLIENT_CERTIFICATE');
  const certificateFile = text('AZURE_CLIENT_CERTIFICATE_PATH');
  if ([secret, certificate, certificateFile].filter((one) => one !== null).length !== 1)
    problem(
      'AZURE_CLIENT_SECRET',
      'or AZURE_CLIENT_CERTIFICATE or AZURE_CLIENT_CERTIFICATE_PATH must be set with LOADER_IDENTITY=servicePrincipal, and only one of them',
    );
  if (certificate !== null) {
    // A setting can't hold line ends everywhere; what a vault gives has them.
    const pem = certificate.replaceAll('\\n', '\n');
    if (!/-----BEGIN CERTIFICATE-----/.test(pem) || !/-----BEGIN (\w+ )?PRIVATE KEY-----/.test(pem))
      problem('AZURE_CLIENT_CERTIFICATE', 'must be a certificate and its private key, as PEM');
    return { certificate: pem };
  }
  return certificateFile === null ? { secret: secret ?? '' } : { certificateFile };
}

const DEVELOPMENT_STORAGE =
  'DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;';

function readStorage(text: Text, problem: Report): StorageSettings {
  const connectionString = text('AzureWebJobsStorage');
  if (connectionString !== null) {
    return {
      connectionString:
        connectionString === 'UseDevelopmentStorage=true' ? DEVELOPMENT_STORAGE : connectionString,
    };
  }
  const account = text('AzureWebJobsStorage__accountName');
  if (account !== null) {
    const endpoint = (service: string) => `https://${account}.${service}.core.windows.net`;
    return {
      blobEndpoint: endpoint('blob'),
      queueEndpoint: endpoint('queue'),
      tableEndpoint: endpoint('table'),
    };
  }
  const blobEndpoint = text('AzureWebJobsStorage__blobServiceUri');
  const queueEndpoint = text('AzureWebJobsStorage__queueServiceUri');
  const tableEndpoint = text('AzureWebJobsStorage__tableServiceUri');
  if (blobEndpoint !== null && queueEndpoint !== null && tableEndpoint !== null)
    return { blobEndpoint, queueEndpoint, tableEndpoint };
  problem(
    'AzureWebJobsStorage',
    'must be a connection string (Azurite only), or AzureWebJobsStorage__accountName, or AzureWebJobsStorage__blobServiceUri, __queueServiceUri and __tableServiceUri must be set',
  );
  return { connectionString: '' };
}
