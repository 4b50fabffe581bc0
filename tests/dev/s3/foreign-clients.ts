import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { RunningS3 } from '../../../dev/s3/index.ts';
import { findForeignProgram } from '../../foreign-program.ts';
import { type RunningEndpoint, startEndpoint } from './running-endpoint.ts';

const maxRunMs = 200_000;
const maxOutputBytes = 64 * 1024 * 1024;
const execFileToEnd = promisify(execFile);

/** A program of somebody else that speaks S3, with the same words for all of them. */
export interface ForeignClient {
  readonly name: string;
  /** `null` where it is missing: its tests are skipped. */
  readonly command: string | null;
  /** Size of the parts of its large uploads, and the size from which it takes parts. */
  readonly partBytes: number;
  /** Whether it can carry this key to a bucket and back, as the program is. */
  readonly canCarry: (key: string) => boolean;
  readonly configure: (home: string, settings: RunningS3['settings']) => Promise<ClientConfiguration>;
  /** Where it finds a bucket, or everything under a prefix. */
  readonly urlOf: (bucketAndKey: string) => string;
  readonly syncArguments: (from: string, to: string) => string[];
  readonly removeAllArguments: (url: string) => string[];
  /** Prints the object's bytes. */
  readonly printArguments: (url: string) => string[];
  /** Prints a URL that reads the object for an hour; `null` if it signs with Signature Version 2, which is refused. */
  readonly presignArguments: ((url: string) => string[]) | null;
  /** Calls that have to end without an error in the bucket `data` with the object `k` and an upload to `under-way`. */
  readonly otherCalls: (uploadId: string) => string[][];
  /** What those calls ask the endpoint for, at least. */
  readonly otherOperations: readonly string[];
}

interface ClientConfiguration {
  readonly env: Readonly<Record<string, string>>;
  /** Put before all others. */
  readonly arguments: readonly string[];
}

export const awsCli: ForeignClient = {
  name: 'AWS CLI',
  // On a machine with several Pythons the first one on the path may be a stand-in that does not run.
  command: findForeignProgram({
    name: 'AWS CLI',
    commands: ['/usr/bin/aws', 'aws'],
    debianPackage: 'awscli',
  }),
  partBytes: 8 * 1024 * 1024,
  canCarry: () => true,
  configure: async (home, settings) => {
    const file = join(home, 'config');
    // Version 1 still presigns with Signature Version 2 in us-east-1, which S3 takes for old buckets only.
    await writeFile(file, '[default]\ns3 =\n    signature_version = s3v4\n');
    return {
      env: {
        AWS_CONFIG_FILE: file,
        AWS_SHARED_CREDENTIALS_FILE: join(home, 'credentials'),
        AWS_ACCESS_KEY_ID: settings.accessKeyId,
        AWS_SECRET_ACCESS_KEY: settings.secretAccessKey,
        AWS_DEFAULT_REGION: settings.region,
        AWS_EC2_METADATA_DISABLED: 'true',
      },
      arguments: ['--endpoint-url', settings.endpoint],
    };
  },
  urlOf: (bucketAndKey) => `s3://${bucketAndKey}`,
  syncArguments: (from, to) => ['s3', 'sync', '--only-show-errors', '--delete', from, to],
  removeAllArguments: (url) => ['s3', 'rm', '--only-show-errors', '--recursive', url],
  printArguments: (url) => ['s3', 'cp', url, '-'],
  presignArguments: (url) => ['s3', 'presign', url],
  otherCalls: (uploadId) => {
    const ofBucket = (name: string) => ['s3api', name, '--bucket', 'data'];
    const ofObject = (name: string) => [...ofBucket(name), '--key', 'k'];
    return [
      [...ofObject('get-object-attributes'), '--object-attributes', 'ETag', 'Checksum', 'ObjectSize'],
      [...ofObject('put-object-tagging'), '--tagging', 'TagSet=[{Key=a,Value=b}]'],
      [...ofBucket('put-bucket-tagging'), '--tagging', 'TagSet=[{Key=a,Value=b}]'],
      ofBucket('get-bucket-tagging'),
      ofBucket('delete-bucket-tagging'),
      ofBucket('get-bucket-notification-configuration'),
      ofBucket('list-object-versions'),
      [...ofBucket('list-parts'), '--key', 'under-way', '--upload-id', uploadId],
    ];
  },
  otherOperations: [
    'GetObjectAttributes',
    'PutObjectTagging',
    'PutBucketTagging',
    'GetBucketTagging',
    'DeleteBucketTagging',
    'GetBucketNotificationConfiguration',
    'ListObjectVersions',
    'ListParts',
  ],
};

export const rclone: ForeignClient = {
  name: 'rclone',
  command: findForeignProgram({
    name: 'rclone',
    commands: ['rclone'],
    probe: ['version'],
    debianPackage: 'rclone',
  }),
  partBytes: 5 * 1024 * 1024,
  // It cleans the paths of its requests of such segments, and what ends with a slash is a folder.
  canCarry: (key) => !key.split('/').some((segment) => ['', '.', '..'].includes(segment)),
  configure: async (home, settings) => {
    const file = join(home, 'rclone.conf');
    const lines = [
      '[local]',
      'type = s3',
      'provider = Minio',
      `access_key_id = ${settings.accessKeyId}`,
      `secret_access_key = ${settings.secretAccessKey}`,
      `region = ${settings.region}`,
      `endpoint = ${settings.endpoint}`,
      'upload_cutoff = 5Mi',
      'chunk_size = 5Mi',
    ];
    await writeFile(file, lines.join('\n'));
    return { env: { RCLONE_CONFIG: file }, arguments: ['--retries', '1', '--low-level-retries', '1'] };
  },
  urlOf: (bucketAndKey) => `local:${bucketAndKey}`,
  syncArguments: (from, to) => ['sync', '--transfers', '16', '--checkers', '16', from, to],
  removeAllArguments: (url) => ['delete', url],
  printArguments: (url) => ['cat', url],
  presignArguments: (url) => ['link', '--expire', '1h', url],
  otherCalls: () => [
    ['lsf', '--s3-versions', 'local:data'],
    ['backend', 'versioning', 'local:data'],
    ['backend', 'list-multipart-uploads', 'local:data'],
    ['cleanup', 'local:data'],
    ['moveto', 'local:data/k', 'local:data/moved'],
  ],
  otherOperations: [
    'ListObjectVersions',
    'GetBucketVersioning',
    'ListMultipartUploads',
    'CopyObject',
    'DeleteObject',
  ],
};

export const s3cmd: ForeignClient = {
  name: 's3cmd',
  command: findForeignProgram({ name: 's3cmd', commands: ['s3cmd'], debianPackage: 's3cmd' }),
  partBytes: 5 * 1024 * 1024,
  // It writes ^J for a line feed and the like into the key itself, and makes folders of what ends with a slash.
  canCarry: (key) => !/\p{Cc}|\/$/u.test(key),
  configure: async (home, settings) => {
    const file = join(home, 's3cfg');
    const { host } = new URL(settings.endpoint);
    const lines = [
      '[default]',
      `access_key = ${settings.accessKeyId}`,
      `secret_key = ${settings.secretAccessKey}`,
      `bucket_location = ${settings.region}`,
      `host_base = ${host}`,
      `host_bucket = ${host}`,
      'use_https = False',
      'multipart_chunk_size_mb = 5',
      'progress_meter = False',
    ];
    await writeFile(file, lines.join('\n'));
    return { env: {}, arguments: ['--config', file] };
  },
  urlOf: (bucketAndKey) => `s3://${bucketAndKey}`,
  syncArguments: (from, to) => ['sync', '--quiet', '--delete-removed', from, to],
  removeAllArguments: (url) => ['del', '--quiet', '--recursive', '--force', url],
  printArguments: (url) => ['get', '--quiet', url, '-'],
  presignArguments: null,
  otherCalls: (uploadId) => [
    ['info', 's3://data'],
    ['info', 's3://data/k'],
    ['multipart', 's3://data'],
    ['listmp', 's3://data/under-way', uploadId],
    ['abortmp', 's3://data/under-way', uploadId],
    ['delpolicy', 's3://data'],
    ['delcors', 's3://data'],
    ['dellifecycle', 's3://data'],
    ['setacl', '--acl-private', 's3://data/k'],
    ['mv', 's3://data/k', 's3://data/moved'],
  ],
  otherOperations: [
    'GetBucketLocation',
    'GetBucketRequestPayment',
    'GetBucketLifecycleConfiguration',
    'GetBucketPolicy',
    'GetBucketCors',
    'GetBucketAcl',
    'GetObjectAcl',
    'PutObjectAcl',
    'ListMultipartUploads',
    'ListParts',
    'AbortMultipartUpload',
    'DeleteBucketPolicy',
    'DeleteBucketCors',
    'DeleteBucketLifecycle',
    'CopyObject',
    'DeleteObject',
  ],
};

export const foreignClients: readonly ForeignClient[] = [awsCli, rclone, s3cmd];

/** A client with an endpoint of its own. */
export interface RunningClient {
  readonly endpoint: RunningEndpoint;
  /** For the files that it syncs; also holds its configuration. */
  readonly folder: string;
  /** Runs it to its end. @returns what it prints @throws Error with what it complains about */
  readonly run: (args: readonly string[]) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** Starts an endpoint and prepares a client for it, with nothing of this machine's configuration. */
export async function startForeignClient(
  client: ForeignClient,
  buckets: readonly string[],
): Promise<RunningClient> {
  const { command } = client;
  if (command === null) throw new Error(`${client.name} is missing.`);
  const endpoint = await startEndpoint({ buckets });
  const folder = await mkdtemp(join(tmpdir(), 's3-client-'));
  const home = join(folder, 'home');
  await mkdir(home);
  const configuration = await client.configure(home, endpoint.s3.settings);
  const locale = { LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8' };
  const env = { PATH: process.env['PATH'], HOME: home, ...locale, ...configuration.env };
  const options = { env, cwd: home, timeout: maxRunMs, maxBuffer: maxOutputBytes };
  return {
    endpoint,
    folder,
    run: async (args) =>
      (await execFileToEnd(command, [...configuration.arguments, ...args], options)).stdout,
    stop: async () => {
      await endpoint.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
