import { expect, test } from 'vitest';

import {
  encodeMessage,
  MAX_MESSAGE_CHARACTERS,
  makeIngestionMessage,
} from '../../../shared/adapters/kusto/ingestion-message.ts';
import { putLoad } from '../../../shared/usecases/load-catalog.ts';
import { listObjects } from '../../../shared/usecases/read-run.ts';
import { startRerun } from '../../../shared/usecases/rerun.ts';
import { createMemoryOrchestrations } from '../../fakes/memory-orchestrations.ts';
import { driveRun, runLoad } from '../../fakes/run-load.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

/** More than any service's tokens have. */
const LONG_TOKEN = 'A'.repeat(8 * 1024);

test.each([
  ['letters', 'x'.repeat(1023), ['a', 'b', 'c']],
  ['characters of four bytes', '\u{1f600}'.repeat(255), ['\u{1f600}', '\u{1f601}', '\u{1f602}']],
])('keys of 1,024 bytes that differ in the last one are objects of their own: %s', async (_, begin, ends) => {
  const test_ = createTestLoader();
  const orchestrations = createMemoryOrchestrations();
  const keys = ends.map((end) => `${begin}${end}`) as [string, string, string];
  const [, , rejected] = keys;
  for (const key of keys) {
    expect(Buffer.byteLength(key)).toBe(1024);
    test_.source.put({ key });
  }
  const keyOf = ({ url }: { readonly url: string }) => decodeURIComponent(new URL(url).pathname.slice(1));
  const keysInTable = () => test_.ingestion.rows.map(keyOf).toSorted();
  await putLoad(test_.loader, 'flights', definitionOf());

  const first = await runLoad(test_, orchestrations, {
    whenIdle: () => {
      for (const message of test_.ingestion.messages)
        if (keyOf(message) === rejected)
          test_.ingestion.setStatus(message.sourceId, {
            status: 'Failed',
            errorCode: 'Stream_WrongNumberOfFields',
            failureStatus: 'Permanent',
          });
      test_.ingestion.settleAll();
    },
  });
  expect(first).toMatchObject({ plan: { selected: 3 }, objects: { ingested: 2, failed: 1 } });
  expect(keysInTable()).toEqual(keys.slice(0, 2));
  const { objects } = await listObjects(test_.loader, first.runId, { state: null, limit: 10, after: null });
  expect(objects).toHaveLength(3);
  expect(Object.fromEntries(objects.map(({ key, state }) => [key, state]))).toEqual({
    [keys[0]]: 'ingested',
    [keys[1]]: 'ingested',
    [keys[2]]: 'failed',
  });

  expect(await runLoad(test_, orchestrations)).toMatchObject({
    plan: { selected: 0, skipped: { unchanged: 2, failedBefore: 1 } },
  });

  test_.clock.advance(1000);
  const { runId } = await startRerun(test_.loader, orchestrations, {
    rerun: { runId: first.runId, objects: 'failed', acceptDoubles: false },
    idempotencyKey: null,
  });
  expect(await driveRun(test_, orchestrations, runId)).toMatchObject({
    state: 'completed',
    plan: { listed: 1, selected: 1 },
    objects: { ingested: 1 },
  });
  expect(keysInTable()).toEqual(keys);
  expect(test_.ingestion.messages.map(keyOf).at(-1)).toBe(rejected);
  expect(test_.ingestion.messages).toHaveLength(4);
  expect(await runLoad(test_, orchestrations)).toMatchObject({
    state: 'completed',
    plan: { selected: 0, skipped: { unchanged: 3 } },
  });

  for (const request of test_.ingestion.messages) {
    const message = makeIngestionMessage({
      request: { ...request, url: `${request.url}&X-Amz-Security-Token=${LONG_TOKEN}` },
      statusTableUrl: `https://status.table.core.windows.net/t?sig=${'s'.repeat(200)}`,
      authorizationContext: LONG_TOKEN,
      applicationName: 's3-adx-loader',
      createdAt: test_.clock.now(),
    });
    expect(encodeMessage(message).length).toBeLessThanOrEqual(MAX_MESSAGE_CHARACTERS / 2);
  }
});
