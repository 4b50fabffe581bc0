import { type ColumnType, readColumnType } from '../column-types.ts';
import type { StoredColumn, StoredDatabase, StoredTable } from '../storage/catalog.ts';
import { IngestionError } from './ingestion-error.ts';
import type { IngestionProperties } from './ingestion-message.ts';

export type PathStep = string | number;

export type ValueSource =
  | { readonly kind: 'ordinal'; readonly ordinal: number }
  | { readonly kind: 'path'; readonly steps: readonly PathStep[] }
  | { readonly kind: 'constant'; readonly text: string }
  | { readonly kind: 'sourceLocation' }
  | { readonly kind: 'sourceLineNumber' }
  | { readonly kind: 'none' };

export type Transform =
  | 'DateTimeFromUnixSeconds'
  | 'DateTimeFromUnixMilliseconds'
  | 'DateTimeFromUnixMicroseconds'
  | 'DateTimeFromUnixNanoseconds'
  | 'PropertyBagArrayToDictionary'
  | 'DropMappedFields';

export interface MappedColumn {
  readonly column: string;
  readonly type: ColumnType | undefined;
  readonly source: ValueSource;
  readonly transform: Transform | undefined;
}

/** Which kind of mapping reads which formats. */
const mappingKinds: Readonly<Record<string, string>> = {
  csv: 'csv',
  tsv: 'csv',
  tsve: 'csv',
  psv: 'csv',
  scsv: 'csv',
  sohsv: 'csv',
  txt: 'csv',
  raw: 'csv',
  json: 'json',
  multijson: 'json',
  singlejson: 'json',
  parquet: 'parquet',
};

const transforms: readonly Transform[] = [
  'DateTimeFromUnixSeconds',
  'DateTimeFromUnixMilliseconds',
  'DateTimeFromUnixMicroseconds',
  'DateTimeFromUnixNanoseconds',
  'PropertyBagArrayToDictionary',
  'DropMappedFields',
];

/** @throws IngestionError naming a format that the service knows and this endpoint can't read, or that nobody knows. */
export function mappingKindOf(format: string): 'csv' | 'json' | 'parquet' {
  const kind = mappingKinds[format];
  if (kind === undefined) {
    throw new IngestionError(
      'BadRequest_FormatNotSupported',
      `The local endpoint does not read format '${format}'; it reads ${Object.keys(mappingKinds).join(', ')}.`,
    );
  }
  return kind as 'csv' | 'json' | 'parquet';
}

/**
 * The mapping of an ingestion: inline, by reference (the table's before the database's), or undefined for the
 * identity mapping.
 * @throws IngestionError when it does not exist, can't be read or is for another format.
 */
export function resolveMapping(
  properties: IngestionProperties,
  table: StoredTable,
  database: StoredDatabase,
): readonly MappedColumn[] | undefined {
  const kind = mappingKindOf(properties.format);
  if (properties.mappingKind !== undefined && properties.mappingKind !== kind) {
    throw new IngestionError(
      'BadRequest_InconsistentMapping',
      `A mapping of kind '${properties.mappingKind}' can't read format '${properties.format}'.`,
    );
  }
  if (properties.inlineMapping !== undefined) return parseMapping(properties.inlineMapping, kind);
  const { mappingReference } = properties;
  if (mappingReference === undefined) return undefined;
  const stored = [...table.mappings, ...database.mappings].find(
    (candidate) => candidate.name === mappingReference && candidate.kind === kind,
  );
  if (stored === undefined) {
    throw new IngestionError(
      'BadRequest_MappingReferenceWasNotFound',
      `Table '${table.name}' has no ${kind} mapping '${mappingReference}'.`,
    );
  }
  return parseMapping(stored.mapping, kind);
}

/**
 * Reads a mapping of any age: `{"Column","DataType","Properties":{}}` or flat, keys in any case.
 * @throws IngestionError `BadRequest_InvalidMapping`.
 */
export function parseMapping(text: string, kind: 'csv' | 'json' | 'parquet'): readonly MappedColumn[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    throw new IngestionError('BadRequest_InvalidMapping', 'The mapping is not valid JSON.');
  }
  if (!Array.isArray(entries) || entries.length === 0) {
    throw new IngestionError(
      'BadRequest_InvalidMapping',
      'A mapping must be a JSON array with at least one column.',
    );
  }
  const columns = entries.map((entry: unknown, index) => readEntry(entry, index, kind));
  const names = columns.map((column) => column.column);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new IngestionError('BadRequest_InvalidMapping', `Column '${twice}' is mapped twice.`);
  return columns;
}

function readEntry(entry: unknown, index: number, kind: 'csv' | 'json' | 'parquet'): MappedColumn {
  const fields = foldKeys(entry);
  const properties = new Map([...fields, ...foldKeys(fields.get('properties') ?? {})]);
  const column = fields.get('column') ?? fields.get('name');
  if (typeof column !== 'string' || column === '') {
    throw new IngestionError('BadRequest_InvalidMapping', `Entry ${index} of the mapping names no column.`);
  }
  const typeName = fields.get('datatype') ?? fields.get('type') ?? fields.get('cslDataType'.toLowerCase());
  const type = typeof typeName === 'string' && typeName !== '' ? readColumnType(typeName) : undefined;
  if (typeof typeName === 'string' && typeName !== '' && type === undefined) {
    throw new IngestionError(
      'BadRequest_InvalidMapping',
      `Column '${column}' has the unknown type '${typeName}'.`,
    );
  }
  const transformName = properties.get('transform');
  const constant = properties.get('constvalue') ?? properties.get('constantvalue');
  const path =
    properties.get('path') ?? (properties.has('field') ? `$.${String(properties.get('field'))}` : undefined);
  const ordinal = properties.get('ordinal');
  let source: ValueSource;
  let transform: Transform | undefined;
  if (transformName !== undefined && transformName !== null && !/^none$/i.test(String(transformName))) {
    const name = String(transformName).toLowerCase();
    if (name === 'sourcelocation')
      return { column, type, source: { kind: 'sourceLocation' }, transform: undefined };
    if (name === 'sourcelinenumber')
      return { column, type, source: { kind: 'sourceLineNumber' }, transform: undefined };
    transform = transforms.find((candidate) => candidate.toLowerCase() === name);
    if (transform === undefined) {
      throw new IngestionError(
        'BadRequest_InvalidMapping',
        `Transform '${String(transformName)}' of column '${column}' is not supported by the local endpoint.`,
      );
    }
  }
  if (constant !== undefined && constant !== null) source = { kind: 'constant', text: String(constant) };
  else if (kind === 'csv') {
    const number = Number(ordinal);
    if (
      ordinal === undefined ||
      ordinal === null ||
      ordinal === '' ||
      !Number.isInteger(number) ||
      number < 0
    ) {
      throw new IngestionError(
        'BadRequest_InvalidMapping',
        `Column '${column}' of a csv mapping needs an Ordinal.`,
      );
    }
    source = { kind: 'ordinal', ordinal: number };
  } else if (typeof path !== 'string' || path === '') {
    throw new IngestionError(
      'BadRequest_InvalidMapping',
      `Column '${column}' of a ${kind} mapping needs a Path.`,
    );
  } else {
    source = path.startsWith('$')
      ? { kind: 'path', steps: parsePath(path) }
      : { kind: 'constant', text: path };
  }
  return { column, type, source, transform };
}

/** `$`, `.name`, `['na me']`, `["na me"]`, `[0]`; nothing else of JSONPath. */
function parsePath(path: string): readonly PathStep[] {
  const steps: PathStep[] = [];
  const step = /\.([^.[\]'"]+)|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]/y;
  step.lastIndex = 1;
  while (step.lastIndex < path.length) {
    const at = step.lastIndex;
    const match = step.exec(path);
    if (match === null)
      throw new IngestionError(
        'BadRequest_InvalidMapping',
        `Path '${path}' can't be read from position ${at}.`,
      );
    const name = match[1] ?? match[2] ?? match[3];
    steps.push(name === undefined ? Number(match[4]) : name.replace(/\\(.)/g, '$1'));
  }
  return steps;
}

/** What fills each of the table's columns, in their order; columns outside the mapping stay null. */
export function planColumns(
  columns: readonly StoredColumn[],
  mapping: readonly MappedColumn[] | undefined,
  kind: 'csv' | 'json' | 'parquet',
): readonly MappedColumn[] {
  return columns.map((column, index) => {
    if (mapping !== undefined) {
      const mapped = mapping.find((candidate) => candidate.column === column.name);
      return {
        column: column.name,
        type: column.type,
        source: mapped?.source ?? { kind: 'none' },
        transform: mapped?.transform,
      };
    }
    const source: ValueSource =
      kind === 'csv' ? { kind: 'ordinal', ordinal: index } : { kind: 'path', steps: [column.name] };
    return { column: column.name, type: column.type, source, transform: undefined };
  });
}

function foldKeys(value: unknown): Map<string, unknown> {
  if (typeof value !== 'object' || value === null)
    throw new IngestionError('BadRequest_InvalidMapping', 'A mapping entry must be a JSON object.');
  return new Map(Object.entries(value).map(([key, entry]) => [key.toLowerCase(), entry]));
}
