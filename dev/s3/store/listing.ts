import { endOfPrefix, greatest, successor } from './byte-order.ts';

/** Where a listing goes on: after a key, or after everything under a common prefix. */
export interface ListingPosition {
  readonly after: Buffer;
  readonly isPrefix: boolean;
}

export type ListingItem<Row> =
  | { readonly kind: 'row'; readonly row: Row }
  | { readonly kind: 'prefix'; readonly prefix: Buffer };

export interface ListingPage<Row> {
  readonly items: readonly ListingItem<Row>[];
  /** The last item of a page that is not the last one, `null` otherwise. */
  readonly truncatedAt: ListingItem<Row> | null;
}

export interface ListingRange<Row> {
  readonly prefix: Buffer;
  /** Empty for none. */
  readonly delimiter: Buffer;
  readonly position: ListingPosition | null;
  readonly maxItems: number;
  readonly keyOf: (row: Row) => Buffer;
  /** Rows with `from` <= key < `to` in byte order, read lazily. */
  readonly seek: (from: Buffer, to: Buffer) => Iterator<Row>;
  /** Rows that come before the sought ones: what is left of a key that was listed in part. */
  readonly firstRows?: Iterator<Row>;
}

/**
 * Walks one page of a listing and rolls keys up into common prefixes.
 *
 * A common prefix is one seek however many keys lie under it, so a page costs what it returns. Common
 * prefixes that are not greater than the position are left out, as S3 does for markers that lie inside one.
 */
export function walkListing<Row>(range: ListingRange<Row>): ListingPage<Row> {
  const items: ListingItem<Row>[] = [];
  if (range.maxItems === 0) return { items, truncatedAt: null };
  const end = endOfPrefix(range.prefix);
  const start = greatest(range.prefix, startOf(range.position));
  let rows = range.firstRows ?? range.seek(start, end);
  let isInFirstRows = range.firstRows !== undefined;
  for (;;) {
    const next = rows.next();
    if (next.done === true) {
      if (!isInFirstRows) return { items, truncatedAt: null };
      isInFirstRows = false;
      rows = range.seek(start, end);
      continue;
    }
    const prefix = commonPrefixOf(range.keyOf(next.value), range);
    if (prefix !== null && range.position !== null && Buffer.compare(prefix, range.position.after) <= 0) {
      rows.return?.();
      isInFirstRows = false;
      rows = range.seek(endOfPrefix(prefix), end);
      continue;
    }
    if (items.length === range.maxItems) {
      rows.return?.();
      return { items, truncatedAt: items.at(-1) ?? null };
    }
    if (prefix === null) items.push({ kind: 'row', row: next.value });
    else {
      items.push({ kind: 'prefix', prefix });
      rows.return?.();
      rows = range.seek(endOfPrefix(prefix), end);
    }
  }
}

function startOf(position: ListingPosition | null): Buffer {
  if (position === null) return Buffer.alloc(0);
  return position.isPrefix ? endOfPrefix(position.after) : successor(position.after);
}

function commonPrefixOf<Row>(key: Buffer, range: ListingRange<Row>): Buffer | null {
  if (range.delimiter.length === 0) return null;
  const found = key.indexOf(range.delimiter, range.prefix.length);
  return found === -1 ? null : Buffer.from(key.subarray(0, found + range.delimiter.length));
}
