import { cutSecrets, IngestionError } from './ingestion-error.ts';

/** Azure's limit for the text of a queue message. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_RAW_SIZE_BYTES = 6 * 1024 ** 3;

export type ReportLevel = 'failures' | 'none' | 'all';
export type ReportMethod = 'queue' | 'table' | 'both';

export interface StatusEntityAddress {
  readonly tableUrl: string;
  readonly partitionKey: string;
  readonly rowKey: string;
}

export interface ValidationPolicy {
  /** 0 none, 1 same number of fields in every record, 2 no mapping to a column that is missing. */
  readonly options: number;
  /** 0 fail the source, 1 go on. */
  readonly implications: number;
}

export interface IngestionProperties {
  readonly format: string;
  readonly tags: readonly string[];
  readonly ingestIfNotExists: readonly string[];
  readonly mappingReference: string | undefined;
  readonly mappingKind: string | undefined;
  /** JSON text of an inline mapping. */
  readonly inlineMapping: string | undefined;
  readonly validationPolicy: ValidationPolicy;
  readonly ignoreFirstRecord: boolean;
  /** ISO 8601: what the extent's creation time becomes. */
  readonly creationTime: string | undefined;
  readonly treatGzAsUncompressed: boolean;
  /** Which entries of a zip archive are read; undefined for all of them. */
  readonly zipPattern: string | undefined;
}

export interface IngestionMessage {
  readonly id: string;
  readonly database: string;
  readonly table: string;
  /** Full URL with its signature: never logged, never reported. */
  readonly blobUrl: string;
  /** The URL up to its secrets, for reports. */
  readonly sourcePath: string;
  readonly rawSizeBytes: number | undefined;
  readonly flushImmediately: boolean;
  readonly ignoreSizeLimit: boolean;
  readonly retainBlobOnSuccess: boolean;
  readonly reportLevel: ReportLevel;
  readonly reportMethod: ReportMethod;
  readonly statusEntity: StatusEntityAddress | undefined;
  /** Set for a blob of an operation that was queued by request. */
  readonly tracking: { readonly operationId: string; readonly index: number } | undefined;
  readonly properties: IngestionProperties;
  /** Equal for messages that may share a batch. */
  readonly propertiesKey: string;
}

/** A message that can't be read at all: nobody can be told, so it is dropped and only recorded. */
export class UnreadableMessage extends Error {}

/** The identity of a message whose properties are wrong, so that the failure can still be reported. */
export interface ReadMessage {
  readonly message: IngestionMessage;
  /** Set when the message must fail without being loaded. */
  readonly error: IngestionError | undefined;
}

/**
 * Reads the text of a queue message: base64 of UTF-8 JSON.
 * @throws UnreadableMessage with the reason.
 */
export function readIngestionMessage(text: string): ReadMessage {
  if (Buffer.byteLength(text) > MAX_MESSAGE_BYTES) throw new UnreadableMessage('longer than 64 KiB');
  const json = Buffer.from(text, 'base64').toString('utf8');
  let fields: CaseInsensitive;
  try {
    fields = foldKeys(JSON.parse(json));
  } catch {
    throw new UnreadableMessage('not base64 of a JSON object');
  }
  const id = asText(fields.get('id'));
  const database = asText(fields.get('databasename'));
  const table = asText(fields.get('tablename'));
  if (id === undefined) throw new UnreadableMessage('no Id');
  const blobUrl = asText(fields.get('blobpath')) ?? '';
  let error: IngestionError | undefined;
  let properties = defaultProperties;
  let propertiesKey = '';
  const additional = foldKeys(fields.get('additionalproperties') ?? {});
  try {
    properties = readProperties(additional);
    propertiesKey = makePropertiesKey(additional);
  } catch (caught) {
    if (!(caught instanceof IngestionError)) throw caught;
    error = caught;
  }
  if (blobUrl === '') error = new IngestionError('BadRequest_EmptyBlobUri', 'The message names no blob.');
  else if (!/^https?:\/\/[^/]/i.test(blobUrl)) {
    error = new IngestionError('BadRequest_InvalidBlobUri', `'${cutSecrets(blobUrl)}' is no http(s) URL.`);
  }
  const rawSize = Number(fields.get('rawdatasize') ?? 0);
  const ignoreSizeLimit = asFlag(fields.get('ignoresizelimit'));
  if (rawSize > MAX_RAW_SIZE_BYTES && !ignoreSizeLimit) {
    error = new IngestionError(
      'BadRequest_FileTooLarge',
      `RawDataSize ${rawSize} is above the limit of ${MAX_RAW_SIZE_BYTES} bytes for one source.`,
    );
  }
  if (database === undefined || database === '')
    error = new IngestionError('BadRequest_DatabaseNotExist', 'The message names no database.');
  else if (table === undefined || table === '')
    error = new IngestionError('BadRequest_TableNotExist', 'The message names no table.');
  return {
    message: {
      id,
      database: database ?? '',
      table: table ?? '',
      blobUrl,
      sourcePath: cutSecrets(blobUrl),
      rawSizeBytes: Number.isFinite(rawSize) && rawSize > 0 ? rawSize : undefined,
      flushImmediately: asFlag(fields.get('flushimmediately')),
      ignoreSizeLimit,
      retainBlobOnSuccess: fields.get('retainblobonsuccess') !== false,
      reportLevel: reportLevels[Number(fields.get('reportlevel') ?? 0)] ?? 'failures',
      reportMethod: reportMethods[Number(fields.get('reportmethod') ?? 0)] ?? 'queue',
      statusEntity: readStatusEntity(fields.get('ingestionstatusintable')),
      tracking: readTracking(fields.get('tracking')),
      properties,
      propertiesKey,
    },
    error,
  };
}

const reportLevels: readonly ReportLevel[] = ['failures', 'none', 'all'];
const reportMethods: readonly ReportMethod[] = ['queue', 'table', 'both'];

const defaultProperties: IngestionProperties = {
  format: 'csv',
  tags: [],
  ingestIfNotExists: [],
  mappingReference: undefined,
  mappingKind: undefined,
  inlineMapping: undefined,
  validationPolicy: { options: 1, implications: 1 },
  ignoreFirstRecord: false,
  creationTime: undefined,
  treatGzAsUncompressed: false,
  zipPattern: undefined,
};

type CaseInsensitive = ReadonlyMap<string, unknown>;

function foldKeys(value: unknown): CaseInsensitive {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UnreadableMessage('not a JSON object');
  return new Map(Object.entries(value).map(([key, entry]) => [key.toLowerCase(), entry]));
}

/**
 * Properties of an ingestion, from a message's `AdditionalProperties` or a command's `with (...)`. Keys must be
 * in lower case.
 * @throws IngestionError for a property that can't be read.
 */
export function readProperties(fields: CaseInsensitive): IngestionProperties {
  const first = (...keys: readonly string[]) =>
    keys.map((key) => fields.get(key)).find((value) => value !== undefined && value !== null && value !== '');
  const kindOf = (suffix: string) =>
    ['csv', 'json', 'avro', 'apacheavro', 'parquet', 'orc'].find((kind) => fields.has(`${kind}${suffix}`));
  const reference = first(
    'ingestionmappingreference',
    'mappingreference',
    'csvmappingreference',
    'jsonmappingreference',
    'avromappingreference',
    'parquetmappingreference',
    'orcmappingreference',
  );
  const inline = first(
    'ingestionmapping',
    'mapping',
    'csvmapping',
    'jsonmapping',
    'avromapping',
    'parquetmapping',
    'orcmapping',
  );
  if (reference !== undefined && inline !== undefined) {
    throw new IngestionError(
      'BadRequest_DuplicateMapping',
      'Both a mapping and a mapping reference are given.',
    );
  }
  const creationTime = asText(first('creationtime'));
  if (creationTime !== undefined && Number.isNaN(Date.parse(creationTime))) {
    throw new IngestionError(
      'BadRequest_MalformedIngestionProperty',
      `creationTime '${creationTime}' is no datetime.`,
    );
  }
  const kind =
    asText(first('ingestionmappingtype', 'ingestionmappingkind', 'mappingtype')) ??
    kindOf('mappingreference') ??
    kindOf('mapping');
  return {
    format: (asText(first('format')) ?? 'csv').toLowerCase(),
    tags: readTextList('tags', fields.get('tags')),
    ingestIfNotExists: readTextList('ingestIfNotExists', fields.get('ingestifnotexists')),
    mappingReference: asText(reference),
    mappingKind: kind?.toLowerCase(),
    inlineMapping:
      inline === undefined ? undefined : typeof inline === 'string' ? inline : JSON.stringify(inline),
    validationPolicy: readValidationPolicy(fields.get('validationpolicy')),
    ignoreFirstRecord: asFlag(fields.get('ignorefirstrecord')),
    creationTime: creationTime === undefined ? undefined : new Date(creationTime).toISOString(),
    treatGzAsUncompressed: asFlag(fields.get('treatgzasuncompressed')),
    zipPattern: asText(first('zippattern')),
  };
}

/** Messages that differ only in who may ingest, or when they were made, share a batch. */
function makePropertiesKey(fields: CaseInsensitive): string {
  const entries = [...fields]
    .filter(([key]) => key !== 'authorizationcontext')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(entries);
}

function readTextList(name: string, value: unknown): readonly string[] {
  if (value === undefined || value === null || value === '') return [];
  let list: unknown = value;
  if (typeof value === 'string') {
    try {
      list = JSON.parse(value);
    } catch {
      list = undefined;
    }
  }
  if (!Array.isArray(list) || list.some((entry) => typeof entry !== 'string')) {
    throw new IngestionError(
      'BadRequest_MalformedIngestionProperty',
      `${name} must be a JSON array of strings.`,
    );
  }
  return list as string[];
}

/** The Node client sends an object, the Python client JSON text. */
function readValidationPolicy(value: unknown): ValidationPolicy {
  if (value === undefined || value === null || value === '') return defaultProperties.validationPolicy;
  let policy: CaseInsensitive;
  try {
    policy = foldKeys(typeof value === 'string' ? JSON.parse(value) : value);
  } catch {
    throw new IngestionError(
      'BadRequest_MalformedIngestionProperty',
      'ValidationPolicy must be a JSON object.',
    );
  }
  const options = readNamed(
    policy.get('validationoptions'),
    ['donotvalidate', 'validatecsvinputconstantcolumns', 'validatecsvinputcolumnlevelonly'],
    1,
  );
  const implications = readNamed(policy.get('validationimplications'), ['fail', 'besteffort'], 1);
  return { options, implications };
}

function readNamed(value: unknown, names: readonly string[], fallback: number): number {
  if (typeof value === 'number') return value;
  const index = names.indexOf(String(value ?? '').toLowerCase());
  return index === -1 ? fallback : index;
}

function readStatusEntity(value: unknown): StatusEntityAddress | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = foldKeys(value);
  const tableUrl = asText(fields.get('tableconnectionstring'));
  const partitionKey = asText(fields.get('partitionkey'));
  const rowKey = asText(fields.get('rowkey'));
  if (tableUrl === undefined || partitionKey === undefined || rowKey === undefined) return undefined;
  return { tableUrl, partitionKey, rowKey };
}

function readTracking(value: unknown): IngestionMessage['tracking'] {
  if (typeof value !== 'object' || value === null) return undefined;
  const { operationId, index } = value as { operationId?: unknown; index?: unknown };
  return typeof operationId === 'string' && typeof index === 'number' ? { operationId, index } : undefined;
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function asFlag(value: unknown): boolean {
  return value === true || String(value).toLowerCase() === 'true';
}
