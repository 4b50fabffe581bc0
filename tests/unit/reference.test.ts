import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  errorCodesTable,
  logEventsTable,
  REFERENCE_FILE,
  sectionOf,
  statusFieldsTable,
} from '../../scripts/make-docs.ts';
import { STATUS_FIELDS } from '../../scripts/status-fields.ts';
import { readSettings } from '../../shared/config/settings.ts';
import { OBJECT_STATES, RUN_STATES } from '../../shared/domain/run-summary.ts';
import { SKIP_REASONS } from '../../shared/domain/selection.ts';
import { EVENT_KINDS } from '../../shared/observability/events.ts';
import { putLoad } from '../../shared/usecases/load-catalog.ts';
import { readRunStatus } from '../../shared/usecases/read-run.ts';
import { createMemoryOrchestrations } from '../fakes/memory-orchestrations.ts';
import { putObjects, runLoad } from '../fakes/run-load.ts';
import { createTestLoader, definitionOf } from '../fakes/test-loader.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const reference = readFileSync(REFERENCE_FILE, 'utf8');

test('the reference lists the error codes; npm run docs:reference writes them', () => {
  expect(sectionOf(reference, 'error codes').content).toBe(errorCodesTable());
});

/** Where the plain values of an answer are; what the table explains as a whole is one of them. */
function fieldsOf(value: unknown, at = ''): readonly string[] {
  if (at in STATUS_FIELDS || typeof value !== 'object' || value === null) return [at];
  return Object.entries(value).flatMap(([name, below]) =>
    fieldsOf(below, at === '' ? name : `${at}.${name}`),
  );
}

describe('the status of a run', () => {
  test('has its fields explained; npm run docs:reference writes them', () => {
    expect(sectionOf(reference, 'status fields').content).toBe(statusFieldsTable());
  });

  test('has these fields and no others', async () => {
    const test_ = createTestLoader();
    const orchestrations = createMemoryOrchestrations();
    await putLoad(test_.loader, 'flights', definitionOf());
    putObjects(test_, 30);
    test_.ingestion.endPosts((_, attempt) => (attempt < 5 ? 'throttled' : 'accepted'));
    const answers: unknown[] = [];
    const { runId } = await runLoad(test_, orchestrations, {
      whenIdle: () => {
        test_.ingestion.settleAll();
        for (const { runId: under } of orchestrations.started.values())
          void readRunStatus(test_.loader, under).then((status) => void answers.push(status));
      },
    });
    answers.push(await readRunStatus(test_.loader, runId));
    const shown = new Set(answers.flatMap((answer) => fieldsOf(answer)));
    // Where there is none.
    for (const whole of ['progress.rate', 'summary']) shown.delete(whole);
    expect([...Object.keys(STATUS_FIELDS)].filter((field) => !shown.has(field))).toEqual([]);
    expect([...shown].filter((field) => !(field in STATUS_FIELDS))).toEqual([]);
  });
});

describe('log events', () => {
  test('the reference lists them; npm run docs:reference writes them', () => {
    expect(sectionOf(reference, 'log events').content).toBe(logEventsTable());
  });

  test('each has an id of its own and a text that alerts can begin with', () => {
    const kinds = Object.values(EVENT_KINDS);
    for (const value of [kinds.map(({ id }) => id), kinds.map(({ text }) => text)])
      expect(new Set<unknown>(value).size).toBe(kinds.length);
    // No text begins as another one does, so that a query for the one finds no lines of the other.
    for (const { text } of kinds)
      expect(kinds.filter((other) => `${other.text} {`.startsWith(`${text} {`))).toHaveLength(1);
  });
});

/** Rows of the table of settings: name and default. */
const rows = [
  ...sectionOf(reference, 'app settings').content.matchAll(/^\| `([^`]+)` \| (.*?) \| (.+) \|$/gm),
].map(([, name, fallback, meaning]) => ({
  name: name!,
  fallback: fallback!,
  meaning: meaning!,
}));
const names = rows.map(({ name }) => name);

/** Credentials have a name of their own in the middle. */
const general = (name: string) =>
  name.replace(/^S3_CREDENTIALS__[A-Z0-9_]+?__(?=[A-Z])/, 'S3_CREDENTIALS__<NAME>__');

/** Names that the code takes from the environment. */
function settingsReadIn(source: string): readonly string[] {
  const byName = [...source.matchAll(/\b(?:text|duration|needed)\(\s*'(\w+)'|\benv(?:\.|\[')(\w+)/g)].map(
    ([, text, env]) => (text ?? env)!,
  );
  const credentials = [...source.matchAll(/\b(?:valueOf|roleOf)\('([A-Z_]+)'\)/g)].map(
    ([, part]) => `S3_CREDENTIALS__<NAME>__${part}`,
  );
  return [...byName, ...credentials];
}

const sources = ['functions', 'shared'].flatMap((folder) =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => read(path.join(folder, file))),
);
const inCode = new Set(sources.flatMap(settingsReadIn));
const inSample = Object.keys(
  (JSON.parse(read('local.settings.sample.json')) as { Values: object }).Values,
).map(general);

describe('the table of app settings', () => {
  test('names every setting once', () => {
    expect(names.length).toBeGreaterThan(20);
    expect(new Set(names).size).toBe(names.length);
  });

  test('has all that the code reads, and all of the sample settings', () => {
    expect(inCode.size).toBeGreaterThan(15);
    expect([...inCode].filter((name) => !names.includes(name))).toEqual([]);
    expect(inSample.filter((name) => !names.includes(name))).toEqual([]);
  });

  test('has nothing that neither the code nor the host reads', () => {
    const byTheHost = ['FUNCTIONS_WORKER_RUNTIME', 'FUNCTIONS_REQUEST_BODY_SIZE_LIMIT'];
    expect(names.filter((name) => !inCode.has(name) && !byTheHost.includes(name))).toEqual([]);
  });

  test('states the true defaults', () => {
    const { timing, appId, statePrefix, loadsFolder, timeScale, retention } = readSettings({
      AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    });
    const hours = (ms: number) => `\`${ms / 3_600_000}h\``;
    const minutes = (ms: number) => `\`${ms / 60_000}m\``;
    const days = (ms: number) => `\`${ms / 86_400_000}d\``;
    expect(Object.fromEntries(rows.map(({ name, fallback }) => [name, fallback]))).toMatchObject({
      LOADER_APP_ID: `\`WEBSITE_SITE_NAME\`, else \`${appId}\``,
      LOADER_STATE_PREFIX: `\`${statePrefix}\``,
      LOADER_LOADS_FOLDER: `\`${loadsFolder}\``,
      LOADER_URL_LIFETIME: hours(timing.urlLifetimeMs),
      LOADER_DOWNLOAD_GRACE: hours(timing.downloadGraceMs),
      LOADER_SETTLE_DEADLINE: minutes(timing.settleDeadlineMs),
      LOADER_STALE_AFTER: minutes(timing.staleAfterMs),
      LOADER_RETENTION_RUNS: days(retention.runsMs),
      LOADER_RETENTION_HISTORY: days(retention.historyMs),
      LOADER_CLEAN_UP_SCHEDULE: `\`${/LOADER_CLEAN_UP_SCHEDULE'\] \?\? '([^']+)'/.exec(read('functions/triggers/clean-up.ts'))?.[1]}\``,
      LOADER_TIME_SCALE: `\`${timeScale}\``,
      LOADER_TICK_SCHEDULE: `\`${/LOADER_TICK_SCHEDULE'\] \?\? '([^']+)'/.exec(read('functions/triggers/tick.ts'))?.[1]}\``,
    });
  });

  test('the sample settings are those of the table, with valid values', () => {
    const { Values } = JSON.parse(read('local.settings.sample.json')) as { Values: Record<string, string> };
    expect(readSettings(Values).timing).toEqual(
      readSettings({ AzureWebJobsStorage: 'UseDevelopmentStorage=true' }).timing,
    );
  });
});

test('the reference explains every reason to skip an object, and every state of objects and runs', () => {
  const finalStates = RUN_STATES.slice(RUN_STATES.indexOf('completed'));
  for (const name of [...SKIP_REASONS, ...OBJECT_STATES, ...finalStates, 'pending']) {
    expect(reference).toMatch(new RegExp(`^\\| [^|]*\`${name}\`[^|]* \\| \\S`, 'm'));
  }
});
