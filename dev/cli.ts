import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { startAzurite } from './azurite/index.ts';
import { startFunctionsHost } from './functions-host/index.ts';
import { startKusto } from './kusto/index.ts';
import type { RunningPart } from './part.ts';
import { startS3 } from './s3/index.ts';
import { PROJECT_FOLDER, startStack } from './stack.ts';

const HELP = `Starts one part of the local stack, or all of it, and prints its settings as one line of JSON when it is ready.
It runs until it gets SIGINT or SIGTERM.

usage: npm run --silent dev -- s3|kusto|azurite|host|all [options]

  --port N       port on 127.0.0.1 (azurite: of its blob service); default: a free one
  --folder DIR   where data is kept; default: a temporary folder that is removed at the end
  --bucket NAME  s3, all: a bucket to create; may be given several times
  --verbose      host, all: the log of the host on standard error

kusto and host start an Azurite of their own unless AzureWebJobsStorage is set. host runs the built app with the settings
of the environment and of local.settings.json.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string' },
    folder: { type: 'string' },
    bucket: { type: 'string', multiple: true, default: [] },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const [name] = positionals;
if (values.help || name === undefined) {
  console.log(HELP);
  process.exit(values.help ? 0 : 2);
}
const port = values.port === undefined ? undefined : Number(values.port);
if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
  console.error(`--port ${values.port} is not a port: it is a whole number from 1 to 65535.`);
  process.exit(2);
}

const stop = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
});
const folder = values.folder ?? (await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-dev-')));
const onPort = port === undefined ? {} : { port };
const running: RunningPart[] = [];
const add = <Part extends RunningPart>(part: Part): Part => {
  running.push(part);
  return part;
};
const onLog = (line: string) => (values.verbose ? console.error(line) : undefined);

/** Settings of an Azurite for kusto: one of its own. */
async function ownAzurite() {
  return add(await startAzurite({ folder: path.join(folder, 'azurite') }));
}

const parts: Readonly<Record<string, () => Promise<Readonly<Record<string, unknown>>>>> = {
  azurite: async () =>
    add(await startAzurite({ folder, ...(port === undefined ? {} : { ports: { blob: port } }) })).settings,
  s3: async () => add(await startS3({ folder, buckets: values.bucket, ...onPort })).settings,
  kusto: async () => {
    const azurite = await ownAzurite();
    const kusto = add(
      await startKusto({ azurite: azurite.settings, folder: path.join(folder, 'kusto'), ...onPort }),
    );
    return { ...kusto.settings, azurite: azurite.connectionString };
  },
  host: async () => {
    const storage = process.env['AzureWebJobsStorage'] ?? (await ownAzurite()).connectionString;
    const host = await startFunctionsHost({
      appFolder: PROJECT_FOLDER,
      stateFile: path.join(folder, 'functions-host.sqlite'),
      env: { AzureWebJobsStorage: storage },
      onLog,
      ...onPort,
    });
    return add(host).settings;
  },
  all: async () => {
    const stack = await startStack({
      folder,
      buckets: values.bucket,
      host: { onLog, ...onPort },
    });
    running.push({ ...stack.host, stop: stack.stop });
    const { storage, s3, identity, kusto, host } = stack;
    return {
      storage: storage.settings,
      s3: s3.settings,
      identity: identity.settings,
      kusto: kusto.settings,
      host: host.settings,
    };
  },
};

const start = parts[name];
if (start === undefined) {
  console.error(`There is no part "${name}": it is one of ${Object.keys(parts).join(', ')}.`);
  process.exit(2);
}
let code = 0;
// Not every part keeps this process alive by itself: Azurite's child is let go of, for the sake of tests.
const alive = setInterval(() => undefined, 60_000);
try {
  // A signal that comes while the part starts ends it as soon as it is up.
  const settings = await start();
  console.log(JSON.stringify(settings));
  await stop;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  code = 1;
} finally {
  for (const part of running.reverse()) await part.stop();
  if (values.folder === undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
clearInterval(alive);
process.exit(code);
