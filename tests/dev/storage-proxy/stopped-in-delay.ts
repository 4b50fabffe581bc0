/**
 * Stops a proxy while a request is held up for an hour, before or after the service has worked (the first argument).
 * Nothing ends this process but that nothing is left to be waited for.
 */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { startStorageProxy } from '../../../dev/storage-proxy/index.ts';

const when = process.argv[2] === 'after' ? 'after' : 'before';
let worked = 0;
const service = createServer((_incoming, answer) => {
  worked += 1;
  answer.end('x');
});
service.listen(0, '127.0.0.1');
await once(service, 'listening');
const endpoint = `http://127.0.0.1:${(service.address() as AddressInfo).port}/account`;
const settings = {
  connectionString: '',
  secondConnectionString: '',
  accountName: 'account',
  accountKey: 'key',
};
const proxy = await startStorageProxy({
  azurite: {
    settings: { ...settings, blobEndpoint: endpoint, queueEndpoint: endpoint, tableEndpoint: endpoint },
  },
});
proxy.injectFault({ action: { kind: 'delay', delayMs: 3_600_000, when } });
const outgoing = request(proxy.settings.blobEndpoint).end();
const failure = once(outgoing, 'error');
while (proxy.faults()[0]?.hits !== 1 || worked !== (when === 'after' ? 1 : 0)) await wait(5);
await proxy.stop();
await failure;
service.closeAllConnections();
service.close();
