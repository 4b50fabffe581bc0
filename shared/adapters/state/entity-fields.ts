import type { EntityFields, EntityValue } from './entity-table.ts';

/**
 * How each property of a row is stored: `plain` as it is, `json` as JSON text. A row type and its kinds can't
 * come apart: a property that is missing here, or nested and called plain, does not compile.
 */
export type FieldKinds<Row> = {
  readonly [Name in keyof Row]-?: Row[Name] extends EntityValue ? 'plain' : 'json';
};

/** A string property holds 32K UTF-16 units; longer JSON goes on in `name1`, `name2`, ... */
const PIECE_LENGTH = 30_000;

export function encodeFields<Row extends object>(kinds: FieldKinds<Row>, row: Row): EntityFields {
  const fields: Record<string, EntityValue> = {};
  for (const name of namesOf(kinds)) {
    const value = row[name];
    if (value === null || value === undefined) continue;
    if (kinds[name] === 'plain') fields[name] = value as EntityValue;
    else Object.assign(fields, splitText(name, JSON.stringify(value)));
  }
  return fields;
}

/** The row that was encoded; properties that are not stored are `null`. */
export function decodeFields<Row extends object>(kinds: FieldKinds<Row>, fields: EntityFields): Row {
  const row: Record<string, unknown> = {};
  for (const name of namesOf(kinds)) {
    if (kinds[name] === 'plain') {
      row[name] = fields[name] ?? null;
    } else {
      const text = joinText(name, fields);
      row[name] = text === null ? null : JSON.parse(text);
    }
  }
  return row as Row;
}

function namesOf<Row>(kinds: FieldKinds<Row>): (keyof Row & string)[] {
  return Object.keys(kinds) as (keyof Row & string)[];
}

function splitText(name: string, text: string): Record<string, string> {
  const pieces: Record<string, string> = {};
  for (let at = 0, count = 0; at < text.length; count += 1) {
    let end = Math.min(at + PIECE_LENGTH, text.length);
    // Half a surrogate pair is no UTF-8 and would be stored as U+FFFD.
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end -= 1;
    pieces[count === 0 ? name : `${name}${count}`] = text.slice(at, end);
    at = end;
  }
  return pieces;
}

function joinText(name: string, fields: EntityFields): string | null {
  if (typeof fields[name] !== 'string') return null;
  let text = '';
  for (let count = 0; ; count += 1) {
    const piece = fields[count === 0 ? name : `${name}${count}`];
    if (typeof piece !== 'string') return text;
    text += piece;
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
