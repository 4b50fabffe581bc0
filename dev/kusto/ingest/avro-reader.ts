import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { inflateRaw, zstdDecompress } from 'node:zlib';
import avro, { type Type } from 'avsc';
import { formatDatetime, formatTimespan, TICKS_AT_UNIX_EPOCH, toDatetimeTicks } from '../ticks.ts';
import { IngestionError } from './ingestion-error.ts';
import { isExactNumber, type RecordHandler, toExactNumber } from './json-reader.ts';

const require = createRequire(import.meta.url);
const snappy = require('snappyjs') as { uncompress(data: Buffer): Buffer };

const SYNC_BYTES = 16;
/** Reading is synchronous: so often requests are let in between. */
const RECORDS_PER_TURN = 1_000;

type Codec = (data: Buffer, done: (error: Error | null, data?: Buffer) => void) => void;

const codecs: Readonly<Record<string, Codec>> = {
  null: (data, done) => done(null, data),
  deflate: inflateRaw,
  zstandard: zstdDecompress,
  // The four bytes at the end are a checksum.
  snappy: (data, done) => {
    try {
      done(null, snappy.uncompress(data.subarray(0, -4)));
    } catch (error) {
      done(error as Error);
    }
  },
};

/**
 * Reads an Avro object container file. Numbers beyond 2^53 arrive as `JSON.rawJSON` objects, bytes as `Buffer`, unions as the value of
 * their branch; with `apacheavro` values of logical types as texts or numbers that fit a column of their kind.
 * @throws IngestionError `BadRequest_InvalidBlob`, also for a file that ends within a block; `BadRequest_FormatNotSupported` for a codec.
 */
export async function readAvro(
  source: Readable,
  format: 'avro' | 'apacheavro',
  onRecord: RecordHandler,
): Promise<void> {
  let sync: Buffer | undefined;
  let tail: Buffer = Buffer.alloc(0);
  const keepTail = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      tail = Buffer.concat([tail, chunk]).subarray(-SYNC_BYTES);
      done(null, chunk);
    },
  });
  const decoder = new avro.streams.BlockDecoder({
    codecs,
    parseHook: (schema) => makeType(schema, format === 'apacheavro'),
  });
  decoder.on('metadata', (_type: Type, _codec: string, header: { sync: Buffer }) => {
    sync = header.sync;
  });
  let recordNumber = 0;
  try {
    await pipeline(source, keepTail, decoder, async (records: AsyncIterable<unknown>) => {
      for await (const record of records) {
        recordNumber += 1;
        onRecord(toPlainValue(record), recordNumber);
        if (recordNumber % RECORDS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    });
  } catch (error) {
    if (error instanceof IngestionError) throw error;
    const { message } = error as Error;
    const codec = /^unknown codec: (.*)$/.exec(message)?.[1];
    if (codec === undefined) throw invalid(message);
    throw new IngestionError(
      'BadRequest_FormatNotSupported',
      `The local endpoint can't read the codec '${codec}' of Avro; it reads ${Object.keys(codecs).join(', ')}.`,
    );
  }
  // The decoder takes a file that ends within a block for one that ends before it.
  if (sync === undefined || !tail.equals(sync)) throw invalid('it ends within a block');
}

function invalid(reason: string): IngestionError {
  return new IngestionError('BadRequest_InvalidBlob', `The source is no valid Avro file: ${reason}.`);
}

type LongReader = (value: bigint) => unknown;

/** A JavaScript number can't hold a long: it is read as bigint, and by `read` into what is wanted. */
function makeLongType(read: LongReader): Type {
  const unused = () => {
    throw new Error('Longs are only read.');
  };
  return avro.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => read(bytes.readBigInt64LE()),
    toBuffer: unused,
    fromJSON: unused,
    toJSON: unused,
    isValid: unused,
    compare: unused,
  });
}

function makeType(schema: unknown, hasLogicalTypes: boolean): Type {
  const long = makeLongType((value) => value);
  const makeNamedLong = (part: unknown): Type | undefined => {
    const { type, logicalType = '' } = part as { type?: unknown; logicalType?: string };
    if (type !== 'long') return undefined;
    const read = hasLogicalTypes ? longReaders[logicalType] : undefined;
    return read === undefined ? long : makeLongType(read);
  };
  return avro.Type.forSchema(schema as Parameters<typeof avro.Type.forSchema>[0], {
    registry: { long },
    typeHook: makeNamedLong,
    wrapUnions: 'always',
    ...(hasLogicalTypes ? { logicalTypes } : {}),
  });
}

/** A logical type whose values are read by `read` and never written. */
function defineLogicalType(read: (value: never, schema: { scale?: number }) => unknown) {
  return class extends avro.types.LogicalType {
    readonly #attributes: { scale?: number };

    constructor(schema: unknown, options?: unknown) {
      super(schema as ConstructorParameters<typeof avro.types.LogicalType>[0], options);
      this.#attributes = schema as { scale?: number };
    }

    protected override _fromValue(value: unknown): unknown {
      return read(value as never, this.#attributes);
    }

    protected override _toValue(value: unknown): unknown {
      return value;
    }
  };
}

function formatTicks(unixTicks: bigint): string | null {
  const ticks = toDatetimeTicks(unixTicks + TICKS_AT_UNIX_EPOCH);
  return ticks === null ? null : formatDatetime(ticks);
}

const readMillis: LongReader = (value) => formatTicks(value * 10_000n);
const readMicros: LongReader = (value) => formatTicks(value * 10n);

/** Logical types of a long. */
const longReaders: Readonly<Record<string, LongReader>> = {
  'timestamp-millis': readMillis,
  'timestamp-micros': readMicros,
  'local-timestamp-millis': readMillis,
  'local-timestamp-micros': readMicros,
  'time-micros': (value) => formatTimespan(value * 10n),
};

const logicalTypes = {
  date: defineLogicalType((value: number) => formatTicks(BigInt(value) * 864_000_000_000n)),
  'time-millis': defineLogicalType((value: number) => formatTimespan(BigInt(value) * 10_000n)),
  decimal: defineLogicalType((value: Buffer, { scale = 0 }) => toExactNumber(formatDecimal(value, scale))),
  uuid: defineLogicalType((value: string) => value),
};

/** Two's complement, the highest byte first. */
function formatDecimal(bytes: Buffer, scale: number): string {
  const unscaled =
    bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
  const sign = unscaled < 0n ? '-' : '';
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  return scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Branches of unions become their value, bigints exact numbers. */
function toPlainValue(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : toExactNumber(value.toString());
  }
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value) || isExactNumber(value))
    return value;
  if (Array.isArray(value)) return value.map(toPlainValue);
  const branch = value as { unwrap?: unknown };
  if (typeof branch.unwrap === 'function' && !Object.hasOwn(branch, 'unwrap'))
    return toPlainValue((branch.unwrap as () => unknown)());
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, toPlainValue(entry)]));
}
