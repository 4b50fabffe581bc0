import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import { type RunningAzurite, startAzurite } from '../../dev/azurite/index.ts';
import { type FunctionsHost, startFunctionsHost } from '../../dev/functions-host/index.ts';

export type AppName = 'durable' | 'http' | 'limits' | 'queue' | 'timer';

/** Addresses at which an app may say what it is; one of them has a route prefix of its own. */
const whoAmIPaths = ['/api/app', '/v1/app'];

/** The host that was asked for, and the app that it serves; null when the suite starts its own hosts. */
const given = process.env['HOST_URL'] ? await findGivenHost(process.env['HOST_URL']) : null;

/** A host on a machine at work takes its time, and its storage too. */
const isRemote = given !== null;

/** For what a test file does before its tests. */
export const setUpTimeoutMs = isRemote ? 600_000 : 60_000;

/** Folder of one of the suite's apps. */
function appFolder(name: AppName): string {
  return fileURLToPath(new URL(`apps/${name}`, import.meta.url));
}

export interface AppUnderTest {
  /** Title for `describe`, which says why the app is left out if it is. */
  readonly title: string;
  /** False when HOST_URL serves another app. */
  readonly isServed: boolean;
  /** Without a slash at the end. */
  readonly url: string;
  /** Opens functions of the level `function`; undefined when none is known. */
  readonly functionKey: string | undefined;
  /** Opens everything; undefined when none is known. */
  readonly masterKey: string | undefined;
  /** Connection string of the storage that the app uses. */
  readonly storage: string;
}

/**
 * The app on the host that HOST_URL names, or on one of the suite's own, which runs from before the first test to after
 * the last one.
 *
 * @param options.needsStorage the tests look into the app's storage: HOST_STORAGE must name it, an own host gets an Azurite
 */
export function useApp(name: AppName, options: { readonly needsStorage?: boolean } = {}): AppUnderTest {
  let host: FunctionsHost | undefined;
  let azurite: RunningAzurite | undefined;
  let folder: string | undefined;
  if (given === null) {
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), `host-app-${name}-`));
      if (options.needsStorage === true) azurite = await startAzurite({ folder, inMemory: true });
      host = await startFunctionsHost({
        appFolder: appFolder(name),
        stateFile: join(folder, 'state.db'),
        env: { AzureWebJobsStorage: azurite?.connectionString ?? '' },
        logLevel: 'none',
        graceMs: 200,
      });
    });
    afterAll(async () => {
      await host?.stop();
      await azurite?.stop();
      if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    });
  }
  const isServed = given === null || given.app === name;
  return {
    title: isServed ? `app ${name}` : `app ${name} (HOST_URL serves ${given.app})`,
    isServed,
    get url() {
      return given?.url ?? required(host, 'host').url;
    },
    get functionKey() {
      return given === null ? host?.functionKey : process.env['HOST_KEY'] || undefined;
    },
    get masterKey() {
      return given === null ? host?.masterKey : process.env['HOST_MASTER_KEY'] || undefined;
    },
    get storage() {
      if (given === null) return required(azurite, 'storage').connectionString;
      return required(
        process.env['HOST_STORAGE'],
        'HOST_STORAGE, the connection string of the storage of HOST_URL,',
      );
    },
  };
}

function required<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new Error(`${what} is missing`);
  return value;
}

async function findGivenHost(address: string): Promise<{ url: string; app: string }> {
  const url = address.replace(/\/+$/, '');
  for (const path of whoAmIPaths) {
    const response = await fetch(`${url}${path}`).catch((cause: unknown) => {
      throw new Error(`HOST_URL is ${url}, where nothing answers.`, { cause });
    });
    if (!response.ok) continue;
    const { app } = (await response.json()) as { app: string };
    return { url, app };
  }
  throw new Error(
    `HOST_URL is ${url}, which serves none of the apps of tests/host/apps: see tests/host/README.md.`,
  );
}

/** Asks until the answer fits; a given host has more time for it. */
export async function until<Value>(
  ask: () => Promise<Value>,
  fits: (value: Value) => boolean,
  timeoutMs = isRemote ? 240_000 : 20_000,
): Promise<Value> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (fits(value)) return value;
    if (Date.now() > deadline)
      throw new Error(`Not in ${timeoutMs} ms; the last answer: ${JSON.stringify(value)?.slice(0, 2_000)}`);
    await new Promise((resolve) => setTimeout(resolve, isRemote ? 500 : 20));
  }
}
