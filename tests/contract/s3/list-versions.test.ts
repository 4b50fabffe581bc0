import type { DeleteMarkerEntry, ListObjectVersionsCommandOutput, ObjectVersion } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { listVersions, type VersionMarkers } from '../../../shared/adapters/s3/list-versions.ts';

interface Entry {
  readonly key: string;
  readonly id: string;
  readonly isLatest: boolean;
  readonly isDeleted: boolean;
}

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const encode = (key: string) => encodeURIComponent(key).replaceAll('%20', '+');
const decode = (key: string) => decodeURIComponent(key.replaceAll('+', ' '));

/** All versions in the order of S3, of a history of puts (`true`) and deletions. */
function entriesOf(history: readonly (readonly [key: string, isPut: boolean])[]): readonly Entry[] {
  const versions = history.map(([key, isPut], index) => ({ key, id: `id-${index}`, isDeleted: !isPut }));
  return [...new Set(history.map(([key]) => key))].sort(byBytes).flatMap((key) =>
    versions
      .filter((version) => version.key === key)
      .reverse()
      .map((version, age) => ({ ...version, isLatest: age === 0 })),
  );
}

/** Answers as S3 does, with at most so many versions. */
function answerOf(
  entries: readonly Entry[],
  { KeyMarker, VersionIdMarker }: VersionMarkers,
  most: number,
): ListObjectVersionsCommandOutput {
  const isBehind = ({ key }: Entry) => KeyMarker === undefined || byBytes(key, KeyMarker) > 0;
  const at = entries.findIndex(({ key, id }) => key === KeyMarker && id === VersionIdMarker);
  const rest = at < 0 ? entries.filter(isBehind) : entries.slice(at + 1);
  const page = rest.slice(0, most);
  const listed = (isDeleted: boolean) =>
    page
      .filter((entry) => entry.isDeleted === isDeleted)
      .map(({ key, id, isLatest }): ObjectVersion & DeleteMarkerEntry => ({
        Key: encode(key),
        VersionId: id,
        IsLatest: isLatest,
        ETag: '"e"',
      }));
  const last = page.at(-1);
  return {
    $metadata: {},
    EncodingType: 'url',
    Versions: listed(false),
    DeleteMarkers: listed(true),
    ...(rest.length > page.length && last !== undefined
      ? { IsTruncated: true, NextKeyMarker: encode(last.key), NextVersionIdMarker: last.id }
      : { IsTruncated: false }),
  };
}

const key = fc.stringMatching(/^[a-c é+\u{ffee}\u{1f600}]{1,3}$/u);

test('law: pages of versions hold each key that is there, once, in its latest version, wherever answers end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(key, fc.boolean()), { maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      async (history, most) => {
        const entries = entriesOf(history);
        expect(entries.every((entry) => decode(encode(entry.key)) === entry.key)).toBe(true);
        let requests = 0;
        const found: string[] = [];
        for (let startAfter: string | null = null, isLast = false; !isLast; ) {
          const page = await listVersions({
            bucket: 'b',
            startAfter,
            list: async (markers) => {
              requests += 1;
              return answerOf(entries, markers, most);
            },
            hasKeys: async () => false,
          });
          found.push(...page.objects.map(({ key: name, version }) => `${name} ${version}`));
          isLast = page.isLast;
          if (!isLast) startAfter = page.upTo ?? expect.unreachable('it says how to go on');
        }
        const there = entries.filter(({ isLatest, isDeleted }) => isLatest && !isDeleted);
        expect(found).toEqual(there.map(({ key: name, id }) => `${name} v:${id}`));
        // Nothing is asked for twice.
        expect(requests).toBeLessThanOrEqual(1 + entries.length / most);
      },
    ),
    { numRuns: 500 },
  );
});
