import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FunctionsHost, startFunctionsHost } from '../../../dev/functions-host/index.ts';
import { appFolder, Client } from './running-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'functions-host-'));
let host: FunctionsHost;

beforeAll(async () => {
  const stateFile = join(folder, 'state.db');
  host = await startFunctionsHost({
    appFolder: appFolder('durable'),
    stateFile,
    logLevel: 'none',
    graceMs: 200,
  });
});
afterAll(async () => {
  await host?.stop();
  rmSync(folder, { recursive: true, force: true });
});

it.each([
  ['slidingWindow', 'sliding window', 'Task.all over chunks'],
  ['unknownActivity', "No activity function named 'notThere'", 'Registered activities: echo'],
  ['unknownChild', "No orchestrator function named 'notThere'", 'Registered orchestrators: '],
  ['emptyThrow', 'without a message', 'Throw an Error with a message'],
  ['retryTimeout', 'retryTimeoutInMilliseconds', 'bound the retries by maxNumberOfAttempts'],
  ['undecided', 'Non-deterministic', 'context.df'],
  ['goesOnWithRetries', 'while other children may still retry', 'return their errors as data'],
  ['callsEntity', 'does not support callEntity', 'Use an activity instead'],
])(
  'fails %s, which hangs or goes wrong in Azure, with the reason and the remedy',
  async (name, reason, remedy) => {
    const { runtimeStatus, output } = await new Client(host).run(name);
    expect(runtimeStatus).toBe('Failed');
    expect(output).toContain(reason);
    expect(output).toContain(remedy);
  },
);
