import { atShare } from '../domain/pace.ts';
import type { S3Object } from '../domain/s3-object.ts';
import type { Source } from '../ports/source.ts';
import { allOf } from './bounded.ts';

const HEADS_AT_ONCE = 32;

/** A page of a listing costs about as much as so many single looks: where it finds fewer of the keys, these are cheaper. */
const WORTH_A_PAGE = 8;

/** Keys that are looked at one by one before a page is tried again. */
const SINGLES = 64;

/**
 * The objects that stand under these keys now; keys without one are absent. Where the keys lie close together in the
 * bucket, they are listed (a request per 1,000 keys), elsewhere each is asked for.
 *
 * @param prefix - under which keys may be listed; a policy may allow no other listing. Keys elsewhere are asked for, too: the
 *   load had another prefix when they were posted.
 * @param share - of the requests that are made at the same time. Default all of them.
 */
export async function presentObjects(
  source: Source,
  prefix: string,
  keys: readonly string[],
  share = 1,
): Promise<ReadonlyMap<string, S3Object>> {
  const { under = [], elsewhere = [] } = Object.groupBy(keys, (key) =>
    key.startsWith(prefix) ? 'under' : 'elsewhere',
  );
  const wanted = sortByBytes(under);
  const found = new Map<string, S3Object>();
  const keep = (objects: readonly (S3Object | null)[]) => {
    for (const object of objects) if (object !== null) found.set(object.key, object);
  };
  const lookAtEach = async (some: readonly string[]) =>
    keep(await allOf(some, atShare(HEADS_AT_ONCE, share), (key) => source.head(key)));

  await lookAtEach(elsewhere);
  let at = 0;
  while (at < wanted.length) {
    if (wanted.length - at <= WORTH_A_PAGE) {
      await lookAtEach(wanted.slice(at));
      break;
    }
    // A listing begins behind a key, so the first one is asked for.
    const first = wanted[at]!;
    const [head, { objects, isLast, upTo }] = await Promise.all([
      source.head(first),
      source.listPage({ prefix, startAfter: first }),
    ]);
    keep([head]);
    const listed = new Map(objects.map((object) => [object.key, object]));
    const end = upTo ?? objects.at(-1)?.key;
    let next = at + 1;
    while (next < wanted.length && (isLast || (end !== undefined && isBehind(end, wanted[next]!)))) {
      keep([listed.get(wanted[next]!) ?? null]);
      next += 1;
    }
    const singles = next - at < WORTH_A_PAGE ? Math.min(SINGLES, wanted.length - next) : 0;
    await lookAtEach(wanted.slice(next, next + singles));
    at = next + singles;
  }
  return found;
}

function sortByBytes(keys: readonly string[]): readonly string[] {
  return keys
    .map((key) => ({ key, bytes: Buffer.from(key) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ key }) => key);
}

/** Whether a listing that came to `end` has passed `key`. */
function isBehind(end: string, key: string): boolean {
  return Buffer.compare(Buffer.from(key), Buffer.from(end)) <= 0;
}
