import type { LoadDefinition } from '../contracts/load-definition.ts';

type Source = Pick<LoadDefinition['source'], 'bucket' | 'endpoint'>;
type Table = Pick<LoadDefinition['destination'], 'cluster' | 'database' | 'table'>;

/** The same bucket of the same service, however its endpoint is written. */
export function isSameBucket(a: Source, b: Source): boolean {
  return a.bucket === b.bucket && serviceOf(a.endpoint) === serviceOf(b.endpoint);
}

/** The same table of the same cluster, however the cluster's URL is written: with its ingestion endpoint, a slash, a port. */
export function isSameTable(a: Table, b: Table): boolean {
  return clusterOf(a.cluster) === clusterOf(b.cluster) && a.database === b.database && a.table === b.table;
}

function clusterOf(cluster: string): string {
  const host = URL.parse(cluster)?.host ?? cluster;
  return host.startsWith('ingest-') ? host.slice('ingest-'.length) : host;
}

/** AWS's own endpoints, regional or not, lead to one service: a bucket's name is there once. */
const AWS_ENDPOINT = /^s3[.-]([a-z0-9.-]+\.)?amazonaws\.com$/;

function serviceOf(endpoint: string | null): string {
  if (endpoint === null) return 'aws';
  const url = URL.parse(endpoint);
  if (url === null) return endpoint;
  return AWS_ENDPOINT.test(url.hostname) ? 'aws' : `${url.origin}${url.pathname.replace(/\/$/, '')}`;
}
