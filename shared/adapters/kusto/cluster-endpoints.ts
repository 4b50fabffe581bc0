import { engineHostOf } from '../../domain/place.ts';
import { LoaderError } from '../../errors/loader-error.ts';

/**
 * URL of the data management service of a cluster, which takes queued ingestion: `https://ingest-<host>`. Loopback and
 * other IP addresses serve both, as does a host that begins with `ingest-` already.
 *
 * @throws {LoaderError} `invalidDefinition` when it is no URL or would send a token over plain HTTP.
 */
export function ingestionEndpointOf(cluster: string): string {
  const url = parseCluster(cluster);
  if (!isAddress(url.hostname) && !url.hostname.startsWith('ingest-'))
    url.hostname = `ingest-${url.hostname}`;
  return url.origin;
}

/** URL of the engine, which takes queries and management commands: the cluster without `ingest-`. */
export function engineEndpointOf(cluster: string): string {
  const url = parseCluster(cluster);
  url.hostname = engineHostOf(url.hostname);
  return url.origin;
}

/** `localhost`, `127.*` and `::1`. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function isAddress(hostname: string): boolean {
  return isLoopback(hostname) || hostname.startsWith('[') || /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname);
}

function parseCluster(cluster: string): URL {
  const url = URL.canParse(cluster) ? new URL(cluster) : null;
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))) return url;
  const message =
    'must be an https URL such as https://mycluster.westeurope.kusto.windows.net; http is for loopback only';
  throw new LoaderError('invalidDefinition', `The cluster ${message}.`, {
    problems: [{ field: 'destination.cluster', message }],
  });
}
