import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import type { Source } from '../../../shared/ports/source.ts';

export interface SourceUnderTest {
  readonly source: Source;
  /** The bucket keeps versions, and objects are known by their ids. Default: by their ETags. */
  readonly pinVersions?: boolean;
  /** Makes the bucket hold exactly these keys, each with a body of one byte. */
  fill(keys: readonly string[]): Promise<void>;
  /** Writes a key again with a body of this size. */
  overwrite(key: string, sizeBytes: number): Promise<void>;
  /** Gets the body behind a signed URL; `null` where there is no service behind it. */
  readonly fetchBody: ((url: string) => Promise<{ readonly status: number; readonly body: string }>) | null;
  stop(): Promise<void>;
}

/** Keys that are easily damaged on the way: by URL encoding, XML, or sorting in UTF-16. */
const ODD_KEYS = [
  'a b+c%20d.json',
  "it's (1) ~!*.csv",
  'line\nbreak\tand\rmore',
  'percent%/%2F',
  'plus+',
  'quote"<&>',
  'umlaut/größe-ä.csv',
  'z/\u{ffee}', // before the next one in UTF-8, behind it in UTF-16
  'z/\u{1f600}',
];

export async function errorOf(promise: Promise<unknown>): Promise<LoaderError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof LoaderError) return error;
  throw error;
}

/** What every `Source` does. */
export function testSource(name: string, start: () => Promise<SourceUnderTest>): void {
  describe(`${name} as a Source`, () => {
    let part: SourceUnderTest;
    beforeAll(async () => {
      part = await start();
    });
    afterAll(() => part?.stop());

    async function listAll(prefix: string): Promise<string[]> {
      const keys: string[] = [];
      for (let startAfter: string | null = null; ; ) {
        const page = await part.source.listPage({ prefix, startAfter });
        keys.push(...page.objects.map(({ key }) => key));
        if (page.isLast) return keys;
        const upTo: string | undefined = page.upTo ?? page.objects.at(-1)?.key;
        startAfter = upTo ?? expect.unreachable('a page that is not the last one says how to go on');
      }
    }

    test('odd keys come back as they are, in UTF-8 order, and can be asked for one by one', async () => {
      await part.fill(ODD_KEYS);
      const sorted = [...ODD_KEYS].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(await listAll('')).toEqual(sorted);
      for (const [index, key] of sorted.entries()) {
        const page = await part.source.listPage({ prefix: '', startAfter: key });
        expect(page.objects.map((object) => object.key)).toEqual(sorted.slice(index + 1));
        expect(await part.source.head(key)).toMatchObject({ key, sizeBytes: 1 });
      }
      expect(await listAll('z/')).toEqual(['z/\u{ffee}', 'z/\u{1f600}']);
      expect(await listAll('nothing/')).toEqual([]);
    });

    test('an object is the same in a listing and by itself; a new body is a new version', async () => {
      await part.fill(['k']);
      const { objects, isLast } = await part.source.listPage({ prefix: '', startAfter: null });
      expect(isLast).toBe(true);
      expect(objects[0]).toMatchObject({ key: 'k', sizeBytes: 1, storageClass: 'STANDARD' });
      expect(objects[0]?.version).toMatch(part.pinVersions === true ? /^v:.+$/ : /^e:[^"]+$/);
      const alone = await part.source.head('k');
      expect(alone?.version).toBe(objects[0]?.version);
      await part.overwrite('k', 5);
      const changed = await part.source.head('k');
      expect(changed).toMatchObject({ sizeBytes: 5 });
      expect(changed?.version).not.toBe(alone?.version);
      expect(Math.abs(Date.parse(changed?.lastModified ?? '') - Date.now())).toBeLessThan(60_000);
      expect(await part.source.head('missing')).toBeNull();
    });

    test('more keys than a page holds are listed once each', async () => {
      const keys = Array.from({ length: 2100 }, (_none, index) => `many/${String(index).padStart(5, '0')}`);
      await part.fill(keys);
      expect(await listAll('many/')).toEqual(keys);
    });

    test('folders are listed without what is in them, in UTF-8 order, from anywhere on', async () => {
      await part.fill(['a b/1', 'a b/2/3', 'f', 'ä/x', 'z/\u{ffee}/1', 'z/\u{1f600}/1', 'z/+/1']);
      const list = (prefix: string, startAfter: string | null = null) =>
        part.source.listFolders({ prefix, startAfter });
      expect(await list('')).toEqual({ folders: ['a b/', 'z/', 'ä/'], hasKeys: true, isLast: true });
      expect(await list('z/')).toEqual({
        folders: ['z/+/', 'z/\u{ffee}/', 'z/\u{1f600}/'],
        hasKeys: false,
        isLast: true,
      });
      expect(await list('', 'a b/2/3')).toEqual({ folders: ['z/', 'ä/'], hasKeys: true, isLast: true });
      expect(await list('', 'z/')).toMatchObject({ folders: expect.arrayContaining(['ä/']), hasKeys: false });
      expect(await list('f')).toEqual({ folders: [], hasKeys: true, isLast: true });
      await part.fill(Array.from({ length: 1001 }, (_, index) => `${index}/x`));
      const first = await list('');
      expect(first.folders).toHaveLength(1000);
      expect(first.isLast).toBe(false);
      expect((await list('', `${first.folders.at(-1)}~`)).folders).toHaveLength(1);
    });

    test('a signed URL ends when it says and holds the object', async () => {
      await part.fill(ODD_KEYS);
      for (const key of ODD_KEYS) {
        const before = Date.now();
        const { url, expiresAt } = await part.source.presignGet({ key, version: 'e:x', lifetimeMs: 59_001 });
        expect(new URL(url).href).toBe(url);
        expect(expiresAt!.getTime()).toBeGreaterThan(before + 59_000 - 1000);
        expect(expiresAt!.getTime()).toBeLessThanOrEqual(Date.now() + 60_000);
        if (part.fetchBody !== null) expect(await part.fetchBody(url)).toEqual({ status: 200, body: 'x' });
      }
    });

    test('its host has an address, and it says as whom it signs in without saying the key', async () => {
      expect(await part.source.resolve()).toHaveLength(1);
      expect(await part.source.signIn()).toMatch(/^access key that ends with .{4}$/);
    });

    test('the first byte of a version can be read while it is there', async () => {
      await part.fill(['k']);
      const { version } = (await part.source.head('k'))!;
      expect(await part.source.canRead({ key: 'k', version })).toBe(true);
      await part.overwrite('k', 0);
      expect(await part.source.canRead({ key: 'k', version })).toBe(part.pinVersions === true);
      const empty = (await part.source.head('k'))!;
      expect(await part.source.canRead({ key: 'k', version: empty.version })).toBe(true);
      expect(await part.source.canRead({ key: 'missing', version })).toBe(false);
    });

    test('a cancelled listing says so', async () => {
      const signal = AbortSignal.abort(new Error('cancelled by the test'));
      await expect(part.source.listPage({ prefix: '', startAfter: null, signal })).rejects.toThrow(
        'cancelled by the test',
      );
    });
  });
}
