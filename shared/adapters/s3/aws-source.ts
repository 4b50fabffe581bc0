import type { S3Client } from '@aws-sdk/client-s3';
import type { AddressReach } from '../../config/allowed-endpoints.ts';
import { ANYWHERE, findAddress, guardedLookup } from '../../config/guarded-lookup.ts';
import { etagOf, versionIdOf, versionOf } from '../../domain/s3-object.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import type { PresignedUrl, Source } from '../../ports/source.ts';
import { limitAnswers } from './answer-limit.ts';
import { type AwsCredentials, type KeysProvider, keysProviderOf, requireLeft } from './aws-credentials.ts';
import { awsErrorOf, statusOfAwsError } from './aws-error.ts';
import { decoderOf, isInOrder, notInOrder, toS3Object } from './listing.ts';
import type { ReadPart } from './parquet-footer.ts';
import { bucketUrlOf, createPresigner, type PresignInput } from './presign.ts';

export interface AwsSourceOptions {
  readonly bucket: string;
  readonly region: string;
  /** Of an S3-compatible service; `null` is AWS. */
  readonly endpoint: string | null;
  /** Puts the bucket into the path instead of the host name. */
  readonly pathStyle: boolean;
  readonly credentials: AwsCredentials;
  /** Objects are known, and read, by their version ids, of a bucket that keeps versions. Default: by their ETags. */
  readonly pinVersions?: boolean;
  /** Addresses to which the endpoint's name may lead. Default: any but those that are never allowed. */
  readonly reach?: AddressReach;
  /** Default the system's resolver. */
  readonly resolve?: Parameters<typeof guardedLookup>[1];
  /** Default the clock of the machine. */
  readonly now?: () => Date;
}

/** What S3 asks for beside s3:ListBucket and s3:GetObject where versions are named. */
const RIGHTS_OF_VERSIONS =
  'With source.pinVersions the policy must allow s3:ListBucketVersions on the bucket and s3:GetObjectVersion on its objects, too.';

/** How services say that they do not know a request. */
const NO_SUCH_OPERATION: ReadonlySet<number> = new Set([405, 501]);

/** Requests that one process may have under way to one bucket; each keeps its connection for the next. */
const MAX_CONNECTIONS = 32;
const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 30_000;

/**
 * A bucket through the AWS SDK. The SDK is loaded with the first call, not with this module.
 *
 * - An object's version is its ETag, in listings and in `head`: a listing of keys does not show version ids, and an object
 *   must have one version however it was found.
 * - With `pinVersions` it is the version id, in both: versions are listed, the latest of each key. What `presignGet` signs
 *   then names the version, whatever is written to the key meanwhile. An object without a version id (written before the
 *   bucket kept versions, or while that was suspended) has its ETag as before.
 * - `head` answers `null` for a bucket that does not exist, too: S3 tells no more without a body. Where
 *   `s3:ListBucket` is not allowed, S3 answers 403 for a missing key, and so `head` throws `sourceAccessDenied`.
 * - Anonymous: `presignGet` gives the plain URL, which never expires.
 * - Directory buckets (S3 Express One Zone) list keys in no order and are refused with `invalidDefinition`; so are answers
 *   of other services whose keys are not in the order of S3.
 * - `head` throws `sourceAccessDenied` for HTTP 400, too: S3 never shows such an object, or the credentials have ended.
 */
export function createAwsSource(options: AwsSourceOptions): Source {
  const { bucket, region, pinVersions = false } = options;
  if (bucket.endsWith('--x-s3')) {
    throw new LoaderError(
      'invalidDefinition',
      `Bucket "${bucket}" is a directory bucket; they list keys in no order and can't be loaded.`,
    );
  }
  const now = options.now ?? (() => new Date());
  const provide = keysProviderOf(options.credentials);
  // What must not be repeated when an endpoint sends back what it was sent.
  let secrets: readonly string[] = [];
  const provideKeys: KeysProvider | null =
    provide === null
      ? null
      : async (leastLeftMs) => {
          const keys = await provide(leastLeftMs);
          secrets = [keys.secretAccessKey, keys.sessionToken ?? ''].filter((secret) => secret !== '');
          return keys;
        };

  const getClient = once(() => createClient(options, provideKeys));
  const getPresign = once<(input: PresignInput) => Promise<PresignedUrl>>(async () =>
    createPresigner({ ...options, client: await getClient(), provideKeys, now }),
  );
  const deniedHint = pinVersions ? RIGHTS_OF_VERSIONS : '';
  const errorOf = (error: unknown, action: string) =>
    awsErrorOf(error, { bucket, region, action, secrets, deniedHint });

  /** A part of a version; `outOfRange` when it has no such bytes, as an empty one. The body is read here, so that a break in it has a code, too. */
  const getRange = async (
    { key, version, range }: { readonly key: string; readonly version: string; readonly range: string },
    action: string,
  ): Promise<ReadPart | 'gone' | 'outOfRange'> => {
    const [{ GetObjectCommand }, client] = [await import('@aws-sdk/client-s3'), await getClient()];
    const versionId = versionIdOf(version);
    const only = versionId === null ? { IfMatch: etagOf(version) } : { VersionId: versionId };
    try {
      const answer = await client.send(
        new GetObjectCommand({ Bucket: bucket, Key: key, Range: range, ...only }),
      );
      const sizeBytes = Number(answer.ContentRange?.split('/')[1] ?? answer.ContentLength);
      return { sizeBytes, body: (await answer.Body?.transformToByteArray()) ?? new Uint8Array() };
    } catch (error) {
      const status = statusOfAwsError(error);
      if (status === 404 || status === 412) return 'gone';
      if (status === 416) return 'outOfRange';
      throw errorOf(error, action);
    }
  };

  const getInventory = once(async () => {
    const { createInventoryBucket } = await import('./inventory-bucket.ts');
    const sizeOf = async (key: string) => (await source.head(key))?.sizeBytes ?? null;
    return createInventoryBucket({ bucket, getClient, errorOf, listFolders: source.listFolders, sizeOf });
  });

  const listKeys: Source['listPage'] = async ({ prefix, startAfter, signal }) => {
    const [{ ListObjectsV2Command }, client] = [await import('@aws-sdk/client-s3'), await getClient()];
    const list = (token: string | undefined) =>
      client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          // Keys may hold characters that XML can't, such as control characters.
          EncodingType: 'url',
          ...(startAfter === null ? {} : { StartAfter: startAfter }),
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
        signal === undefined ? {} : { abortSignal: signal },
      );
    let page = await list(undefined);
    // A page may be empty without being the last; the caller would have no key to go on from.
    while (page.IsTruncated === true && (page.Contents ?? []).length === 0) {
      if (page.NextContinuationToken === undefined)
        throw new Error('an empty page does not say how to go on');
      page = await list(page.NextContinuationToken);
    }
    const decode = decoderOf(page);
    const objects = (page.Contents ?? []).map((object) => toS3Object(object, decode));
    const keys = objects.map(({ key }) => key);
    if (!isInOrder(keys, startAfter)) throw notInOrder(bucket);
    return { objects, isLast: page.IsTruncated !== true };
  };

  const listLatest: Source['listPage'] = async ({ prefix, startAfter, signal }) => {
    const [{ ListObjectVersionsCommand, ListObjectsV2Command }, { listVersions, noVersions }, client] = [
      await import('@aws-sdk/client-s3'),
      await import('./list-versions.ts'),
      await getClient(),
    ];
    const input = { Bucket: bucket, Prefix: prefix, EncodingType: 'url' } as const;
    const options = signal === undefined ? {} : { abortSignal: signal };
    try {
      return await listVersions({
        bucket,
        startAfter,
        list: (markers, most) =>
          client.send(
            new ListObjectVersionsCommand({
              ...input,
              ...markers,
              ...(most === undefined ? {} : { MaxKeys: most }),
            }),
            options,
          ),
        hasKeys: async () => {
          const { Contents = [] } = await client.send(
            new ListObjectsV2Command({ ...input, MaxKeys: 1 }),
            options,
          );
          return Contents.length > 0;
        },
      });
    } catch (error) {
      throw NO_SUCH_OPERATION.has(statusOfAwsError(error) ?? 0) ? noVersions(bucket) : error;
    }
  };

  const source: Source = {
    async resolve() {
      try {
        const { hostname } = bucketUrlOf(await getClient(), options);
        const { reach = ANYWHERE, resolve } = options;
        // By the same guard as the connections of the client.
        await findAddress(guardedLookup(reach, resolve), hostname);
        return [hostname];
      } catch (error) {
        throw errorOf(error, 'find the address');
      }
    },

    async signIn(leastLeftMs = 0) {
      if (provideKeys === null) return 'anonymous';
      try {
        const keys = await provideKeys(leastLeftMs);
        if (leastLeftMs > 0) requireLeft(keys, { bucket, leastLeftMs, now: now() });
        const { accessKeyId, sessionToken, role } = keys;
        if (role !== undefined) return role;
        // AWS does not call it a secret, but half of one is in reach of who knows it whole.
        return `${sessionToken === undefined ? 'access key' : 'temporary access key'} that ends with ${accessKeyId.slice(-4)}`;
      } catch (error) {
        throw errorOf(error, 'get the keys');
      }
    },

    async listPage(input) {
      try {
        return await (pinVersions ? listLatest(input) : listKeys(input));
      } catch (error) {
        input.signal?.throwIfAborted();
        throw errorOf(error, 'list the keys');
      }
    },

    async listFolders({ prefix, startAfter }) {
      const [{ ListObjectsV2Command }, client] = [await import('@aws-sdk/client-s3'), await getClient()];
      const input = { Bucket: bucket, Prefix: prefix, Delimiter: '/', EncodingType: 'url' } as const;
      try {
        const page = await client.send(
          new ListObjectsV2Command({ ...input, ...(startAfter === null ? {} : { StartAfter: startAfter }) }),
        );
        const decode = decoderOf(page);
        return {
          folders: (page.CommonPrefixes ?? []).map((one) => decode(one.Prefix ?? '')),
          hasKeys: (page.Contents ?? []).length > 0,
          isLast: page.IsTruncated !== true,
        };
      } catch (error) {
        throw errorOf(error, 'list the folders');
      }
    },

    async findInventory(input) {
      const { findInventory } = await import('./inventory.ts');
      return findInventory(await getInventory(), input);
    },

    async readInventory(input) {
      const { readInventory } = await import('./inventory.ts');
      return readInventory(await getInventory(), input);
    },

    async head(key) {
      const [{ HeadObjectCommand }, client] = [await import('@aws-sdk/client-s3'), await getClient()];
      try {
        const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
        return {
          key,
          version: versionOf({
            ...(pinVersions ? { versionId: head.VersionId } : {}),
            etag: head.ETag ?? '',
          }),
          sizeBytes: head.ContentLength ?? 0,
          lastModified: (head.LastModified ?? new Date(0)).toISOString(),
          storageClass: head.StorageClass ?? 'STANDARD',
        };
      } catch (error) {
        const status = statusOfAwsError(error);
        if (status === 404) return null;
        const failure = errorOf(error, 'read the properties of an object');
        if (status === 400 && failure.code === 'sourceUnavailable') throw notShown(failure);
        throw failure;
      }
    },

    async countParquetRows({ key, version }) {
      const { readParquetRows } = await import('./parquet-footer.ts');
      return readParquetRows(async (range) => {
        const part = await getRange({ key, version, range }, 'read the end of an object');
        return typeof part === 'string' ? null : part;
      });
    },

    async canRead({ key, version }) {
      const part = await getRange({ key, version, range: 'bytes=0-0' }, 'read the first byte of an object');
      return part !== 'gone';
    },

    async presignGet({ key, version, lifetimeMs, leastLeftMs = 0 }) {
      try {
        return await (await getPresign())({ key, versionId: versionIdOf(version), lifetimeMs, leastLeftMs });
      } catch (error) {
        throw errorOf(error, 'sign a URL for an object');
      }
    },
  };
  return source;
}

async function createClient(options: AwsSourceOptions, provideKeys: KeysProvider | null): Promise<S3Client> {
  const { S3Client } = await import('@aws-sdk/client-s3');
  const { reach = ANYWHERE, resolve } = options;
  const agent = {
    keepAlive: true,
    maxSockets: MAX_CONNECTIONS,
    lookup: guardedLookup(reach, resolve),
  };
  const signing =
    provideKeys === null
      ? // The client insists on keys even where nothing is signed.
        {
          signer: { sign: async <T>(request: T) => request },
          credentials: { accessKeyId: 'anonymous', secretAccessKey: '' },
        }
      : {
          credentials: async () => {
            const { expiresAt, role: _role, ...keys } = await provideKeys();
            return expiresAt === undefined ? keys : { ...keys, expiration: expiresAt };
          },
        };
  const client = new S3Client({
    region: options.region,
    ...(options.endpoint === null ? {} : { endpoint: options.endpoint }),
    forcePathStyle: options.pathStyle,
    ...signing,
    maxAttempts: 3,
    // A redirect means a wrong setting, which must be seen.
    followRegionRedirects: false,
    // S3-compatible services refuse the checksums that the SDK otherwise adds.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
  // It makes a copy of each answer, without its secrets, for a log that nobody reads: a tenth of what a listing costs.
  client.middlewareStack.remove('loggerMiddleware');
  limitAnswers(client);
  return client;
}

/** The answer to a HEAD has no body that would say more. */
function notShown({ message }: LoaderError): LoaderError {
  return new LoaderError(
    'sourceAccessDenied',
    `${message}. S3 answers so for an object that is encrypted with a key of its owner (SSE-C), for a key of more than 1,024 bytes, and when the credentials have ended.`,
  );
}

/** One value for all callers; a failed attempt is not kept. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = null;
      throw error;
    });
    return made;
  };
}
