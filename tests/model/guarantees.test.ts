import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { sectionOf } from '../../scripts/make-docs.ts';
import { type IngestionStatus, settleStatus } from '../../shared/domain/ingestion-status.ts';
import { LEDGER_TRANSITIONS } from '../../shared/domain/ledger-entry.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const document = read('docs/GUARANTEES.md');

/** Cells of the table between two markers, without its head. */
function rowsOf(section: string): readonly (readonly string[])[] {
  const lines = sectionOf(document, section).content.trim().split('\n').slice(2);
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const bare = (cell: string) => cell.replaceAll('`', '');

test('the table of states is that of the code', () => {
  const written = rowsOf('transitions').map(([from, to]) => `${bare(from!)} -> ${bare(to!)}`);
  const allowed = Object.entries(LEDGER_TRANSITIONS).flatMap(([from, next]) =>
    next.map((to) => `${from} -> ${to}`),
  );
  expect([...written].sort()).toEqual([...allowed].sort());
});

describe("the table of ADX's answers", () => {
  const urlExpiresAt = new Date('2026-03-01T06:00:00.000Z');
  const answer = (changes: Partial<IngestionStatus>): string => {
    const status = { status: 'Failed', errorCode: null, failureStatus: null, details: null, updatedAt: null };
    const settled = settleStatus({ ...status, ...changes }, urlExpiresAt);
    return settled.settled === 'failed' ? settled.code : settled.settled === 'no' ? 'open' : 'ingested';
  };
  const rows = rowsOf('answers').map(([status, code, means]) => ({
    status: status!,
    code: bare(code!),
    means: bare(means!),
  }));

  test.each(rows)('$status $code: $means', ({ status, code, means }) => {
    if (status === 'no entity') {
      expect([settleStatus(null, urlExpiresAt).settled, means]).toEqual(['no', 'open']);
      return;
    }
    const [, name = 'SomethingElse'] = /^`(\w+)`/.exec(status) ?? [];
    const errorCode = code === '' || code === 'none' ? null : code === 'any other' ? 'Something_Else' : code;
    const isExpired = status.includes('from 10 s before');
    const updatedAt = new Date(urlExpiresAt.getTime() - (isExpired ? 10_000 : 10_001)).toISOString();
    expect(answer({ status: name, errorCode, updatedAt, failureStatus: 'Permanent' })).toBe(means);
    // What the page says of failure statuses beside the table.
    if (name !== 'Failed') return;
    const isDuplicate = code === 'BlobAlreadyReceived_BlobAlreadyFoundInBatch';
    expect(answer({ errorCode, updatedAt, failureStatus: 'Transient' })).toBe(isDuplicate ? means : 'open');
    expect(answer({ errorCode, updatedAt, failureStatus: 'Exhausted' })).toBe(
      means === 'ingestionRejected' ? 'ingestionExhausted' : means,
    );
  });

  test('has every status and error code that the code knows', () => {
    const source = read('shared/domain/ingestion-status.ts');
    const codes = [
      ...[...source.matchAll(/\b([A-Z][a-zA-Z]+_[A-Za-z]+)\b/g)].map(([code]) => code),
      ...[...source.matchAll(/^ {4}([A-Z]\w+): '/gm)].map(([, code]) => code),
    ];
    const statuses = [...source.matchAll(/case '(\w+)':/g)].map(([, status]) => status);
    expect(codes.length).toBeGreaterThan(25);
    expect(rows.map(({ code }) => code)).toEqual(expect.arrayContaining(codes));
    expect(rows.map(({ status }) => bare(status).split(' ')[0])).toEqual(expect.arrayContaining(statuses));
  });
});

/** Each name that follows a file, one after the other. */
const citations = [...document.matchAll(/`(tests\/[^`]+\.ts)`:((?:(?:,| and)? "[^"]+")+)/g)].flatMap(
  ([, file, names]) => [...names!.matchAll(/"([^"]+)"/g)].map(([, name]) => ({ file: file!, name: name! })),
);

/** First arguments of calls whose second is a function: the names of tests, also of those over tables. */
function testNames(file: string): readonly string[] {
  const named = read(file).matchAll(/\(\s*(['"`])((?:(?!\1).)+)\1,\s*(?:async )?(?:\(|\w+ =>)/g);
  return [...named].map(([, , name]) => name!);
}

test('every test that the page names exists', () => {
  expect(citations.length).toBeGreaterThan(110);
  for (const { file, name } of citations) {
    expect(existsSync(path.join(ROOT, file)), file).toBe(true);
    expect(testNames(file), file).toContain(name);
  }
});

/** Lines of a section of the page. */
function linesOf(heading: string): readonly string[] {
  const [, rest] = document.split(`\n## ${heading}\n`);
  return rest!.split('\n## ')[0]!.split('\n');
}

test('every promise names a test, and so does every step', () => {
  const isCited = (line: string) => /`tests\/[^`]+\.ts`: "/.test(line);
  const [detected = ''] = linesOf('Not promised').join('\n').split('\nThese are not detected today:\n');
  const promises = [...linesOf('Promises'), ...linesOf('By path'), ...detected.split('\n')].filter((line) =>
    line.startsWith('- '),
  );
  expect(promises.length).toBeGreaterThan(15);
  expect(promises.filter((line) => !isCited(line))).toEqual([]);
  const steps = linesOf('Each step, and a crash around it')
    .filter((line) => line.startsWith('| '))
    .slice(1);
  expect(steps.length).toBeGreaterThan(15);
  expect(steps.filter((line) => !isCited(line))).toEqual([]);
});

test('the files of the guards exist', () => {
  const files = linesOf('The guards').flatMap((line) =>
    [...line.matchAll(/`([a-z-]+\.ts)`/g)].map(([, file]) => file!),
  );
  const all = new Set(
    readdirSync(path.join(ROOT, 'shared'), { recursive: true, encoding: 'utf8' }).map((file) =>
      path.basename(file),
    ),
  );
  expect(files.length).toBeGreaterThan(5);
  expect(files.filter((file) => !all.has(file))).toEqual([]);
});
