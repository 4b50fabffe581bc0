import type { ColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { quoteText } from '../storage/store.ts';
import { formatDatetime, parseTimespan, ticksFromUnixMs } from '../ticks.ts';
import { readDatetime } from './calendar.ts';
import { formatDecimal, parseDecimal } from './decimal.ts';
import { type DynamicValue, formatDynamic, makeReal, normalizeNumbers } from './dynamic-value.ts';
import { readers } from './functions/conversions.ts';
import { childOf, elementsOf, type KqlNode, readStringLiteral, textOf } from './syntax.ts';
import { type Expression, literalSql, sqlTypes } from './values.ts';

const literalTypes: Readonly<Record<string, ColumnType>> = {
  LongLiteralExpression: 'long',
  IntLiteralExpression: 'int',
  RealLiteralExpression: 'real',
  DecimalLiteralExpression: 'decimal',
  BooleanLiteralExpression: 'bool',
  DateTimeLiteralExpression: 'datetime',
  TimespanLiteralExpression: 'timespan',
  GuidLiteralExpression: 'guid',
};

/** @returns undefined for a node that is no literal. @throws KustoError for one that can't be read exactly. */
export function readLiteral(node: KqlNode, nowMs: number): Expression | undefined {
  switch (node.kind) {
    case 'StringLiteralExpression':
    case 'CompoundStringLiteralExpression':
      return makeString(readStrings(node));
    case 'DynamicExpression': {
      const value = readDynamicLiteral(node, nowMs);
      if (value === null) return { sql: 'null::varchar', type: 'dynamic', isNull: true };
      const literal = formatDynamic(normalizeNumbers(value));
      return { sql: quoteText(literal), type: 'dynamic', literal };
    }
    case 'NullLiteralExpression':
      return { sql: 'null::varchar', type: 'dynamic', isNull: true };
    default:
  }
  const type = literalTypes[node.kind];
  return type === undefined ? undefined : makeLiteral(type, textOf(node), nowMs);
}

export function makeString(literal: string): Expression {
  return { sql: quoteText(literal), type: 'string', literal };
}

function readStrings(node: KqlNode): string {
  return node.text !== '' ? readStringLiteral(node.text) : node.children.map(readStrings).join('');
}

/** `text` with or without its type around it: `5`, `long(5)`, `datetime('2024-01-01')`. */
export function makeLiteral(type: ColumnType, text: string, nowMs: number): Expression {
  const inner = (/^[a-z]+\s*\((.*)\)$/is.exec(text.trim())?.[1] ?? text).trim();
  const body = /^(['"]).*\1$/s.test(inner) ? readStringLiteral(inner) : inner;
  if (body.toLowerCase() === 'null') return { sql: `null::${sqlTypes[type]}`, type, isNull: true };
  const value = readValue(type, body, nowMs);
  if (value === null) throw makeNotSupported(`the ${type} '${body}'`);
  if (type === 'decimal')
    return { sql: `(${formatDecimal(value as bigint)})::decimal(38,17)`, type, literal: body };
  return { sql: literalSql(value, type), type, literal: String(value) };
}

function readValue(type: ColumnType, body: string, nowMs: number): bigint | number | string | boolean | null {
  switch (type) {
    case 'real': {
      const special = /^([+-]?)inf(?:inity)?$/i.exec(body);
      if (special !== null) return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
      return readers.real(body);
    }
    case 'datetime':
      if (/^now$/i.test(body)) return ticksFromUnixMs(nowMs);
      // `datetime(2024, 1, 2)` is the same as with dashes.
      return readDatetime(/^\d{4}\s*,/.test(body) ? body.replace(/\s*,\s*/g, '-') : body);
    case 'timespan':
      return parseNanoseconds(body) ?? parseTimespan(body);
    case 'decimal':
      return readDecimal(body);
    case 'dynamic':
    case 'string':
      return body;
    default:
      return readers[type](body);
  }
}

function readDecimal(body: string): bigint | null {
  try {
    return parseDecimal(body);
  } catch (error) {
    throw makeNotSupported((error as Error).message);
  }
}

/** Whole ticks, rounded down. */
function parseNanoseconds(body: string): bigint | null {
  const match = /^(-?\d+)\s*(?:nano|nanos|nanosecond|nanoseconds)$/i.exec(body);
  return match === null ? null : BigInt(match[1] ?? '0') / 100n;
}

/** What `dynamic(...)` holds: JSON, with strings quoted either way and literals of other types. */
function readDynamicLiteral(node: KqlNode, nowMs: number): DynamicValue {
  const inner = (role: string) => {
    const child = childOf(node, role);
    if (child === undefined) throw makeNotSupported(`the literal ${textOf(node).slice(0, 80)}`);
    return child;
  };
  switch (node.kind) {
    case 'DynamicExpression':
      return readDynamicLiteral(inner('Expression'), nowMs);
    case 'JsonObjectExpression':
      return new Map(
        elementsOf(childOf(node, 'Pairs')).map((pair) => {
          const [name, value] = [childOf(pair, 'Name'), childOf(pair, 'Value')];
          if (name === undefined || value === undefined) throw makeNotSupported(`the pair ${textOf(pair)}`);
          return [readStringLiteral(textOf(name)), readDynamicLiteral(value, nowMs)];
        }),
      );
    case 'JsonArrayExpression':
      return elementsOf(childOf(node, 'Values')).map((value) => readDynamicLiteral(value, nowMs));
    case 'UnaryMinusExpression': {
      const value = readDynamicLiteral(inner('Expression'), nowMs);
      if (value === null || typeof value !== 'object' || !('number' in value))
        throw makeNotSupported(`the literal ${textOf(node).slice(0, 80)}`);
      return { number: `-${value.number}` };
    }
    default:
  }
  const literal = readLiteral(node, nowMs);
  if (literal === undefined) throw makeNotSupported(`the literal ${textOf(node).slice(0, 80)}`);
  return toDynamicValue(literal);
}

/** A timespan in a literal is kept as its ticks, a datetime as text. */
function toDynamicValue(value: Expression): DynamicValue {
  if (value.isNull) return null;
  const literal = value.literal ?? '';
  switch (value.type) {
    case 'bool':
      return literal === 'true';
    case 'int':
    case 'long':
    case 'timespan':
      return { number: literal };
    case 'real':
      return makeReal(Number(literal));
    case 'datetime':
      return formatDatetime(BigInt(literal));
    case 'string':
    case 'guid':
      return literal;
    default:
      throw makeNotSupported(`a ${value.type} in a dynamic literal`);
  }
}
