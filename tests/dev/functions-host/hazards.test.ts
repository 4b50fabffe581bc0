import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FunctionsHost, startFunctionsHost } from '../../../dev/functions-host/index.ts';
import { DurableClient } from '../../host/durable-client.ts';
import { appFolder } from './running-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'functions-host-'));
const log: string[] = [];
let host: FunctionsHost;

beforeAll(async () => {
  host = await startFunctionsHost({
    appFolder: appFolder('hazards'),
    stateFile: join(folder, 'state.db'),
    logLevel: 'warning',
    onLog: (line) => log.push(line),
    graceMs: 200,
  });
});
afterAll(async () => {
  await host?.stop();
  rmSync(folder, { recursive: true, force: true });
});

it.each([
  ['slidingWindow', 'sliding window', 'Task.all over chunks'],
  ['yieldsLoserInGroup', 'yielded before is yielded again', 'Task.all over chunks'],
  ['goesOnWithRetries', 'while other children may still retry', 'return their errors as data'],
  ['yieldsRetryingLoser', 'retrying loser of a Task.any', 'Race only tasks without retry options'],
  ['throwsEmpty', 'without a message', 'Throw an Error with a message'],
  ['throwsText', 'something that is no Error', 'Throw an Error with a message'],
  ['throwsObject', 'something that is no Error', 'Throw an Error with a message'],
  ['throwsNothing', 'something that is no Error', 'Throw an Error with a message'],
  ['retryTimeout', 'retryTimeoutInMilliseconds', 'bound the retries by maxNumberOfAttempts'],
  ['nonRetriable', 'marked as non-retriable', 'Return such an error as data'],
  ['continuesWithText', 'continueAsNew was given text', 'Give it an object'],
  ['yieldsAfterContinueAsNew', 'after continueAsNew', 'Return after continueAsNew'],
  ['unknownActivity', "No activity function named 'notThere'", 'Registered activities: echo'],
  ['unknownInGroup', "No activity function named 'notThere'", 'Registered activities: echo'],
  ['unknownChild', "No orchestrator function named 'notThere'", 'Registered orchestrators: '],
  ['forgetsToYield', "called 'never' and never yielded", 'Yield the task'],
  ['forgetsRetriedChild', "called 'forgetsToYield' and never yielded", 'Yield the task'],
  ['emptyAll', 'you must specify at least one Task', ''],
  ['undecided', 'Non-deterministic', 'context.df'],
  ['undecidedKind', 'Non-deterministic', 'context.df'],
  ['callsEntity', 'does not support callEntity', 'Use an activity instead'],
  ['signalsEntity', 'does not support signalEntity', 'Use an activity instead'],
  ['callsHttp', 'does not support callHttp', 'Use an activity instead'],
  ['locks', 'lock requires', 'schema V4'],
  ['longStatus', 'custom status is longer than 16384 bytes', 'Make it smaller'],
  ['yieldsNoTask', 'Only Task types can be yielded', ''],
  ['badTimer', 'fire time is no date', 'Give createTimer a valid Date'],
])(
  'fails %s, which hangs or goes wrong in Azure, with the reason and the remedy',
  async (name, reason, remedy) => {
    const { runtimeStatus, output, instanceId } = await new DurableClient(host).run(name);
    expect(runtimeStatus).toBe('Failed');
    expect(output).toContain(`Orchestrator function '${name}' failed`);
    expect(output).toContain(reason);
    expect(output).toContain(remedy);
    // The log names the instance unless the orchestrator failed by itself.
    const isOwn = ['emptyAll', 'locks', 'yieldsNoTask'].includes(name);
    expect(log.some((line) => line.includes(instanceId) && line.includes(reason))).toBe(!isOwn);
  },
);

it('runs nothing that was not yielded', async () => {
  expect(await (await fetch(`${host.url}/api/dispatched`)).json()).toBe(0);
});

it('warns of what goes on after a failure in Task.all, and ends it when all children have', async () => {
  const { runtimeStatus, output, instanceId } = await new DurableClient(host).run('goesOnAfterFailure');
  expect([runtimeStatus, output]).toEqual(['Completed', 'after']);
  const warnings = log.filter((line) => line.includes(instanceId));
  expect(warnings.some((line) => line.includes('went on after the first failure inside Task.all'))).toBe(
    true,
  );
});
