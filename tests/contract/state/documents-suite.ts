import { beforeAll, describe, expect, test } from 'vitest';
import type { State } from '../../../shared/adapters/state/state.ts';
import type { MakeState } from './state-under-test.ts';

export function documentsSuite(makeState: MakeState): void {
  describe('Documents', () => {
    let state: State;
    beforeAll(async () => {
      state = await makeState();
    });
    const read = async (path: string) => (await state.documents.get(path))?.body ?? null;

    test('a document reads back as it was written', async () => {
      const body = `{"key":"grüße/日本語/\u{1f600}"}\n${'x'.repeat(300_000)}`;
      expect(await state.documents.put('runs/a/summary.json', body, 'always')).toEqual({ written: true });
      expect(await read('runs/a/summary.json')).toBe(body);
      expect(await state.documents.get('runs/absent.json')).toBeNull();
    });

    test('always replaces, ifAbsent never does', async () => {
      expect((await state.documents.put('b.json', '1', 'ifAbsent')).written).toBe(true);
      expect((await state.documents.put('b.json', '2', 'ifAbsent')).written).toBe(false);
      // Not even with the same content: it was somebody else who wrote it.
      expect((await state.documents.put('b.json', '1', 'ifAbsent')).written).toBe(false);
      expect(await read('b.json')).toBe('1');
      expect((await state.documents.put('b.json', '3', 'always')).written).toBe(true);
      expect(await read('b.json')).toBe('3');
    });

    test('a version is replaced once', async () => {
      await state.documents.put('c.json', '1', 'always');
      const { etag } = (await state.documents.get('c.json'))!;
      expect((await state.documents.put('c.json', '2', { etag })).written).toBe(true);
      expect((await state.documents.put('c.json', '3', { etag })).written).toBe(false);
      expect((await state.documents.put('absent.json', '3', { etag })).written).toBe(false);
      expect(await read('c.json')).toBe('2');
      expect(await read('absent.json')).toBeNull();
    });

    test('of many that write a document that is absent one does', async () => {
      const puts = await Promise.all(
        Array.from({ length: 10 }, (_, at) => state.documents.put('race.json', String(at), 'ifAbsent')),
      );
      expect(puts.filter(({ written }) => written).length).toBe(1);
      expect(await read('race.json')).toBe(String(puts.findIndex(({ written }) => written)));
    });

    test('ranges are of bytes, end with the document, and are empty behind it', async () => {
      await state.documents.put('d.ndjson', 'aé\u{1f600}z', 'always');
      const range = async (offset: number, length: number) =>
        (await state.documents.getRange('d.ndjson', offset, length))?.toString('latin1');
      const bytes = Buffer.from('aé\u{1f600}z').toString('latin1');
      expect(bytes.length).toBe(8);
      expect(await range(0, 8)).toBe(bytes);
      expect(await range(1, 2)).toBe(bytes.slice(1, 3));
      expect(await range(6, 100)).toBe(bytes.slice(6));
      expect(await range(8, 10)).toBe('');
      expect(await range(1_000, 10)).toBe('');
      expect(await range(2, 0)).toBe('');
      expect(await state.documents.getRange('absent', 0, 10)).toBeNull();
      expect(await state.documents.getRange('absent', 0, 0)).toBeNull();
    });

    test('an empty document is a document', async () => {
      await state.documents.put('empty.ndjson', '', 'always');
      expect(await read('empty.ndjson')).toBe('');
      expect((await state.documents.getRange('empty.ndjson', 0, 10))?.length).toBe(0);
    });

    test('lists by prefix, ascending, and deletes', async () => {
      const paths = ['list/b.json', 'list/a/2.json', 'list/a/10.json', 'list/a.json', 'listing.json'];
      for (const path of paths) await state.documents.put(path, '{}', 'always');
      expect(await state.documents.list('list/')).toEqual([
        'list/a.json',
        'list/a/10.json',
        'list/a/2.json',
        'list/b.json',
      ]);
      expect(await state.documents.list('list/a/')).toEqual(['list/a/10.json', 'list/a/2.json']);
      expect(await state.documents.list('nothing/')).toEqual([]);
      await state.documents.delete('list/a.json');
      await state.documents.delete('list/a.json');
      expect(await read('list/a.json')).toBeNull();
      expect((await state.documents.list('list/')).length).toBe(3);
    });
  });
}
