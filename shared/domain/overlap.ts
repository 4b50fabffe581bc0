import type { LoadDefinition } from '../contracts/load-definition.ts';
import { isSameBucket, isSameTable } from './place.ts';

/** What of a definition tells which keys go where. */
export type Feed = {
  readonly source: Pick<LoadDefinition['source'], 'bucket' | 'endpoint' | 'prefix' | 'suffix' | 'files'>;
  readonly destination: Pick<LoadDefinition['destination'], 'cluster' | 'database' | 'table'>;
};

/**
 * Whether two loads may load the same object into the same table: each has a ledger of its own, so neither would know of
 * the other's rows. `false` only where it is certain; wildcards, sizes and times are taken to allow everything.
 */
export function mayOverlap(a: Feed, b: Feed): boolean {
  return (
    isSameTable(a.destination, b.destination) &&
    isSameBucket(a.source, b.source) &&
    prefixesMeet(a, b) &&
    suffixesMeet(a, b) &&
    filesMeet(a, b)
  );
}

/** Whether one of the keys that a load names may be the other's, too. */
function filesMeet({ source: a }: Feed, { source: b }: Feed): boolean {
  if (a.files === null && b.files === null) return true;
  const [named, other] = a.files === null ? [b, a] : [a, b];
  const others = other.files === null ? null : new Set(other.files);
  return named.files!.some(
    (key) => isWithin(key, named) && isWithin(key, other) && (others === null || others.has(key)),
  );
}

function isWithin(key: string, { prefix, suffix }: Feed['source']): boolean {
  const suffixes = [suffix].flat();
  return key.startsWith(prefix) && (suffixes.length === 0 || suffixes.some((one) => key.endsWith(one)));
}

function prefixesMeet({ source: a }: Feed, { source: b }: Feed): boolean {
  return a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix);
}

function suffixesMeet({ source: a }: Feed, { source: b }: Feed): boolean {
  const [of, other] = [[a.suffix].flat(), [b.suffix].flat()];
  if (of.length === 0 || other.length === 0) return true;
  return of.some((one) => other.some((another) => one.endsWith(another) || another.endsWith(one)));
}
