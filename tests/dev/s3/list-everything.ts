import { type _Object, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';

/** All objects of a bucket by key. */
export async function listEverything(client: S3Client, Bucket: string): Promise<Map<string, _Object>> {
  const found = new Map<string, _Object>();
  let ContinuationToken: string | undefined;
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket, ContinuationToken, EncodingType: 'url' }),
    );
    for (const object of page.Contents ?? [])
      found.set(decodeURIComponent((object.Key ?? '').replaceAll('+', ' ')), object);
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  return found;
}
