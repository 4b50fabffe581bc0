import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { KustoClient } from '../dev/kusto-client.ts';
import type { Services } from '../dev/stack.ts';
import { createKustoIngestion } from '../shared/adapters/kusto/kusto-ingestion.ts';
import { allOf } from '../shared/usecases/bounded.ts';

/** As many as a host posts: `maxConcurrentActivityFunctions` of host.json times `concurrency.postsInFlight` of a load. */
const POSTS_AT_ONCE = 10 * 16;
const POLL_MS = 1000;
const TIMEOUT_MS = 20 * 60_000;

export interface PlainLoad {
  readonly bucket: string;
  readonly keys: readonly string[];
  readonly table: string;
  /** Objects posted whose rows are not there yet, at most. */
  readonly maxInFlight: number;
  readonly signal: AbortSignal;
}

/**
 * Loads objects of one row each by a loop: sign a URL, write a status entity, send the message, wait for the rows, read
 * what was reported. It keeps nothing, so it can neither go on after a crash nor say what is loaded: what the services
 * themselves take.
 *
 * @returns seconds until all rows are there
 */
export async function loadPlainly(
  { s3, kusto }: Pick<Services, 's3' | 'kusto'>,
  client: KustoClient,
  load: PlainLoad,
): Promise<number> {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3.settings;
  const bucket = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  const ingestion = createKustoIngestion({
    cluster: kusto.settings.endpoint,
    credential: async () => ({
      getToken: async () => ({ token: kusto.settings.token, expiresOnTimestamp: Date.now() + 3_600_000 }),
    }),
  });
  await ingestion.warmUp();
  const post = async (key: string) => {
    const sourceId = randomUUID();
    const { result } = await ingestion.post({
      sourceId,
      url: await getSignedUrl(bucket, new GetObjectCommand({ Bucket: load.bucket, Key: key }), {
        expiresIn: 3600,
      }),
      rawSizeBytes: 4096,
      database: kusto.settings.database,
      table: load.table,
      format: 'json',
      mapping: null,
      ignoreFirstRecord: false,
      tags: [],
    });
    if (result !== 'accepted') throw new Error(`A post was ${result}.`);
    return sourceId;
  };

  const { keys, maxInFlight } = load;
  const sourceIds: string[] = [];
  const startedAt = performance.now();
  for (const until = Date.now() + TIMEOUT_MS; ; ) {
    load.signal.throwIfAborted();
    if (Date.now() > until) throw new Error('The loop has not ended.');
    const rows = await client.countRows(load.table);
    if (rows >= keys.length) break;
    const room = keys.slice(sourceIds.length, rows + maxInFlight);
    sourceIds.push(...(await allOf(room, POSTS_AT_ONCE, post)));
    if (room.length === 0) await sleep(POLL_MS);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  bucket.destroy();
  // Reports come a moment after the rows.
  for (let unsettled: readonly string[] = sourceIds; unsettled.length > 0; ) {
    load.signal.throwIfAborted();
    const statuses = await ingestion.readStatuses(unsettled);
    const failed = [...statuses.values()].find((status) => status?.status === 'Failed');
    if (failed != null) throw new Error(`ADX has reported ${failed.errorCode ?? 'a failure'}.`);
    unsettled = unsettled.filter((id) => statuses.get(id)?.status !== 'Succeeded');
    if (unsettled.length > 0) await sleep(POLL_MS);
  }
  return seconds;
}
