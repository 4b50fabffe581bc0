import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet';

/** An object to put into the bucket. */
export interface SeedObject {
  readonly key: string;
  readonly body: Uint8Array;
}

/** A data set: its objects, and how many rows they hold, counted from the files and not by the loader. */
export interface DataSet {
  readonly load: string;
  readonly table: string;
  readonly objects: readonly SeedObject[];
  readonly rows: number;
}

export const BUCKET = 'demo';

const dataFolder = path.join(import.meta.dirname, '..', '..', 'node_modules', 'vega-datasets', 'data');

/** Names that a loader can get wrong: spaces, `+`, `%`, `=`, `#`, quotes, letters beyond ASCII. */
const FILE_NAMES = [
  'flights.jsonl',
  'flights 1.jsonl',
  'flights+1.jsonl',
  '100%.jsonl',
  'a=b.jsonl',
  '#1.jsonl',
  'flüge.jsonl',
  'フライト.jsonl',
  "it's.jsonl",
  'flights (copy).jsonl',
];

/** Every n-th object is gzipped. */
const GZIP_EVERY = 5;

/** The data sets of `vega-datasets` as they lie in the demonstration bucket. */
export async function readDataSets(): Promise<readonly DataSet[]> {
  return [
    await flights(),
    await csv('zipcodes', 'Zipcodes', 'zip codes (2024).csv'),
    await csv('birdstrikes', 'Birdstrikes', 'birdstrikes.csv'),
    await flights3m(),
  ];
}

/** One object per day and hour, under `date=…/hour=…/`. */
async function flights(): Promise<DataSet> {
  const rows = JSON.parse(await readFile(path.join(dataFolder, 'flights-20k.json'), 'utf8')) as readonly {
    readonly date: string;
  }[];
  const hours = Map.groupBy(rows, ({ date }) => date.slice(0, 13));
  const objects = [...hours].map(([hour, flightsOfHour], index) => {
    const [day, hourOfDay] = hour.split(' ') as [string, string];
    const lines = Buffer.from(flightsOfHour.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const isZipped = index % GZIP_EVERY === 0;
    const name = `${FILE_NAMES[index % FILE_NAMES.length]}${isZipped ? '.gz' : ''}`;
    return {
      key: `flights/date=${day.replaceAll('/', '-')}/hour=${hourOfDay}/${name}`,
      body: isZipped ? gzipSync(lines) : lines,
    };
  });
  return { load: 'flights', table: 'Flights', objects, rows: rows.length };
}

/** A CSV file as it is; neither file has line breaks inside a field. */
async function csv(name: string, table: string, fileName: string): Promise<DataSet> {
  const body = await readFile(path.join(dataFolder, `${name}.csv`));
  const lines = body
    .toString('utf8')
    .split(/\r?\n/)
    .filter((line) => line !== '');
  return { load: name, table, objects: [{ key: `${name}/${fileName}`, body }], rows: lines.length - 1 };
}

async function flights3m(): Promise<DataSet> {
  const file = path.join(dataFolder, 'flights-3m.parquet');
  const { num_rows: rows } = await parquetMetadataAsync(await asyncBufferFromFile(file));
  return {
    load: 'flights-3m',
    table: 'Flights3m',
    objects: [{ key: 'flights-3m/flights-3m.parquet', body: await readFile(file) }],
    rows: Number(rows),
  };
}
