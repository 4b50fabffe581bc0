import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { EVENT_QUEUE } from '../../../shared/contracts/event-queue.ts';
import type { FinalRunState } from '../../../shared/domain/run-summary.ts';
import { ERROR_KINDS, type ErrorCode, LoaderError } from '../../../shared/errors/loader-error.ts';
import { events } from '../../../shared/observability/events.ts';
import type { Logger } from '../../../shared/ports/logger.ts';
import { type LocalKusto, startLocalKusto } from '../../dev/kusto/local-kusto.ts';
import { ROOT } from './compiled.ts';

/**
 * The queries of the alerts, of the workbook and of the guide for operators, asked of the local Kusto endpoint over lines that the loader's own events
 * have written.
 */
const QUERIES = path.join(ROOT, 'infra', 'queries');
const alerts = new Map(
  readdirSync(QUERIES).map((file) => [
    path.basename(file, '.kql'),
    readFileSync(path.join(QUERIES, file), 'utf8'),
  ]),
);

interface WorkbookItem {
  readonly name: string;
  readonly content: { readonly query?: string };
}
const workbook = JSON.parse(readFileSync(path.join(ROOT, 'infra', 'workbook.json'), 'utf8')) as {
  readonly items: readonly WorkbookItem[];
};
const charts = new Map(
  workbook.items.flatMap(({ name, content }) => (content.query === undefined ? [] : [[name, content.query]])),
);

const questions = new Map(
  [
    ...readFileSync(path.join(ROOT, 'docs', 'OPERATIONS.md'), 'utf8').matchAll(
      /^### (\d+\. .+)\n```kql\n([^`]+)```$/gm,
    ),
  ].map(([, question, query]) => [question!, query!]),
);

/** Of today: some queries ask for the last day. */
const AT = new Date().toISOString();

/** As Application Insights counts. Lines are those of `loggerOf` in functions/runtime.ts: the message and the fields. */
const SEVERITY: Readonly<Record<string, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto({ profile: 'single' });
});
afterAll(() => local.stop());

type Line = { readonly level: string; readonly text: string };
type Call = { readonly name: string; readonly success: boolean };

/** Runs a query over these lines and requests. Columns as Azure Monitor has them. */
async function ask(
  query: string,
  { lines = [], calls = [] }: { readonly lines?: readonly Line[]; readonly calls?: readonly Call[] },
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const traces = lines.map(
    ({ level, text }) => `datetime(${AT}), ${JSON.stringify(text)}, ${SEVERITY[level]}`,
  );
  const requests = calls.map(({ name, success }) => `datetime(${AT}), ${JSON.stringify(name)}, ${success}`);
  const table = (columns: string, rows: readonly string[]) =>
    `datatable(TimeGenerated:datetime, ${columns})[${rows.join(', ')}]`;
  const answer = await execute(
    `let AppTraces = ${table('Message:string, SeverityLevel:int', traces)};
let AppRequests = ${table('Name:string, Success:bool', requests)};
${query}`,
  );
  const [result] = answer.primaryResults;
  return result?.toJSON<{ data: Record<string, unknown>[] }>().data ?? [];
}

/** The client's own error prints as pages of sockets. */
function execute(query: string) {
  return local.client.execute('local', query).catch((error: unknown) => {
    const { response } = error as { readonly response?: { readonly data?: unknown } };
    throw new Error(`${query}\n${JSON.stringify(response?.data ?? String(error))}`);
  });
}

/** The lines that these events write. */
function linesOf(write: (logger: Logger) => void): readonly Line[] {
  const lines: Line[] = [];
  write({
    log: (level, message, fields) => lines.push({ level, text: `${message} ${JSON.stringify(fields)}` }),
  });
  return lines;
}

const RUN = { runId: 'flights-1', epoch: 1 } as const;
const failure = (code: ErrorCode) => new LoaderError(code, 'said so');

/** Lines of the events: what a query must find, and what it must leave out. */
const everyEvent = linesOf((logger) => {
  events.runStarted(logger, { runId: RUN.runId, trigger: 'manual' });
  events.runEnded(logger, { runId: RUN.runId, state: 'completedWithFailures', ingested: 3, failed: 1 });
  events.planningFailed(logger, { ...RUN, page: 1, attempt: 1, error: failure('sourceUnavailable') });
  events.unitFailed(logger, { ...RUN, shard: 's', unit: 1, error: failure('sourceUnavailable') });
  events.postsAmbiguous(logger, { ...RUN, shard: 's', unit: 1, objects: 2, sourceId: 'i', message: 'm' });
  events.settlingFailed(logger, { ...RUN, shard: 's', error: failure('sourceUnavailable') });
  events.runSilent(logger, { ...RUN, silentSince: '2026-01-01T00:00:00Z' });
  events.runSlowedDown(logger, { ...RUN, share: 0.5, slowdowns: 1 });
  events.runTakenOver(logger, RUN);
  events.runGivenUp(logger, RUN);
  events.operationEnded(logger, { operationId: 'o', kind: 'undo', state: 'succeeded', objects: 2 });
  events.loadsSeeded(logger, { names: ['flights'] });
  events.loadFileInvalid(logger, { file: 'flights.json', error: failure('sourceAccessDenied') });
  events.eventsReceived(logger, { load: 'flights', objects: 2 });
  events.eventUnreadable(logger, { reason: 'It is not JSON' });
  events.tickFailed(logger, { load: 'flights', error: failure('sourceUnavailable') });
  events.instanceNotEnded(logger, { instance: 'i', error: failure('sourceUnavailable') });
  events.openObjectsUnread(logger, { runId: RUN.runId, document: 'd', error: failure('sourceUnavailable') });
  events.rowsNotCounted(logger, { runId: RUN.runId, error: failure('sourceUnavailable') });
});
/** What the host writes of a message that failed too often. */
const poisonedByTheHost: Line = {
  level: 'warn',
  text: `Message has reached MaxDequeueCount of 12. Moving message to queue '${EVENT_QUEUE}-poison'.`,
};
const alert = (name: string, given: Parameters<typeof ask>[1]) => ask(alerts.get(name)!, given);

describe('the alert', { timeout: 60_000 }, () => {
  test('failed-runs says of which run, and how many objects', async () => {
    expect(await alert('failed-runs', { lines: everyEvent })).toEqual([
      expect.objectContaining({ runId: RUN.runId, state: 'completedWithFailures', ingested: 3, failed: 1 }),
    ]);
  });

  test('failed-runs knows every final state, and leaves out those that are as wanted', async () => {
    const isTrouble: Readonly<Record<FinalRunState, boolean>> = {
      completed: false,
      completedWithFailures: true,
      completedWithDiscrepancy: true,
      stopped: true,
      cancelled: false,
      failed: true,
    };
    const lines = linesOf((logger) => {
      for (const state of Object.keys(isTrouble))
        events.runEnded(logger, { runId: 'r', state, ingested: 1, failed: 0 });
    });
    const found = (await alert('failed-runs', { lines })).map(({ state }) => String(state));
    const wanted = Object.entries(isTrouble).flatMap(([state, trouble]) => (trouble ? [state] : []));
    expect(found.sort()).toEqual(wanted.sort());
  });

  test('stuck-runs finds runs that stand still, are taken over and are given up, by their id', async () => {
    const found = await alert('stuck-runs', { lines: everyEvent });
    expect(found.map(({ what, runId }) => [what, runId])).toEqual(
      ['runSilent', 'runTakenOver', 'runGivenUp'].map((what) => [what, RUN.runId]),
    );
  });

  test('throttling finds many failures that pass, and neither a few nor permanent ones', async () => {
    const many = (code: ErrorCode, count: number) =>
      linesOf((logger) => {
        for (let unit = 0; unit < count; unit += 1)
          events.unitFailed(logger, { ...RUN, shard: 's', unit, error: failure(code) });
      });
    for (const code of ['sourceThrottled', 'clusterThrottled', 'clusterUnavailable'] as const)
      expect(await alert('throttling', { lines: many(code, 10) })).toMatchObject([{ code, attempts: 10 }]);
    expect(await alert('throttling', { lines: many('sourceUnavailable', 10) })).toEqual([
      { code: 'sourceUnavailable', attempts: 10, example: 'said so' },
    ]);
    expect(await alert('throttling', { lines: many('sourceUnavailable', 9) })).toEqual([]);
    expect(await alert('throttling', { lines: many('sourceAccessDenied', 20) })).toEqual([]);
  });

  test('throttling names codes that pass and that somebody else causes', () => {
    const codes = [
      ...new Set(
        [...alerts.get('throttling')!.matchAll(/"(\w+(?:Unavailable|Refused|Throttled))"/g)].map(
          ([, code]) => code!,
        ),
      ),
    ];
    expect(codes.sort()).toEqual([
      'clusterThrottled',
      'clusterUnavailable',
      'sourceThrottled',
      'sourceUnavailable',
      'stateUnavailable',
    ]);
    for (const code of codes) {
      expect(ERROR_KINDS).toHaveProperty(code);
      expect(ERROR_KINDS[code as keyof typeof ERROR_KINDS]).toMatchObject({
        owner: 'system',
        permanent: false,
      });
    }
  });

  test('poison-messages finds what the app puts aside and what the host does', async () => {
    expect(await alert('poison-messages', { lines: [...everyEvent, poisonedByTheHost] })).toEqual([
      expect.objectContaining({ reason: 'It is not JSON' }),
      expect.objectContaining({ reason: poisonedByTheHost.text }),
    ]);
  });

  test('tick-missing fires without a tick that succeeded, also where there is no request at all', async () => {
    expect(await alert('tick-missing', {})).toEqual([{ ticks: 0 }]);
    expect(await alert('tick-missing', { calls: [{ name: 'tick', success: false }] })).toEqual([
      { ticks: 0 },
    ]);
    expect(await alert('tick-missing', { calls: [{ name: 'tick', success: true }] })).toEqual([]);
    expect(readFileSync(path.join(ROOT, 'functions', 'triggers', 'tick.ts'), 'utf8')).toContain(
      "app.timer('tick'",
    );
  });

  test('invalid-loads finds files and ticks of loads', async () => {
    const found = await alert('invalid-loads', { lines: everyEvent });
    expect(found.map(({ subject, code }) => [subject, code])).toEqual([
      ['flights.json', 'sourceAccessDenied'],
      ['flights', 'sourceUnavailable'],
    ]);
  });
});

describe('the workbook', { timeout: 60_000 }, () => {
  test.each([...charts.keys()])('%s has something to show of what is logged', async (name) => {
    const unended = linesOf((logger) =>
      events.runStarted(logger, { runId: 'under way', trigger: 'schedule' }),
    );
    const given = { lines: [...everyEvent, ...unended], calls: [{ name: 'tick', success: true }] };
    const rows = await ask(charts.get(name)!, given);
    expect(rows.length).toBeGreaterThan(0);
    if (name === 'not-ended') expect(rows).toEqual([expect.objectContaining({ runId: 'under way' })]);
    if (name === 'runs')
      expect(rows).toContainEqual(
        expect.objectContaining({
          runId: RUN.runId,
          trigger: 'manual',
          state: 'completedWithFailures',
          failed: 1,
        }),
      );
  });
});

describe('the guide for operators', { timeout: 60_000 }, () => {
  const unended = linesOf((logger) => events.runStarted(logger, { runId: 'open', trigger: 'events' }));

  test('has ten questions', () => expect(questions.size).toBe(10));

  test.each([...questions.keys()])('%s', async (question) => {
    const rows = await ask(questions.get(question)!, { lines: [...everyEvent, ...unended] });
    expect(rows.length).toBeGreaterThan(0);
    // A field that no line has would be empty; only some events have a code.
    for (const [column, value] of rows.flatMap((row) => Object.entries(row)))
      if (column !== 'code') expect(value ?? '', column).not.toBe('');
  });
});

test('queries name only events that there are', () => {
  const names = Object.keys(events);
  for (const [name, query] of [...alerts, ...charts, ...questions]) {
    const compared = [...query.matchAll(/(?:fields\.event\)|\bevent) (?:== |in \()((?:"\w+"(?:, )?)+)/g)];
    const asked = compared.flatMap(([, list]) => [...list!.matchAll(/"(\w+)"/g)].map(([, event]) => event!));
    expect(
      asked.filter((event) => !names.includes(event)),
      name,
    ).toEqual([]);
  }
});
