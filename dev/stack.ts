import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { type RunningAzurite, startAzurite } from './azurite/index.ts';
import { type FunctionsHost, type FunctionsHostOptions, startFunctionsHost } from './functions-host/index.ts';
import { type RunningIdentity, startIdentity } from './identity/index.ts';
import { type DatabaseRole, startKusto } from './kusto/index.ts';
import type { RunningPart } from './part.ts';
import { type RunningS3, startS3 } from './s3/index.ts';
import { type RunningStorageProxy, startStorageProxy } from './storage-proxy/index.ts';

export const PROJECT_FOLDER = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** What the managed identity is given in the local cluster: what infra/ gives it, and what undo needs. */
const APP_ROLES: readonly DatabaseRole[] = ['Ingestor', 'Viewer', 'TableAdmin'];

/** Application ID URI of the app registration for AWS, and the role whose trust policy names it. */
const AWS_AUDIENCE = 'api://s3-adx-loader-aws-local';
const AWS_ROLE = 'arn:aws:iam::123456789012:role/s3-adx-loader-local';

const AUDIENCES = ['https://kusto.kusto.windows.net', 'https://storage.azure.com', AWS_AUDIENCE];

export interface StackOptions {
  /** Where the parts keep their files. */
  readonly folder: string;
  /** Keep Azurite's data in memory. Default false. */
  readonly inMemory?: boolean;
  /** Puts the storage proxy before Azurite, for the app and for Kusto, so that storage can fail on demand. Default false. */
  readonly storageProxy?: boolean;
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
  /** The storage that everybody uses: Azurite, or the proxy before it. */
  readonly azurite: RunningAzurite;
  /** Where storage can be made to fail; null unless asked for. */
  readonly storageProxy: RunningStorageProxy | null;
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
    const [ownAzurite, s3] = await Promise.all([
      startAzurite({ folder: folderOf('azurite'), inMemory: options.inMemory ?? false }).then(add),
      startS3({
        folder: folderOf('s3'),
        buckets: options.buckets ?? [],
        sts: {
          provider: identity.authority,
          roles: [
            {
              arn: AWS_ROLE,
              trust: { audience: AWS_AUDIENCE, subject: identity.systemAssigned.objectId },
            },
          ],
          timeScale: options.sessionTimeScale ?? 1,
        },
      }).then(add),
    ]);
    const storageProxy =
      options.storageProxy === true ? add(await startStorageProxy({ azurite: ownAzurite })) : null;
    const azurite = storageProxy ?? ownAzurite;
    const kusto = add(
      await startKusto({
        azurite: azurite.settings,
        batchingTimeScale: options.batchingTimeScale ?? 1,
        token: {
          // Of whoever uses the stack.
          value: randomUUID(),
          authority: identity.authority,
          roles: { [identity.systemAssigned.objectId]: APP_ROLES },
        },
      }),
    );
    const services: Services = { azurite, storageProxy, s3, identity, kusto };
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

/** App settings that connect the app to the local services. */
export function appSettings({ azurite, s3, identity, kusto }: Services): Record<string, string> {
  return {
    FUNCTIONS_WORKER_RUNTIME: 'node',
    AzureWebJobsStorage: azurite.connectionString,
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
