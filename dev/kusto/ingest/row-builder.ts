import type { ColumnType } from '../column-types.ts';
import { TICKS_AT_UNIX_EPOCH, toDatetimeTicks } from '../ticks.ts';
import { jsonConverters, type PhysicalValue, textConverters, textOfNumber } from './convert-value.ts';
import type { MappedColumn, PathStep, Transform } from './ingestion-mapping.ts';
import { isExactNumber } from './json-reader.ts';

export interface RowContext {
  /** URL without its secrets, for the transform SourceLocation. */
  readonly sourcePath: string;
  /** True for Avro. */
  readonly mayHoldBytes?: boolean;
}

export type TextRowBuilder = (fields: readonly string[], lineNumber: number) => PhysicalValue[];
export type RecordRowBuilder = (record: unknown, lineNumber: number) => PhysicalValue[];

/** Builds rows of the table from delimited fields; a field that is not there is null, or '' in a string column. */
export function makeTextRowBuilder(columns: readonly MappedColumn[], context: RowContext): TextRowBuilder {
  const cells = columns.map((column) => {
    const type = column.type ?? 'string';
    const convert = textConverters[type];
    const { source } = column;
    if (source.kind === 'ordinal') {
      const { ordinal } = source;
      const missing = type === 'string' ? '' : null;
      return (fields: readonly string[]) => {
        const text = fields[ordinal];
        return text === undefined || (text === '' && type !== 'string') ? missing : convert(text);
      };
    }
    return makeFixedCell(column, context);
  });
  return (fields, lineNumber) => cells.map((cell) => cell(fields, lineNumber));
}

/** Builds rows of the table from parsed JSON or Avro records; names are case-sensitive. */
export function makeRecordRowBuilder(
  columns: readonly MappedColumn[],
  context: RowContext,
): RecordRowBuilder {
  const mappedSteps = columns.flatMap((column) =>
    column.source.kind === 'path' ? [column.source.steps] : [],
  );
  const cells = columns.map((column) => {
    const type = column.type ?? 'string';
    const convertJson = jsonConverters[type];
    const convert = context.mayHoldBytes ? (value: unknown) => convertJson(withoutBytes(value)) : convertJson;
    const { source, transform } = column;
    if (source.kind !== 'path') return makeFixedCell(column, context);
    const { steps } = source;
    if (transform === 'DropMappedFields') {
      return (record: unknown) => convert(dropMappedFields(readPath(record, steps), steps, mappedSteps));
    }
    if (transform !== undefined)
      return (record: unknown) => applyTransform(transform, readPath(record, steps), type);
    const [first] = steps;
    if (steps.length === 1 && typeof first === 'string') {
      return (record: unknown) => convert(readProperty(record, first));
    }
    return (record: unknown) => convert(readPath(record, steps));
  });
  return (record, lineNumber) => cells.map((cell) => cell(record as never, lineNumber));
}

function makeFixedCell(
  column: MappedColumn,
  context: RowContext,
): (record: unknown, lineNumber: number) => PhysicalValue {
  const type = column.type ?? 'string';
  const { source } = column;
  if (source.kind === 'constant') {
    const value = textConverters[type](source.text);
    return () => value;
  }
  if (source.kind === 'sourceLocation') {
    const value = textConverters[type](context.sourcePath);
    return () => value;
  }
  if (source.kind === 'sourceLineNumber')
    return (_record, lineNumber) => textConverters[type](String(lineNumber));
  return () => (type === 'string' ? '' : null);
}

function readProperty(record: unknown, name: string): unknown {
  return typeof record === 'object' && record !== null && Object.hasOwn(record, name)
    ? (record as Record<string, unknown>)[name]
    : undefined;
}

function readPath(record: unknown, steps: readonly PathStep[]): unknown {
  let value = record;
  for (const step of steps) {
    value =
      typeof step === 'number' ? (Array.isArray(value) ? value[step] : undefined) : readProperty(value, step);
  }
  return value;
}

/** Bytes have no text of their own: without a transform they are null. */
function withoutBytes(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || isExactNumber(value)) return value;
  if (Buffer.isBuffer(value)) return null;
  if (Array.isArray(value)) return value.map(withoutBytes);
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, withoutBytes(entry)]));
}

const UNIX_UNIT_TICKS: Readonly<Partial<Record<Transform, readonly [ticks: bigint, divisor: bigint]>>> = {
  DateTimeFromUnixSeconds: [10_000_000n, 1n],
  DateTimeFromUnixMilliseconds: [10_000n, 1n],
  DateTimeFromUnixMicroseconds: [10n, 1n],
  DateTimeFromUnixNanoseconds: [1n, 100n],
};

function applyTransform(transform: Transform, value: unknown, type: ColumnType): PhysicalValue {
  const unit = UNIX_UNIT_TICKS[transform];
  if (unit !== undefined) {
    const ticks = unixTicks(value, unit);
    return ticks === null ? null : toDatetimeTicks(ticks + TICKS_AT_UNIX_EPOCH);
  }
  if (transform === 'BytesAsBase64') return Buffer.isBuffer(value) ? value.toString('base64') : '';
  if (transform === 'PropertyBagArrayToDictionary' && Array.isArray(value)) {
    const pairs = value.map((entry: unknown): [string, unknown] => [
      String(readProperty(entry, 'Key') ?? readProperty(entry, 'key')),
      readProperty(entry, 'Value') ?? readProperty(entry, 'value'),
    ]);
    return jsonConverters[type](Object.fromEntries(pairs));
  }
  return jsonConverters[type](value);
}

/** In the number's own digits: nanoseconds since 1970 are more than a JavaScript number holds. */
function unixTicks(value: unknown, [ticks, divisor]: readonly [bigint, bigint]): bigint | null {
  const text = typeof value === 'number' ? String(value) : (textOfNumber(value) ?? '');
  const match = /^\s*(-?)(\d+)(?:\.(\d+))?\s*$/.exec(text);
  if (match === null) return null;
  const [, sign, whole = '', fraction = ''] = match;
  const result = (BigInt(whole + fraction) * ticks) / (divisor * 10n ** BigInt(fraction.length));
  return sign === '-' ? -result : result;
}

function dropMappedFields(
  value: unknown,
  steps: readonly PathStep[],
  mapped: readonly (readonly PathStep[])[],
): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const dropped = new Set(
    mapped
      .filter(
        (other) => other.length === steps.length + 1 && steps.every((step, index) => other[index] === step),
      )
      .map((other) => other.at(-1)),
  );
  return Object.fromEntries(Object.entries(value).filter(([name]) => !dropped.has(name)));
}
