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
  | 'DropMappedFields'
  | 'BytesAsBase64';

export interface MappedColumn {
  readonly column: string;
  readonly type: ColumnType | undefined;
  readonly source: ValueSource;
  readonly transform: Transform | undefined;
}

export const mappingKinds = ['csv', 'json', 'avro', 'apacheavro', 'parquet'] as const;
/** What a mapping is written for; also how its formats are read. */
export type MappingKind = (typeof mappingKinds)[number];

/** Which kind of mapping reads which formats. */
const kindsOfFormats: Readonly<Record<string, MappingKind>> = {
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
  avro: 'avro',
  apacheavro: 'apacheavro',
  parquet: 'parquet',
};

const allKinds: readonly MappingKind[] = mappingKinds;
const pathKinds: readonly MappingKind[] = ['json', 'avro', 'apacheavro', 'parquet'];
const avroKinds: readonly MappingKind[] = ['avro', 'apacheavro'];

/** What each transform may be used in, and the types that its column may have where only some make sense. */
const transforms: Readonly<
  Record<
    Transform | 'SourceLocation' | 'SourceLineNumber',
    { readonly kinds: readonly MappingKind[]; readonly types?: readonly ColumnType[] }
  >
> = {
  SourceLocation: { kinds: allKinds, types: ['string'] },
  SourceLineNumber: { kinds: pathKinds, types: ['int', 'long'] },
  DateTimeFromUnixSeconds: { kinds: pathKinds, types: ['datetime'] },
  DateTimeFromUnixMilliseconds: { kinds: pathKinds, types: ['datetime'] },
  DateTimeFromUnixMicroseconds: { kinds: pathKinds, types: ['datetime'] },
  DateTimeFromUnixNanoseconds: { kinds: pathKinds, types: ['datetime'] },
  PropertyBagArrayToDictionary: { kinds: ['json', ...avroKinds], types: ['dynamic'] },
  DropMappedFields: { kinds: ['json', ...avroKinds], types: ['dynamic'] },
  BytesAsBase64: { kinds: avroKinds, types: ['string'] },
};

/** @throws IngestionError naming a format that the service knows and this endpoint can't read, or that nobody knows. */
export function mappingKindOf(format: string): MappingKind {
  const kind = kindsOfFormats[format];
  if (kind === undefined) {
    throw new IngestionError(
      'BadRequest_FormatNotSupported',
      `The local endpoint does not read format '${format}'; it reads ${Object.keys(kindsOfFormats).join(', ')}.`,
    );
  }
  return kind;
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
  const text = properties.inlineMapping ?? findMapping(properties, kind, table, database);
  if (text === undefined) return undefined;
  const mapping = parseMapping(text, kind);
  if (properties.format === 'txt' || properties.format === 'raw') {
    const other = mapping.find(({ source }) => source.kind === 'ordinal' && source.ordinal !== 0);
    if (other !== undefined)
      throw invalid(`Column '${other.column}': format '${properties.format}' has only the Ordinal 0.`);
  }
  return mapping;
}

function findMapping(
  { mappingReference }: IngestionProperties,
  kind: MappingKind,
  table: StoredTable,
  database: StoredDatabase,
): string | undefined {
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
  return stored.mapping;
}

/**
 * Reads a mapping of any age: `{"Column","DataType","Properties":{}}` or flat, keys in any case.
 * @throws IngestionError `BadRequest_InvalidMapping`.
 */
export function parseMapping(text: string, kind: MappingKind): readonly MappedColumn[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    throw invalid('The mapping is not valid JSON.');
  }
  if (!Array.isArray(entries) || entries.length === 0) {
    throw invalid('A mapping must be a JSON array with at least one column.');
  }
  const columns = entries.map((entry: unknown, index) => readEntry(entry, index, kind));
  const names = columns.map((column) => column.column);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(`Column '${twice}' is mapped twice.`);
  return columns;
}

function readEntry(entry: unknown, index: number, kind: MappingKind): MappedColumn {
  const fields = foldKeys(entry);
  const properties = new Map([...fields, ...foldKeys(fields.get('properties') ?? {})]);
  const column = fields.get('column') ?? fields.get('name');
  if (typeof column !== 'string' || column === '') {
    throw invalid(`Entry ${index} of the mapping names no column.`);
  }
  const typeName = fields.get('datatype') ?? fields.get('type') ?? fields.get('cslDataType'.toLowerCase());
  const type = typeof typeName === 'string' && typeName !== '' ? readColumnType(typeName) : undefined;
  if (typeof typeName === 'string' && typeName !== '' && type === undefined) {
    throw invalid(`Column '${column}' has the unknown type '${typeName}'.`);
  }
  const transform = readTransform(properties.get('transform'), column, type, kind);
  const constant = properties.get('constvalue') ?? properties.get('constantvalue');
  if (transform === 'SourceLocation')
    return { column, type, source: { kind: 'sourceLocation' }, transform: undefined };
  if (transform === 'SourceLineNumber')
    return { column, type, source: { kind: 'sourceLineNumber' }, transform: undefined };
  if (constant !== undefined && constant !== null)
    return { column, type, source: { kind: 'constant', text: String(constant) }, transform };
  const source = kind === 'csv' ? readOrdinal(properties, column) : readLocation(properties, column, kind);
  return { column, type, source, transform };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function readTransform(
  value: unknown,
  column: string,
  type: ColumnType | undefined,
  kind: MappingKind,
): keyof typeof transforms | undefined {
  if (!isGiven(value) || /^none$/i.test(String(value))) return undefined;
  const names = Object.keys(transforms) as (keyof typeof transforms)[];
  const name = names.find((candidate) => candidate.toLowerCase() === String(value).toLowerCase());
  if (name === undefined || !transforms[name].kinds.includes(kind))
    throw invalid(`Transform '${String(value)}' of column '${column}' is none of a ${kind} mapping.`);
  requireType(name, column, type);
  return name;
}

function requireType(name: keyof typeof transforms, column: string, type: ColumnType | undefined): void {
  const { types } = transforms[name];
  if (type !== undefined && types !== undefined && !types.includes(type))
    throw invalid(`Transform ${name} gives ${types.join(' or ')}, and column '${column}' is ${type}.`);
}

function readOrdinal(properties: ReadonlyMap<string, unknown>, column: string): ValueSource {
  const ordinal = properties.get('ordinal');
  const number = isGiven(ordinal) ? Number(ordinal) : Number.NaN;
  if (!Number.isInteger(number) || number < 0)
    throw invalid(`Column '${column}' of a csv mapping needs an Ordinal.`);
  return { kind: 'ordinal', ordinal: number };
}

/** `Path`, or `Field` where the kind has it: a field's name, which may hold any character. */
function readLocation(
  properties: ReadonlyMap<string, unknown>,
  column: string,
  kind: MappingKind,
): ValueSource {
  const path = properties.get('path');
  const field = properties.get('field');
  if (isGiven(path) && isGiven(field)) throw invalid(`Column '${column}' has both a Path and a Field.`);
  if (isGiven(field) && kind !== 'json') return { kind: 'path', steps: [String(field)] };
  if (!isGiven(path)) {
    throw invalid(
      `Column '${column}' of a ${kind} mapping needs a Path${kind === 'json' ? '' : ' or a Field'}.`,
    );
  }
  const text = String(path);
  return text.startsWith('$') ? { kind: 'path', steps: parsePath(text) } : { kind: 'constant', text };
}

function invalid(message: string): IngestionError {
  return new IngestionError('BadRequest_InvalidMapping', message);
}

/** `$`, `.name`, `['na me']`, `["na me"]`, `[0]`; nothing else of JSONPath. */
function parsePath(path: string): readonly PathStep[] {
  const steps: PathStep[] = [];
  const step = /\.([^.[\]'"]+)|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]/y;
  step.lastIndex = 1;
  while (step.lastIndex < path.length) {
    const at = step.lastIndex;
    const match = step.exec(path);
    if (match === null) throw invalid(`Path '${path}' can't be read from position ${at}.`);
    const name = match[1] ?? match[2] ?? match[3];
    steps.push(name === undefined ? Number(match[4]) : name.replace(/\\(.)/g, '$1'));
  }
  return steps;
}

/** A mapping may leave the type out: then the table's decides. */
function requireFittingType(
  { column, type: wanted, source, transform }: MappedColumn,
  type: ColumnType,
): void {
  if (wanted !== undefined && wanted !== type) {
    throw new IngestionError(
      'BadRequest_InconsistentMapping',
      `The mapping gives column '${column}' the type ${wanted}, and in the table it is ${type}.`,
    );
  }
  if (source.kind === 'sourceLocation') requireType('SourceLocation', column, type);
  else if (source.kind === 'sourceLineNumber') requireType('SourceLineNumber', column, type);
  else if (transform !== undefined) requireType(transform, column, type);
}

/**
 * What fills each of the table's columns, in their order; columns outside the mapping stay null.
 * @throws IngestionError `BadRequest_InvalidMapping` for a transform whose value the column can't take,
 *   `BadRequest_InconsistentMapping` for a type that is not the table's.
 */
export function planColumns(
  columns: readonly StoredColumn[],
  mapping: readonly MappedColumn[] | undefined,
  kind: MappingKind,
): readonly MappedColumn[] {
  return columns.map((column, index) => {
    if (mapping !== undefined) {
      const mapped = mapping.find((candidate) => candidate.column === column.name);
      if (mapped !== undefined) requireFittingType(mapped, column.type);
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
  if (typeof value !== 'object' || value === null) throw invalid('A mapping entry must be a JSON object.');
  return new Map(Object.entries(value).map(([key, entry]) => [key.toLowerCase(), entry]));
}
