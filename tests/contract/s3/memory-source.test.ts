import { expect, test } from 'vitest';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import { createMemorySource } from '../../fakes/memory-source.ts';
import { errorOf, type SourceUnderTest, testSource } from './source-contract.ts';

async function startContract(pinVersions: boolean): Promise<SourceUnderTest> {
  const source = createMemorySource();
  const kept = new Set<string>();
  return {
    source: pinVersions ? source.withVersions : source,
    pinVersions,
    fill: async (keys) => {
      for (const key of kept) source.remove(key);
      kept.clear();
      for (const key of keys) {
        source.put({ key, sizeBytes: 1 });
        kept.add(key);
      }
    },
    overwrite: async (key, sizeBytes) => void source.put({ key, sizeBytes }),
    fetchBody: null,
    stop: async () => undefined,
  };
}

testSource('the memory source', () => startContract(false));
testSource('the memory source with versions', () => startContract(true));

test('its controls do what they say', async () => {
  const end = new Date('2026-01-01T00:10:00Z');
  const now = () => new Date('2026-01-01T00:00:00Z');
  const source = createMemorySource({
    objects: [{ key: 'a', version: 'v:1' }],
    now,
    credentialsExpireAt: end,
  });
  source.failNext('listPage', new LoaderError('sourceUnavailable', 'down'));
  expect((await errorOf(source.listPage({ prefix: '', startAfter: null }))).code).toBe('sourceUnavailable');
  expect((await source.listPage({ prefix: '', startAfter: null })).objects).toHaveLength(1);
  const signed = await source.presignGet({ key: 'a', version: 'v:1', lifetimeMs: 3_600_000 });
  expect(signed.expiresAt).toEqual(end);
  expect(signed.url).toContain('versionId=1');
  expect(source.presignCalls).toHaveLength(1);
  expect(source.callCounts).toMatchObject({ listPage: 2, head: 0, presignGet: 1 });
});
