import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { type AddressReach, mayReach } from '../../config/allowed-endpoints.ts';

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
        const message = `${hostname} leads to ${refused.address}, to which this app may not connect`;
        callback(Object.assign(new Error(message), { code: ADDRESS_NOT_ALLOWED }), '');
        return;
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
