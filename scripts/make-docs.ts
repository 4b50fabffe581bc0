/**
 * Writes the tables of error codes, status fields and log events into docs/REFERENCE.md, between their markers.
 *
 *   npm run docs:reference
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { ERROR_KINDS } from '../shared/errors/loader-error.ts';
import { EVENT_KINDS } from '../shared/observability/events.ts';
import { STATUS_FIELDS } from './status-fields.ts';

export const REFERENCE_FILE = path.join(import.meta.dirname, '..', 'docs', 'REFERENCE.md');

/** The text between the markers of a section; without it, where the text ends and begins again. */
export function sectionOf(
  document: string,
  name: string,
): { readonly before: string; readonly content: string; readonly after: string } {
  const [begin, end] = [`<!-- ${name}: begin -->\n`, `<!-- ${name}: end -->`];
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`docs/REFERENCE.md has no section between "${begin.trim()}" and "${end}"`);
  const start = from + begin.length;
  return { before: document.slice(0, start), content: document.slice(start, to), after: document.slice(to) };
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

export function errorCodesTable(): string {
  const rows = Object.entries(ERROR_KINDS).map(
    ([code, { title, httpStatus, owner, permanent, remedy }]) =>
      `| \`${code}\` | ${httpStatus} | ${owner} | ${permanent ? 'yes' : 'no'} | ${cell(title)} | ${cell(remedy)} |`,
  );
  return [
    '| Code | HTTP | Who | Permanent | What happened | What to do |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

export function logEventsTable(): string {
  const rows = Object.entries(EVENT_KINDS)
    .sort(([, a], [, b]) => a.id - b.id)
    .map(
      ([event, { id, level, text, meaning, fields }]) =>
        `| ${id} | \`${event}\` | ${level} | ${text} | ${fields.join(', ')} | ${cell(meaning)} |`,
    );
  return [
    '| Id | Event | Level | Line | Fields | What it means |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

export function statusFieldsTable(): string {
  const rows = Object.entries(STATUS_FIELDS).map(
    ([field, { unit, meaning }]) => `| \`${field}\` | ${unit} | ${cell(meaning)} |`,
  );
  return ['| Field | Unit | Meaning |', '|---|---|---|', ...rows, ''].join('\n');
}

if (import.meta.main) {
  let document = readFileSync(REFERENCE_FILE, 'utf8');
  for (const [name, table] of [
    ['error codes', errorCodesTable()],
    ['status fields', statusFieldsTable()],
    ['log events', logEventsTable()],
  ] as const) {
    const { before, after } = sectionOf(document, name);
    document = before + table + after;
  }
  writeFileSync(REFERENCE_FILE, document);
}
