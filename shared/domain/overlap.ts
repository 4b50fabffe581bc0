import type { LoadDefinition } from '../contracts/load-definition.ts';
import { isSameBucket, isSameTable } from './place.ts';

/** What of a definition tells which keys go where. */
export type Feed = {
  readonly source: Pick<LoadDefinition['source'], 'bucket' | 'endpoint' | 'prefix' | 'suffix'>;
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
    suffixesMeet(a, b)
  );
}

function prefixesMeet({ source: a }: Feed, { source: b }: Feed): boolean {
  return a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix);
}

function suffixesMeet({ source: a }: Feed, { source: b }: Feed): boolean {
  const [of, other] = [[a.suffix].flat(), [b.suffix].flat()];
  if (of.length === 0 || other.length === 0) return true;
  return of.some((one) => other.some((another) => one.endsWith(another) || another.endsWith(one)));
}
