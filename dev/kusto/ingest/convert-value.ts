import { DuckDBDecimalValue as Decimal, type DuckDBDecimalValue } from '@duckdb/node-api';
import type { ColumnType } from '../column-types.ts';
import { parseDatetime, parseTimespan } from '../ticks.ts';
import { IngestionError } from './ingestion-error.ts';

/** What one cell becomes in DuckDB. Ticks are bigint; dynamic is JSON text. */
export type PhysicalValue = boolean | number | bigint | string | DuckDBDecimalValue | null;

export type TextConverter = (text: string) => PhysicalValue;
export type JsonConverter = (value: unknown) => PhysicalValue;

const MAX_STRING_BYTES = 1024 * 1024;
const MIN_LONG = -(2n ** 63n);
const MAX_LONG = 2n ** 63n - 1n;
const INTEGER = /^\s*[+-]?\d+\s*$/;
const REAL = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
const GUID = /^\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$/i;
const DECIMAL_SCALE = 17;
const DECIMAL_LIMIT = 10n ** 38n;

/**
 * A value that does not fit its column is null and nobody is told; a string is never null. That is what the
 * service does, and what a loader has to notice by itself.
 */
export const textConverters: Readonly<Record<ColumnType, TextConverter>> = {
  bool: (text) => {
    const value = text.trim().toLowerCase();
    if (value === 'true' || value === '1') return true;
    return value === 'false' || value === '0' ? false : null;
  },
  int: (text) => {
    if (!INTEGER.test(text)) return null;
    const value = Number(text);
    return value >= -2147483648 && value <= 2147483647 ? value : null;
  },
  long: (text) => {
    if (!INTEGER.test(text)) return null;
    const value = BigInt(text.trim().replace(/^\+/, ''));
    return value >= MIN_LONG && value <= MAX_LONG ? value : null;
  },
  real: (text) => {
    if (REAL.test(text)) return Number(text);
    const value = text.trim().toLowerCase();
    if (value === 'nan') return Number.NaN;
    if (value === 'infinity' || value === '+infinity') return Number.POSITIVE_INFINITY;
    return value === '-infinity' ? Number.NEGATIVE_INFINITY : null;
  },
  decimal: convertDecimal,
  datetime: (text) => (text === '' ? null : parseDatetime(text)),
  timespan: (text) => (text === '' ? null : parseTimespan(text)),
  guid: (text) => {
    const match = GUID.exec(text.trim());
    return match ? match.slice(1).join('-').toLowerCase() : null;
  },
  dynamic: (text) => {
    const value = text.trim();
    if (value === '') return null;
    if (Buffer.byteLength(value) > MAX_STRING_BYTES) return null;
    return /^[[{"\d\-tfn]/.test(value) && isJson(value) ? value : JSON.stringify(text);
  },
  string: cutString,
};

/** The same from a parsed JSON value; numbers beyond 2^53 arrive as `JSON.rawJSON` objects. */
export const jsonConverters: Readonly<Record<ColumnType, JsonConverter>> = {
  bool: (value) => {
    if (typeof value === 'boolean') return value;
    if (typeof value === 'number') return value === 0 ? false : value === 1 ? true : null;
    return typeof value === 'string' ? textConverters.bool(value) : null;
  },
  int: fromNumberLike('int'),
  long: (value) => {
    if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : null;
    const text = textOfNumber(value);
    return text === undefined ? null : textConverters.long(text);
  },
  real: (value) => {
    if (typeof value === 'number') return value;
    const text = textOfNumber(value);
    return text === undefined ? null : textConverters.real(text);
  },
  decimal: fromNumberLike('decimal'),
  datetime: (value) => (typeof value === 'string' ? textConverters.datetime(value) : null),
  timespan: (value) => (typeof value === 'string' ? textConverters.timespan(value) : null),
  guid: (value) => (typeof value === 'string' ? textConverters.guid(value) : null),
  dynamic: (value) => {
    if (value === undefined || value === null) return null;
    const text = JSON.stringify(value);
    return text.length > MAX_STRING_BYTES ? null : text;
  },
  string: (value) => {
    if (typeof value === 'string') return cutString(value);
    if (value === undefined || value === null) return '';
    return cutString(JSON.stringify(value));
  },
};

function fromNumberLike(type: 'int' | 'decimal'): JsonConverter {
  return (value) => {
    const text = typeof value === 'number' ? String(value) : textOfNumber(value);
    return text === undefined ? null : textConverters[type](text);
  };
}

/** Digits of a number that came as text or as a `JSON.rawJSON` object. */
export function textOfNumber(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const raw = (value as { rawJSON?: unknown } | null | undefined)?.rawJSON;
  return typeof raw === 'string' ? raw : undefined;
}

function cutString(text: string): string {
  // A char is at most 3 UTF-8 bytes: only texts that could be over the limit are measured.
  if (text.length * 3 <= MAX_STRING_BYTES || Buffer.byteLength(text) <= MAX_STRING_BYTES) return text;
  return Buffer.from(text)
    .subarray(0, MAX_STRING_BYTES)
    .toString('utf8')
    .replace(/\uFFFD$/, '');
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A number that the stored type can't hold exactly fails its source: it must not become another one. */
function convertDecimal(text: string): PhysicalValue {
  const match = /^\s*([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,3}))?\s*$/i.exec(text);
  const [, sign, whole = '', fraction = '', exponent = '0'] = match ?? [];
  if (!match || whole + fraction === '') return null;
  const shift = DECIMAL_SCALE - fraction.length + Number(exponent);
  const digits = BigInt(whole + fraction);
  const factor = 10n ** BigInt(Math.abs(shift));
  const scaled = shift >= 0 ? digits * factor : digits / factor;
  if (scaled >= DECIMAL_LIMIT || (shift < 0 && digits % factor !== 0n)) {
    throw new IngestionError(
      'BadRequest_NotSupportedLocally',
      `The decimal ${text.trim().slice(0, 60)} needs more than 21 digits before or 17 after the point, which the local endpoint can't store.`,
    );
  }
  return new Decimal(sign === '-' ? -scaled : scaled, 38, DECIMAL_SCALE);
}
