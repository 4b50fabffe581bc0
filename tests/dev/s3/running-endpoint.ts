import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateMultipartUploadCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { afterAll, beforeAll } from 'vitest';
import { type RunningS3, type S3Options, startS3 } from '../../../dev/s3/index.ts';

export interface RunningEndpoint {
  readonly s3: RunningS3;
  readonly client: S3Client;
  readonly folder: string;
  /** Ends the endpoint and its clients, and removes the folder. */
  readonly stop: () => Promise<void>;
  readonly newClient: (config?: Partial<S3ClientConfig>) => S3Client;
}

/** Starts an endpoint with a bucket `data` in a folder of its own. */
export async function startEndpoint(options: Partial<S3Options> = {}): Promise<RunningEndpoint> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 's3-endpoint-')));
  const s3 = await startS3({ buckets: ['data'], ...options, folder });
  const clients: S3Client[] = [];
  const newClient = (config: Partial<S3ClientConfig> = {}): S3Client => {
    const { endpoint, region, accessKeyId, secretAccessKey } = s3.settings;
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId, secretAccessKey },
      ...config,
    });
    clients.push(client);
    return client;
  };
  const stop = async (): Promise<void> => {
    for (const client of clients) client.destroy();
    await s3.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { s3, client: newClient(), folder, newClient, stop };
}

/** Runs an endpoint as long as the tests of the calling file run. What it returns can be used in hooks and tests. */
export function useEndpoint(options: Partial<S3Options> = {}): RunningEndpoint {
  let running: RunningEndpoint;
  beforeAll(async () => {
    running = await startEndpoint(options);
  });
  afterAll(() => running.stop());
  return {
    get s3() {
      return running.s3;
    },
    get client() {
      return running.client;
    },
    get folder() {
      return running.folder;
    },
    newClient: (config) => running.newClient(config),
    stop: () => running.stop(),
  };
}

/** Begins a multipart upload, in the bucket `data` unless `extra` says another. @returns what every request about it has to say */
export async function beginUpload(
  { client }: RunningEndpoint,
  Key: string,
  extra: object = {},
): Promise<{ Bucket: string; Key: string; UploadId: string | undefined }> {
  const { Bucket } = { Bucket: 'data', ...extra };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...extra, Bucket, Key }));
  return { Bucket, Key, UploadId };
}

/** Status and error code of an answer in XML. */
export async function readError(
  response: Response,
): Promise<{ status: number; code: string | undefined; text: string }> {
  const text = await response.text();
  return { status: response.status, code: /<Code>([^<]*)<\/Code>/.exec(text)?.[1], text };
}
