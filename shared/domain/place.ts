import type { LoadDefinition } from '../contracts/load-definition.ts';
import { isAwsS3 } from './aws-endpoint.ts';

type Source = Pick<LoadDefinition['source'], 'bucket' | 'endpoint'>;
type Table = Pick<LoadDefinition['destination'], 'cluster' | 'database' | 'table'>;

/** The same bucket of the same service, however its endpoint is written. */
export function isSameBucket(a: Source, b: Source): boolean {
  return a.bucket === b.bucket && serviceOf(a.endpoint) === serviceOf(b.endpoint);
}

/**
 * The same table of the same cluster, however the cluster's URL is written: with its ingestion endpoint, a slash, a port. Azure
 * Data Explorer tells tables apart by the case of their names, databases not.
 */
export function isSameTable(a: Table, b: Table): boolean {
  return (
    clusterOf(a.cluster) === clusterOf(b.cluster) &&
    a.database.toLowerCase() === b.database.toLowerCase() &&
    a.table === b.table
  );
}

function clusterOf(cluster: string): string {
  return engineHostOf(URL.parse(cluster)?.host ?? cluster);
}

/** The host of a cluster's engine, by that of its engine or of its data management service. */
export function engineHostOf(host: string): string {
  return host.startsWith('ingest-') ? host.slice('ingest-'.length) : host;
}

/** AWS in China and its sovereign cloud in Europe are services of their own: a bucket's name is in each of them once. */
const OTHER_PARTITION = /\.(?:cn|eu)$/;

function serviceOf(endpoint: string | null): string {
  if (endpoint === null) return 'aws';
  const url = URL.parse(endpoint);
  if (url === null) return endpoint;
  return isAwsS3(url.hostname) && !OTHER_PARTITION.test(url.hostname)
    ? 'aws'
    : `${url.origin}${url.pathname.replace(/\/$/, '')}`;
}
