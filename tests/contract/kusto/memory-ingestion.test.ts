import { expect, test } from 'vitest';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { createMemoryIngestion } from '../../fakes/memory-ingestion.ts';
import { codeOf, makeRequest, testIngestion } from './ingestion-contract.ts';

testIngestion('the memory ingestion', async () => ({
  ingestion: createMemoryIngestion({ tables: { 'db/Events': { mappings: ['events'] } } }),
  stop: async () => undefined,
}));

test('its controls do what they say', async () => {
  const fake = createMemoryIngestion();
  const endings = ['refused', 'ambiguousLost', 'ambiguousArrived', 'accepted'] as const;
  fake.endPosts((_request, attempt) => endings[attempt] ?? 'accepted');
  const requests = endings.map(() => makeRequest());
  const results = [];
  for (const request of requests) results.push((await fake.post(request)).result);
  expect(results).toEqual(['refused', 'ambiguous', 'ambiguous', 'accepted']);
  expect(fake.messages).toEqual([requests[2], requests[3]]);
  expect(fake.attempts.map(({ arrived }) => arrived)).toEqual([false, false, true, true]);

  expect(fake.settleAll({ status: 'Failed', errorCode: 'BadRequest_EmptyBlob' })).toBe(2);
  const id = requests[3]?.sourceId ?? '';
  expect((await fake.readStatuses([id])).get(id)).toMatchObject({ status: 'Failed', failureStatus: null });
  fake.removeStatus(id);
  expect((await fake.readStatuses([id])).get(id)).toBeNull();

  fake.setRowCount('t', 7);
  expect(await fake.countRowsByTag({ database: 'db', table: 'T', tag: 't' })).toBe(7);
  fake.failNext('warmUp', new LoaderError('clusterUnavailable', 'down'));
  expect(await codeOf(fake.warmUp())).toBe('clusterUnavailable');
  await fake.warmUp();
  expect(fake.callCounts).toMatchObject({ warmUp: 2, readStatuses: 2 });
});
