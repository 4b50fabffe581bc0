import type { SeedObject } from './data/seed.ts';
import type { RunningS3 } from './s3/index.ts';

const PUTS_AT_ONCE = 16;

/** Puts objects into a bucket by the AWS SDK, as any user would. */
export async function upload(
  { settings }: Pick<RunningS3, 'settings'>,
  bucket: string,
  objects: readonly SeedObject[],
): Promise<void> {
  const { PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const { endpoint, region, accessKeyId, secretAccessKey } = settings;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  const left = [...objects];
  const worker = async () => {
    for (let object = left.pop(); object !== undefined; object = left.pop()) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: object.key, Body: object.body }));
    }
  };
  await Promise.all(Array.from({ length: PUTS_AT_ONCE }, worker));
  client.destroy();
}
