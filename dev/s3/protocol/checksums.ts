import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { createCrc32c, createCrc64Nvme, type RunningChecksum } from './crc.ts';
import { notImplemented, S3Error } from './errors.ts';

export const checksumAlgorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

const digestBytes: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
};

/** A checksum as S3 stores and reports it. */
export interface StoredChecksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64; of a composite checksum with `-` and the number of parts. */
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

/** What an upload says about its checksum. */
export interface ChecksumExpectation {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64 from a header; `null` if it comes in a trailer, or was not announced at all. */
  readonly value: string | null;
  readonly source: 'header' | 'trailer' | 'none';
}

export function createChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  switch (algorithm) {
    case 'CRC32': {
      let crc = 0;
      return {
        update(data) {
          crc = crc32(data, crc);
        },
        digest() {
          const result = Buffer.alloc(4);
          result.writeUInt32BE(crc, 0);
          return result;
        },
      };
    }
    case 'CRC32C':
      return createCrc32c();
    case 'CRC64NVME':
      return createCrc64Nvme();
    case 'SHA1':
    case 'SHA256': {
      const hash = createHash(algorithm.toLowerCase());
      return { update: (data) => void hash.update(data), digest: () => hash.digest() };
    }
  }
}

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** Reads an algorithm's name in any case; `undefined` if there is no such algorithm. */
export function readAlgorithm(name: string): ChecksumAlgorithm | undefined {
  return checksumAlgorithms.find((algorithm) => algorithm === name.toUpperCase());
}

/** @throws S3Error NotImplemented for an algorithm that the endpoint has not */
export function requireAlgorithm(name: string): ChecksumAlgorithm {
  const algorithm = readAlgorithm(name);
  if (algorithm === undefined) throw notImplemented(`The checksum algorithm ${name}`);
  return algorithm;
}

/**
 * Finds out which checksum an upload brings, in a header or as a trailer.
 *
 * @returns CRC64NVME without a value if it brings none: S3 computes that one by itself
 * @throws S3Error InvalidRequest if the announcement contradicts itself
 */
export function readChecksumExpectation(headers: ReadonlyMap<string, string>): ChecksumExpectation {
  const inHeaders = checksumAlgorithms.filter((algorithm) => headers.has(checksumHeader(algorithm)));
  const trailerNames = (headers.get('x-amz-trailer') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  const inTrailer = checksumAlgorithms.filter((algorithm) =>
    trailerNames.includes(checksumHeader(algorithm)),
  );
  if (trailerNames.length > inTrailer.length) {
    throw new S3Error('InvalidRequest', {
      message: 'The value specified in the x-amz-trailer header is not supported',
    });
  }
  if (inHeaders.length + inTrailer.length > 1) {
    throw new S3Error('InvalidRequest', {
      message: 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    });
  }
  const announced = headers.get('x-amz-sdk-checksum-algorithm');
  const algorithm = inHeaders[0] ?? inTrailer[0];
  if (announced !== undefined) {
    const named = readAlgorithm(announced);
    if (named === undefined) {
      throw new S3Error('InvalidRequest', {
        message: 'Value for x-amz-sdk-checksum-algorithm header is invalid.',
      });
    }
    if (algorithm === undefined) {
      throw new S3Error('InvalidRequest', {
        message:
          'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
      });
    }
    if (named !== algorithm) {
      throw new S3Error('InvalidRequest', {
        message: `Value for x-amz-sdk-checksum-algorithm header is invalid. It is ${named}, and the checksum is ${algorithm}.`,
      });
    }
  }
  if (algorithm === undefined) return { algorithm: 'CRC64NVME', value: null, source: 'none' };
  if (inHeaders.length === 0) return { algorithm, value: null, source: 'trailer' };
  const value = headers.get(checksumHeader(algorithm)) ?? '';
  checkChecksumForm(algorithm, value);
  return { algorithm, value, source: 'header' };
}

/** @throws S3Error InvalidRequest if the value is not base64 of the right length */
export function checkChecksumForm(algorithm: ChecksumAlgorithm, value: string): void {
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length !== digestBytes[algorithm] || bytes.toString('base64') !== value) {
    throw new S3Error('InvalidRequest', {
      message: `Value for ${checksumHeader(algorithm)} header is invalid.`,
    });
  }
}

export function checksumMismatch(algorithm: ChecksumAlgorithm): S3Error {
  return new S3Error('BadDigest', {
    message: `The ${algorithm} you specified did not match the calculated checksum.`,
  });
}
