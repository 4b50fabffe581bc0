import { isIP } from 'node:net';

import { isAwsS3 } from '../domain/aws-endpoint.ts';
import { LoaderError } from '../errors/loader-error.ts';
import { addressKindOf } from './address-kind.ts';

/** Which endpoints load definitions may name: what keeps the app from being sent to addresses inside a network. */
export interface AllowedEndpoints {
  /** AWS's own S3 endpoints. */
  readonly aws: boolean;
  /** Clusters of Azure Data Explorer in Microsoft's clouds. */
  readonly kusto: boolean;
  readonly hosts: readonly AllowedHost[];
  /** Endpoints of this machine, also without TLS. */
  readonly loopback: boolean;
  /** As the setting says it; for messages. */
  readonly text: string;
}

interface AllowedHost {
  /** In lower case; IPv6 addresses in brackets. */
  readonly host: string;
  /** Empty: https's own. */
  readonly port: string;
  /** All names below `host`, and not `host` itself. */
  readonly isSuffix: boolean;
}

/** Which field names the endpoint: `source.endpoint` or `destination.cluster`. */
export type EndpointUse = 'source' | 'cluster';

/** Addresses to which the name of an allowed endpoint may lead when it is connected to. */
export interface AddressReach {
  readonly private: boolean;
  readonly loopback: boolean;
}

/** Public suffixes of clusters, in all of Microsoft's clouds; from the list in Microsoft's own SDK (azure-kusto-data 7.0). */
export const KUSTO_SUFFIXES = [
  '.kusto.windows.net',
  '.kusto.azuresynapse.net',
  '.kusto.data.microsoft.com',
  '.kusto.fabric.microsoft.com',
  '.kusto.usgovcloudapi.net',
  '.kusto.chinacloudapi.cn',
  '.kusto.azuresynapse.azure.cn',
  '.kusto.core.eaglex.ic.gov',
  '.kusto.core.microsoft.scloud',
  '.kusto.sovcloud-api.fr',
  '.kusto.sovcloud-api.de',
  '.kusto.sovcloud-api.sg',
] as const;

const DEFAULT_TEXT = 'aws,kusto';

/**
 * Reads `LOADER_ALLOWED_ENDPOINTS`: `aws`, `kusto`, host names (`minio.example.com`, with a port where it is not 443),
 * names below a domain (`*.example.com`) and IP addresses, separated by commas. Default `aws,kusto`.
 *
 * Loopback is allowed in addition while the app runs on a developer's machine: the host then says `Development`, and
 * the app has no site name, which Azure gives.
 *
 * @param report - told what is wrong with the setting.
 */
export function readAllowedEndpoints(
  env: Readonly<Record<string, string | undefined>>,
  report: (field: string, message: string) => void = () => undefined,
): AllowedEndpoints {
  const text = env['LOADER_ALLOWED_ENDPOINTS']?.trim() || DEFAULT_TEXT;
  const entries = text
    .toLowerCase()
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  const hosts: AllowedHost[] = [];
  for (const entry of entries.filter((one) => one !== 'aws' && one !== 'kusto')) {
    const host = parseEntry(entry);
    if (host === null)
      report(
        'LOADER_ALLOWED_ENDPOINTS',
        'must be a list of aws, kusto, host names, *.domain and IP addresses, with commas between them; addresses of metadata services are never allowed',
      );
    else hosts.push(host);
  }
  return {
    aws: entries.includes('aws'),
    kusto: entries.includes('kusto'),
    hosts,
    loopback: env['AZURE_FUNCTIONS_ENVIRONMENT'] === 'Development' && !env['WEBSITE_SITE_NAME'],
    text,
  };
}

function parseEntry(entry: string): AllowedHost | null {
  const isSuffix = entry.startsWith('*.');
  const address = `https://${isSuffix ? entry.slice(2) : entry}`;
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || `https://${url.host}/` !== url.href || url.hostname.endsWith('.')) return null;
  const literal = literalOf(url.hostname);
  if (literal !== null && (isSuffix || addressKindOf(literal) === 'forbidden')) return null;
  // A whole top-level domain is not a choice.
  if (literal === null && (isSuffix ? !url.hostname.includes('.') : !/^[a-z0-9.-]+$/.test(url.hostname)))
    return null;
  return { host: url.hostname, port: url.port, isSuffix };
}

/** The IP address that a URL's host name is; `null` for a name. */
function literalOf(hostname: string): string | null {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? null : bare;
}

/** `localhost`, 127.0.0.0/8 and ::1. */
function isLoopback(hostname: string): boolean {
  const literal = literalOf(hostname);
  return literal === null ? hostname === 'localhost' : addressKindOf(literal) === 'loopback';
}

/**
 * Whether the app may send requests to an endpoint.
 *
 * @returns what is wrong with it, as text to stand behind the name of its field; or where its name may lead. Secrets in
 *   the URL are not repeated.
 */
export function judgeEndpoint(
  allowed: AllowedEndpoints,
  use: EndpointUse,
  endpoint: string,
): { readonly problem: string } | { readonly problem: null; readonly reach: AddressReach } {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    return { problem: 'must be an https URL' };
  if (url.username !== '' || url.password !== '')
    return { problem: 'must not hold a user or password; name credentials of the app settings instead' };
  if (url.search !== '' || url.hash !== '' || endpoint.includes(';'))
    return { problem: 'must not hold a query, a fragment or a semicolon' };
  const isLocal = isLoopback(url.hostname);
  if (url.protocol === 'http:' && !isLocal)
    return { problem: 'must be an https URL; http is for loopback only' };

  if (isLocal && allowed.loopback) return { problem: null, reach: { private: false, loopback: true } };
  if (url.port === '' && isOfProvider(allowed, use, url.hostname))
    // Private endpoints answer under the public names.
    return { problem: null, reach: { private: true, loopback: false } };
  const entry = allowed.hosts.find(
    ({ host, port, isSuffix }) =>
      port === url.port && (isSuffix ? url.hostname.endsWith(`.${host}`) : url.hostname === host),
  );
  if (entry !== undefined)
    // Whoever may add names to a domain must not choose addresses of this network.
    return { problem: null, reach: { private: !entry.isSuffix, loopback: isLocal } };
  return {
    problem: `names a host that this app may not send requests to (${url.host.slice(0, 100)}); the app setting LOADER_ALLOWED_ENDPOINTS allows ${allowed.text}`,
  };
}

function isOfProvider({ aws, kusto }: AllowedEndpoints, use: EndpointUse, hostname: string): boolean {
  if (use === 'source') return aws && isAwsS3(hostname);
  return kusto && KUSTO_SUFFIXES.some((suffix) => hostname.endsWith(suffix) && hostname !== suffix.slice(1));
}

/**
 * Where an endpoint's name may lead; `null`, AWS, may be a private endpoint.
 *
 * @throws {LoaderError} `endpointNotAllowed`: the definition was stored when more was allowed.
 */
export function reachOf(allowed: AllowedEndpoints, use: EndpointUse, endpoint: string | null): AddressReach {
  if (endpoint === null) {
    if (allowed.aws) return { private: true, loopback: false };
    throw new LoaderError(
      'endpointNotAllowed',
      `The load reads from AWS; the app setting LOADER_ALLOWED_ENDPOINTS allows ${allowed.text}.`,
    );
  }
  const judged = judgeEndpoint(allowed, use, endpoint);
  if (judged.problem === null) return judged.reach;
  const field = use === 'source' ? 'source.endpoint' : 'destination.cluster';
  throw new LoaderError('endpointNotAllowed', `The load's ${field} ${judged.problem}.`);
}

/** Whether a connection to this IP address is within reach. */
export function mayReach(reach: AddressReach, address: string): boolean {
  const kind = addressKindOf(address);
  return (
    kind === 'public' || (kind === 'private' && reach.private) || (kind === 'loopback' && reach.loopback)
  );
}
