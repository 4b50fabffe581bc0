/**
 * Writes the table of error codes into docs/REFERENCE.md, between its markers.
 *
 *   npm run docs:reference
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { ERROR_KINDS } from '../shared/errors/loader-error.ts';

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

export function errorCodesTable(): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
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

if (import.meta.main) {
  const { before, after } = sectionOf(readFileSync(REFERENCE_FILE, 'utf8'), 'error codes');
  writeFileSync(REFERENCE_FILE, before + errorCodesTable() + after);
}
