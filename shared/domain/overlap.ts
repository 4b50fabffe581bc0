import type { LoadDefinition } from '../contracts/load-definition.ts';

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
  return isSameTable(a, b) && isSameBucket(a, b) && prefixesMeet(a, b) && suffixesMeet(a, b);
}

function isSameTable({ destination: a }: Feed, { destination: b }: Feed): boolean {
  return hostOf(a.cluster) === hostOf(b.cluster) && a.database === b.database && a.table === b.table;
}

function isSameBucket({ source: a }: Feed, { source: b }: Feed): boolean {
  return (
    a.bucket === b.bucket && (a.endpoint ?? '').replace(/\/$/, '') === (b.endpoint ?? '').replace(/\/$/, '')
  );
}

function hostOf(cluster: string): string {
  return URL.parse(cluster)?.host ?? cluster;
}

function prefixesMeet({ source: a }: Feed, { source: b }: Feed): boolean {
  return a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix);
}

function suffixesMeet({ source: a }: Feed, { source: b }: Feed): boolean {
  const [of, other] = [[a.suffix].flat(), [b.suffix].flat()];
  if (of.length === 0 || other.length === 0) return true;
  return of.some((one) => other.some((another) => one.endsWith(another) || another.endsWith(one)));
}
