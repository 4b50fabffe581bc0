import type { Source } from '../ports/source.ts';

/** A part of a listing that is still to be listed: keys behind `after` (`null`: from the first), up to and with `upTo`. */
export interface Stretch {
  readonly after: string | null;
  /** `null`: to the last. */
  readonly upTo: string | null;
}

const WHOLE: Stretch = { after: null, upTo: null };

/** Levels of folders that are looked at for a place to split. */
const MOST_LEVELS = 12;

/**
 * Stretches as a position: a single one without an end is the key that it is behind, as it always was; others are JSON.
 * `null` is the whole listing, and nothing at all.
 */
export function writeStretches(stretches: readonly Stretch[]): string | null {
  const [first] = stretches;
  if (first === undefined) return null;
  if (stretches.length === 1 && first.upTo === null && !isJson(first.after ?? '')) return first.after;
  return JSON.stringify(stretches.map(({ after, upTo }) => [after, upTo]));
}

export function readStretches(position: string | null): readonly Stretch[] {
  if (position === null) return [WHOLE];
  if (!isJson(position)) return [{ after: position, upTo: null }];
  const pairs = JSON.parse(position) as readonly (readonly [string | null, string | null])[];
  return pairs.map(([after, upTo]) => ({ after, upTo }));
}

/** Also some keys look like it; these are written as JSON themselves. */
function isJson(position: string): boolean {
  return position.startsWith('[[');
}

/** Splits stretches at folders until there are `wanted`, as far as there are folders to split at. The order stays that of the keys. */
export async function splitStretches(
  source: Source,
  prefix: string,
  stretches: readonly Stretch[],
  wanted: number,
): Promise<readonly Stretch[]> {
  const split = [...stretches];
  // The last first: it is the longest as a rule, as it goes to the end of the bucket.
  for (let at = split.length - 1; at >= 0 && split.length < wanted; ) {
    const stretch = split[at]!;
    const boundary = await boundaryIn(source, prefix, stretch);
    if (boundary === null) {
      at -= 1;
      continue;
    }
    split.splice(at, 1, { after: stretch.after, upTo: boundary }, { after: boundary, upTo: stretch.upTo });
    at += 1;
  }
  return split;
}

/** A folder within the stretch, about in its middle as far as one request tells; `null` when it lies in one folder. */
async function boundaryIn(source: Source, prefix: string, { after, upTo }: Stretch): Promise<string | null> {
  let folder = prefix;
  for (let level = 0; level < MOST_LEVELS; level += 1) {
    const { folders, isLast, hasKeys } = await source.listFolders({ prefix: folder, startAfter: after });
    const within = folders.filter(
      (name) => (after === null || byBytes(name, after) > 0) && (upTo === null || byBytes(name, upTo) < 0),
    );
    // Where there is more behind these folders, all of them are as good as the first half.
    if (within.length > 1) return isLast ? within[Math.floor(within.length / 2)]! : within.at(-1)!;
    const [only] = within;
    const inside = after === null ? null : folderBelow(folder, after);
    if (only !== undefined && (inside !== null || hasKeys || !isLast)) return only;
    const next = only ?? inside;
    if (next === null) return null;
    folder = next;
  }
  return null;
}

/** The folder below `folder` that the key lies in; `null` when it lies in none. */
function folderBelow(folder: string, key: string): string | null {
  if (!key.startsWith(folder)) return null;
  const end = key.indexOf('/', folder.length);
  return end < 0 ? null : key.slice(0, end + 1);
}

/** The order of S3's listings. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
