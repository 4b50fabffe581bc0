import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { promisify } from 'node:util';
import { type AddressReach, mayReach } from './allowed-endpoints.ts';

/** No address is out of reach but those that are out of everybody's. */
export const ANYWHERE: AddressReach = { private: true, loopback: true };

/** Code of the error that a refused address makes. */
export const ADDRESS_NOT_ALLOWED = 'ADDRESS_NOT_ALLOWED';

/**
 * A lookup for the connections of an HTTP agent that refuses names that lead out of reach.
 *
 * The connection is made to the very addresses that were checked here, so that a name server that gives one answer to a
 * check and another to a connection gains nothing. One address out of reach refuses the name.
 *
 * @param resolve - default the system's.
 */
export function guardedLookup(
  reach: AddressReach,
  resolve: typeof systemLookup = systemLookup,
): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error !== null || first === undefined) {
        callback(error ?? Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' }), '');
        return;
      }
      const refused = addresses.find(({ address }) => !mayReach(reach, address));
      if (refused !== undefined) {
        callback(notAllowed(hostname, refused.address), '');
        return;
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/**
 * Looks a host name of a URL up.
 *
 * @throws when it has no address or, with a guarded lookup, one that is out of reach.
 */
export async function findAddress(lookup: LookupFunction, hostname: string): Promise<void> {
  await promisify(lookup)(bareHost(hostname), { all: true });
}

/** URLs have IPv6 addresses in brackets. */
function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/**
 * Checks the host of a URL that somebody else has handed out. Node asks no lookup for an address that stands in a URL, so
 * it is checked here; a name is left to `guardedLookup`.
 *
 * @throws {Error} with the code `ADDRESS_NOT_ALLOWED`.
 */
export function expectReachable(url: string, reach: AddressReach): void {
  const host = bareHost(new URL(url).hostname);
  if (isIP(host) !== 0 && !mayReach(reach, host)) throw notAllowed(host, host);
}

function notAllowed(hostname: string, address: string): Error {
  const message = `${hostname} leads to ${address}, to which this app may not connect`;
  return Object.assign(new Error(message), { code: ADDRESS_NOT_ALLOWED });
}
