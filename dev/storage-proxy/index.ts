import type { RunningAzurite } from '../azurite/index.ts';
import type { StorageAccess } from './access-check.ts';
import type { Refusals } from './control-endpoint.ts';
import type { StorageFaultRule, StorageService } from './fault-rule.ts';
import { ServiceListener } from './service-listener.ts';
import { type ActiveStorageFault, StorageFaults } from './storage-faults.ts';

export type { StorageAccess, StorageRole } from './access-check.ts';
export type { StorageFaultAction, StorageFaultRule, StorageService } from './fault-rule.ts';
export type { ActiveStorageFault } from './storage-faults.ts';

export interface StorageProxyOptions {
  /** The Azurite that the proxy stands in front of. */
  readonly azurite: Pick<RunningAzurite, 'settings'>;
  /** Ports on 127.0.0.1; each one left out is chosen by the operating system. */
  readonly ports?: { readonly [service in StorageService]?: number };
  /** Certificate that Azurite has, where it has one, and that the proxy uses for `access`. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /**
   * Has the proxy listen by TLS, too, as an account without shared keys: for those who come with a token, whose
   * signature, audience, times and role it verifies. Needs `tls`, also before Azurite, which verifies the token again.
   */
  readonly access?: StorageAccess;
}

/** A part with Azurite's own settings, so that it can be given to clients in Azurite's place. */
export interface RunningStorageProxy extends RunningAzurite {
  /** Where tokens are taken, by service; `null` without `access`. */
  readonly identityEndpoints: Readonly<Record<StorageService, string>> | null;
  /**
   * Does something to requests to come.
   *
   * @returns an id for `removeFault`
   * @throws Error that says which field of the rule is wrong and what it may be
   */
  injectFault(rule: StorageFaultRule): number;
  /** @returns false if there is no such rule */
  removeFault(id: number): boolean;
  clearFaults(): void;
  /** All rules that were not removed, with how many requests each has hit. */
  faults(): ActiveStorageFault[];
  /** Ends a service's connections and has new ones refused by the operating system, until `acceptConnections`. */
  refuseConnections(service: StorageService): Promise<void>;
  /** Takes connections again, on the same port. */
  acceptConnections(service: StorageService): Promise<void>;
}

/**
 * Starts a proxy on loopback for each of Azurite's services, in this process. Clients use its connection string
 * instead of Azurite's; without rules it changes nothing.
 *
 * @throws Error when a port that was asked for is taken
 */
export async function startStorageProxy(options: StorageProxyOptions): Promise<RunningStorageProxy> {
  const { settings: azurite } = options.azurite;
  const faults = new StorageFaults();
  const refusals: Refusals = {
    begin: (service) => listeners[service].refuse(),
    end: (service) => listeners[service].listen(),
  };
  const create = (service: StorageService, endpoint: string) =>
    new ServiceListener({
      service,
      endpoint,
      port: options.ports?.[service] ?? 0,
      accountName: azurite.accountName,
      faults,
      refusals,
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(options.access === undefined ? {} : { access: options.access }),
    });
  const listeners: Readonly<Record<StorageService, ServiceListener>> = {
    blob: create('blob', azurite.blobEndpoint),
    queue: create('queue', azurite.queueEndpoint),
    table: create('table', azurite.tableEndpoint),
  };
  const all = Object.values(listeners);
  let isStopped = false;
  const stop = async () => {
    isStopped = true;
    await Promise.all(all.map((listener) => listener.stop()));
  };
  try {
    for (const listener of all) await listener.listen();
  } catch (error) {
    await stop();
    throw error;
  }
  const settings = toSettings(azurite, listeners);
  return {
    name: 'storage-proxy',
    settings,
    connectionString: settings.connectionString,
    identityEndpoints: options.access === undefined ? null : identityEndpointsOf(azurite, listeners),
    status: () => Promise.resolve(isStopped ? 'stopped' : 'running'),
    stop,
    injectFault: (rule) => faults.add(rule),
    removeFault: (id) => faults.remove(id),
    clearFaults: () => faults.clear(),
    faults: () => faults.list(),
    refuseConnections: refusals.begin,
    acceptConnections: refusals.end,
  };
}

function identityEndpointsOf(
  { accountName }: RunningAzurite['settings'],
  listeners: Readonly<Record<StorageService, ServiceListener>>,
): Readonly<Record<StorageService, string>> {
  const of = (service: StorageService) => `https://127.0.0.1:${listeners[service].securePort}/${accountName}`;
  return { blob: of('blob'), queue: of('queue'), table: of('table') };
}

function toSettings(
  azurite: RunningAzurite['settings'],
  listeners: Readonly<Record<StorageService, ServiceListener>>,
): RunningAzurite['settings'] {
  const through = (service: StorageService, endpoint: string) => {
    const url = new URL(endpoint);
    url.protocol = 'http:';
    url.port = String(listeners[service].port);
    return url.href;
  };
  const blobEndpoint = through('blob', azurite.blobEndpoint);
  const queueEndpoint = through('queue', azurite.queueEndpoint);
  const tableEndpoint = through('table', azurite.tableEndpoint);
  // The ports are all that differs.
  const throughProxy = (connectionString: string) =>
    connectionString
      .replace('DefaultEndpointsProtocol=https', 'DefaultEndpointsProtocol=http')
      .replace(`${new URL(azurite.blobEndpoint).origin}/`, `${new URL(blobEndpoint).origin}/`)
      .replace(`${new URL(azurite.queueEndpoint).origin}/`, `${new URL(queueEndpoint).origin}/`)
      .replace(`${new URL(azurite.tableEndpoint).origin}/`, `${new URL(tableEndpoint).origin}/`);
  return {
    ...azurite,
    connectionString: throughProxy(azurite.connectionString),
    secondConnectionString: throughProxy(azurite.secondConnectionString),
    blobEndpoint,
    queueEndpoint,
    tableEndpoint,
  };
}
