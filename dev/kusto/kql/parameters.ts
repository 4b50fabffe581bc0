import type { ColumnType } from '../column-types.ts';
import { KustoError } from '../kusto-error.ts';
import { formatDynamic, normalizeNumbers, readDynamic } from './dynamic-value.ts';
import { makeLiteral, makeString } from './literals.ts';
import { readStringLiteral } from './syntax.ts';
import type { Expression } from './values.ts';

/**
 * Value of a query parameter. Clients send KQL literals as text (`5`, `datetime(2024-01-01)`, `"text"`); a string
 * may come bare.
 */
export function makeParameterValue(
  name: string,
  type: ColumnType,
  given: unknown,
  nowMs: number,
): Expression {
  const text = typeof given === 'string' ? given.trim() : JSON.stringify(given);
  if (type === 'string')
    return makeString(/^(["']).*\1$/s.test(text) ? readStringLiteral(text) : String(given));
  const refused = (cause: string) =>
    new KustoError('General_BadRequest', `Query parameter '${name}' is no ${type}: ${cause}.`);
  if (type === 'dynamic') {
    const value = readDynamic((/^dynamic\s*\((.*)\)$/s.exec(text)?.[1] ?? text).trim());
    if (value === undefined) throw refused('it is not JSON');
    const literal = formatDynamic(normalizeNumbers(value));
    return value === null ? { sql: 'null::varchar', type, isNull: true } : { ...makeString(literal), type };
  }
  try {
    return makeLiteral(type, text, nowMs);
  } catch (error) {
    throw refused((error as Error).message);
  }
}
