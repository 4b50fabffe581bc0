import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { type FunctionsHost, type FunctionsHostOptions, startFunctionsHost } from './functions-host/index.ts';
import { type RunningIdentity, startIdentity } from './identity/index.ts';
import { type DatabaseRole, startKusto } from './kusto/index.ts';
import type { RunningPart } from './part.ts';
import { type RunningS3, startS3 } from './s3/index.ts';
import { type RunningStorage, startStorage } from './storage.ts';
import type { StorageRole } from './storage-proxy/index.ts';

export const PROJECT_FOLDER = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** What the managed identity is given in the local cluster: what infra/ gives it, and what undo needs. */
const APP_ROLES: readonly DatabaseRole[] = ['Ingestor', 'Viewer', 'TableAdmin'];

/** What it is given in the storage account, as infra/modules/roles.bicep has it. */
const STORAGE_ROLES: readonly StorageRole[] = [
  'Storage Blob Data Owner',
  'Storage Queue Data Contributor',
  'Storage Table Data Contributor',
];

/** Application ID URI of the app registration for AWS, and the role whose trust policy names it. */
const AWS_AUDIENCE = 'api://s3-adx-loader-aws-local';
const AWS_ROLE = 'arn:aws:iam::123456789012:role/s3-adx-loader-local';

const AUDIENCES = ['https://kusto.kusto.windows.net', 'https://storage.azure.com', AWS_AUDIENCE];

export interface StackOptions {
  /** Where the parts keep their files. */
  readonly folder: string;
  /** Keep Azurite's data in memory. Default false. */
  readonly inMemory?: boolean;
  /**
   * How the host and the app reach their storage. `identity`: over TLS, with tokens. `connectionString`: with the key of
   * the account, for a host that trusts no certificate made here. Default `identity`.
   */
  readonly storageAccess?: 'connectionString' | 'identity';
  /** Divides ADX's batching times; for tests. Default 1. */
  readonly batchingTimeScale?: number;
  /** Divides how long the sessions of the app's role in AWS last; for tests. Default 1. */
  readonly sessionTimeScale?: number;
  /** Buckets to create. */
  readonly buckets?: readonly string[];
  /** The app writes its history into the local cluster. Default false. */
  readonly history?: boolean;
  /** Further settings of the app. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly host?: Partial<FunctionsHostOptions>;
  /** Starts the host; default: the project's own. */
  readonly startHost?: typeof startFunctionsHost;
  /** Told about each part as it comes up. */
  readonly onPart?: (part: RunningPart) => void;
}

export interface Services {
  /** The storage that everybody uses: the proxy before Azurite, where it can be made to fail. */
  readonly storage: RunningStorage;
  readonly s3: RunningS3;
  /** The managed identity of the app. */
  readonly identity: RunningIdentity;
  readonly kusto: Awaited<ReturnType<typeof startKusto>>;
}

/** All parts of the local stack, wired together. */
export interface Stack extends Services {
  /** The host at work; another one after `restartHost`. */
  readonly host: FunctionsHost;
  /** Starts the functions host again on its state, after it was killed. */
  restartHost(changes?: Partial<FunctionsHostOptions>): Promise<FunctionsHost>;
  stop(): Promise<void>;
}

/** Starts Azurite, S3, Kusto and the functions host with the built app, each on a free port of this machine. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const running: RunningPart[] = [];
  const stopAll = async () => {
    // The host first: what it is using must outlive it.
    for (const part of running.splice(0).reverse()) await part.stop();
  };
  const add = <Part extends RunningPart>(part: Part): Part => {
    running.push(part);
    options.onPart?.(part);
    return part;
  };
  try {
    await mkdir(options.folder, { recursive: true });
    const folderOf = (part: string) => path.join(options.folder, part);
    const identity = add(await startIdentity({ audiences: AUDIENCES }));
    const { authority, systemAssigned } = identity;
    const [storage, s3] = await Promise.all([
      startStorage({
        folder: folderOf('storage'),
        inMemory: options.inMemory ?? false,
        access: { authority, roles: { [systemAssigned.objectId]: STORAGE_ROLES } },
      }).then(add),
      startS3({
        folder: folderOf('s3'),
        buckets: options.buckets ?? [],
        sts: {
          provider: authority,
          roles: [
            {
              arn: AWS_ROLE,
              trust: { audience: AWS_AUDIENCE, subject: systemAssigned.objectId },
            },
          ],
          timeScale: options.sessionTimeScale ?? 1,
        },
      }).then(add),
    ]);
    const kusto = add(
      await startKusto({
        azurite: storage.settings,
        batchingTimeScale: options.batchingTimeScale ?? 1,
        token: {
          // Of whoever uses the stack.
          value: randomUUID(),
          authority: authority,
          roles: { [systemAssigned.objectId]: APP_ROLES },
        },
      }),
    );
    const services: Services = { storage, s3, identity, kusto };
    const launch = async (changes: Partial<FunctionsHostOptions> = {}) =>
      add(
        await (options.startHost ?? startFunctionsHost)({
          appFolder: PROJECT_FOLDER,
          stateFile: path.join(options.folder, 'functions-host.sqlite'),
          logLevel: 'warning',
          ...options.host,
          ...changes,
          env: {
            ...appSettings(services),
            ...(options.storageAccess === 'connectionString'
              ? { AzureWebJobsStorage: storage.connectionString }
              : storageByIdentity(storage)),
            ...(options.history === true ? historySettings(services) : {}),
            ...options.settings,
            ...options.host?.env,
            ...changes.env,
          },
        }),
      );
    let host = await launch();
    return {
      ...services,
      get host() {
        return host;
      },
      restartHost: async (changes) => {
        host = await launch(changes);
        return host;
      },
      stop: stopAll,
    };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

function historySettings({ kusto }: Services): Record<string, string> {
  return {
    LOADER_HISTORY_CLUSTER: String(kusto.settings.endpoint),
    LOADER_HISTORY_DATABASE: String(kusto.settings.database),
  };
}

function storageByIdentity({ identityEndpoints, certificate }: RunningStorage): Record<string, string> {
  return {
    // Not one that may be set in the terminal: it would win.
    AzureWebJobsStorage: '',
    AzureWebJobsStorage__blobServiceUri: identityEndpoints.blob,
    AzureWebJobsStorage__queueServiceUri: identityEndpoints.queue,
    AzureWebJobsStorage__tableServiceUri: identityEndpoints.table,
    NODE_EXTRA_CA_CERTS: certificate.certFile,
  };
}

/** App settings that connect the app to the other local services. */
function appSettings({ s3, identity, kusto }: Services): Record<string, string> {
  return {
    FUNCTIONS_WORKER_RUNTIME: 'node',
    // As infra/ sets it.
    FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '5242880',
    LOADER_APP_ID: 'local',
    IDENTITY_ENDPOINT: identity.settings.endpoint,
    IDENTITY_HEADER: identity.settings.header,
    // As in Azure: nothing that is stored. Loads that ask for `keys` are signed with an access key.
    S3_CREDENTIALS__DEFAULT__ROLE_ARN: AWS_ROLE,
    S3_CREDENTIALS__DEFAULT__AUDIENCE: AWS_AUDIENCE,
    S3_CREDENTIALS__DEFAULT__STS_ENDPOINT: s3.settings.stsEndpoint,
    S3_CREDENTIALS__KEYS__ACCESS_KEY_ID: s3.settings.accessKeyId,
    S3_CREDENTIALS__KEYS__SECRET_ACCESS_KEY: s3.settings.secretAccessKey,
    DEV_S3_ENDPOINT: s3.settings.endpoint,
    DEV_KUSTO_ENDPOINT: String(kusto.settings.endpoint),
    DEV_KUSTO_DATABASE: String(kusto.settings.database),
  };
}
