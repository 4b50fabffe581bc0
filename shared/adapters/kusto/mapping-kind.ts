interface MappingKind {
  /** As in `.show table T ingestion <kind> mapping`. */
  readonly command: string;
  /** As in `ingestionMappingType` of a message. */
  readonly message: string;
}

const CSV: MappingKind = { command: 'csv', message: 'Csv' };
const JSON_KIND: MappingKind = { command: 'json', message: 'Json' };

const KINDS: Readonly<Record<string, MappingKind>> = {
  csv: CSV,
  tsv: CSV,
  tsve: CSV,
  psv: CSV,
  scsv: CSV,
  sohsv: CSV,
  txt: CSV,
  raw: CSV,
  json: JSON_KIND,
  multijson: JSON_KIND,
  singlejson: JSON_KIND,
  avro: { command: 'avro', message: 'Avro' },
  apacheavro: { command: 'apacheavro', message: 'ApacheAvro' },
  parquet: { command: 'parquet', message: 'Parquet' },
  orc: { command: 'orc', message: 'orc' },
  w3clogfile: { command: 'w3clogfile', message: 'W3CLogFile' },
};

/** Which kind of ingestion mapping a format takes; csv's where the format is not known. */
export function mappingKindOf(format: string): MappingKind {
  return KINDS[format] ?? CSV;
}
