import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'vitest';
import type { FunctionsHost } from '../../../dev/functions-host/index.ts';
import { DurableClient } from '../../host/durable-client.ts';
import { readTrace, runHost, temporaryFolder } from './running-host.ts';

/** Of everything a little: activities with retries, sub-orchestrations, a timer, events, continue-as-new. */
const orchestration = { name: 'mixture', input: { round: 0 }, id: 'mixture' };
/** Each is raised once a host, until one was accepted: an event whose answer was lost may have been. */
const events = ['go-0', 'go-1'];
/** What the activities leave, each at least once. */
const traces = [0, 1].flatMap((round) => ['a', 'b', 'c'].map((each) => `echo "${each}${round}"`));

export type KillAt = NonNullable<Parameters<typeof runHost>[1]['killAtCommit']>;

/** Kills hosts, one after the other, at commits drawn from the seed, until the orchestration has ended. */
export async function killAgainAndAgain(seed: number): Promise<void> {
  const draw = createDraw(seed);
  const deaths = await runToTheEnd(() => {
    // A host that dies before its first commit would never get on.
    const commit = 2 + Math.floor(draw() * 8);
    return `${draw() < 0.5 ? 'before' : 'after'}:${commit}`;
  });
  expect(deaths).toBeGreaterThanOrEqual(3);
}

/**
 * Runs the orchestration on hosts that die at the given commits; the last one lives.
 *
 * @param nextKill where the next host dies; null for nowhere
 * @returns how many hosts died
 */
export async function runToTheEnd(nextKill: () => KillAt | null): Promise<number> {
  const folder = temporaryFolder();
  const trace = join(folder, 'trace');
  for (let deaths = 0; deaths < 40; deaths += 1) {
    const killAtCommit = nextKill();
    const { host } = await runHost('durable', {
      stateFile: join(folder, 'state.db'),
      env: { TRACE_FILE: trace },
      logLevel: 'none',
      ...(killAtCommit === null ? {} : { killAtCommit }),
    });
    const output = await Promise.race([drive(host), host.ended.then(() => null)]);
    if (output === null) continue;
    expect(output).toEqual({
      sum: 2,
      attempts: ['done', 'done'],
      events: ['go-0', 'go-1'],
      status: 'Completed',
    });
    const left = new Set(readTrace(trace));
    for (const text of traces) expect(left).toContain(text);
    await host.stop();
    return deaths;
  }
  throw new Error('The orchestration did not end on 40 hosts.');
}

/** Starts the orchestration unless it is there, raises its events, and waits for its end; null when the host dies. */
async function drive(host: FunctionsHost): Promise<unknown> {
  const client = new DurableClient(host);
  const { name, input, id } = orchestration;
  try {
    const known = await client.durable('GET', `instances/${id}`);
    if (known.status === 404) await client.start(name, input, id);
    for (const event of events) {
      const waits = await client.until(
        id,
        ({ customStatus, runtimeStatus }) =>
          customStatus === `waits for ${event}` ||
          isLater(customStatus, event) ||
          runtimeStatus === 'Completed',
      );
      if (waits.customStatus === `waits for ${event}`) await client.raise(id, event, event);
    }
    const { output, runtimeStatus } = await client.finish(id);
    return { ...(output as object), status: runtimeStatus };
  } catch (error) {
    // A host that dies cuts off what is under way, in many ways.
    const isDead = await Promise.race([host.ended.then(() => true), wait(2_000, false)]);
    if (!isDead) throw error;
    return null;
  }
}

/** The orchestration is past this event already. */
function isLater(customStatus: unknown, event: string): boolean {
  return events.indexOf(String(customStatus).replace('waits for ', '')) > events.indexOf(event);
}

/** Numbers in [0, 1), the same ones for the same seed. */
function createDraw(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}
