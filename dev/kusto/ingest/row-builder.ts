import type { ColumnType } from '../column-types.ts';
import { TICKS_AT_UNIX_EPOCH } from '../ticks.ts';
import { jsonConverters, type PhysicalValue, textConverters } from './convert-value.ts';
import type { MappedColumn, PathStep, Transform } from './ingestion-mapping.ts';

export interface RowContext {
  /** URL without its secrets, for the transform SourceLocation. */
  readonly sourcePath: string;
}

export type TextRowBuilder = (fields: readonly string[], lineNumber: number) => PhysicalValue[];
export type JsonRowBuilder = (record: unknown, lineNumber: number) => PhysicalValue[];

/** Builds rows of the table from delimited fields; a field that is not there is null, or '' in a string column. */
export function makeTextRowBuilder(columns: readonly MappedColumn[], context: RowContext): TextRowBuilder {
  const cells = columns.map((column) => {
    const type = column.type ?? 'string';
    const convert = textConverters[type];
    const { source, transform } = column;
    if (source.kind === 'ordinal') {
      const { ordinal } = source;
      const missing = type === 'string' ? '' : null;
      if (transform !== undefined) {
        return (fields: readonly string[]) => applyTransform(transform, fields[ordinal], type);
      }
      return (fields: readonly string[]) => {
        const text = fields[ordinal];
        return text === undefined || (text === '' && type !== 'string') ? missing : convert(text);
      };
    }
    return makeFixedCell(column, context);
  });
  return (fields, lineNumber) => cells.map((cell) => cell(fields, lineNumber));
}

/** Builds rows of the table from parsed JSON records; property names are case-sensitive. */
export function makeJsonRowBuilder(columns: readonly MappedColumn[], context: RowContext): JsonRowBuilder {
  const mappedSteps = columns.flatMap((column) =>
    column.source.kind === 'path' ? [column.source.steps] : [],
  );
  const cells = columns.map((column) => {
    const type = column.type ?? 'string';
    const convert = jsonConverters[type];
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
    if (ticks === null || type !== 'datetime') return type === 'string' ? '' : null;
    return ticks + TICKS_AT_UNIX_EPOCH;
  }
  if (transform === 'PropertyBagArrayToDictionary' && Array.isArray(value)) {
    const pairs = value.map((entry: unknown): [string, unknown] => [
      String(readProperty(entry, 'Key') ?? readProperty(entry, 'key')),
      readProperty(entry, 'Value') ?? readProperty(entry, 'value'),
    ]);
    return jsonConverters[type](Object.fromEntries(pairs));
  }
  return jsonConverters[type](value);
}

function unixTicks(value: unknown, [ticks, divisor]: readonly [bigint, bigint]): bigint | null {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : '';
  if (/^-?\d+$/.test(text)) return (BigInt(text) * ticks) / divisor;
  const number = Number(text);
  if (text === '' || !Number.isFinite(number)) return null;
  return BigInt(Math.trunc((number * Number(ticks)) / Number(divisor)));
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
