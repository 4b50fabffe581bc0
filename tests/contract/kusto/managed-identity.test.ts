import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ManagedIdentityCredential } from '@azure/identity';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { createKustoIngestion } from '../../../shared/adapters/kusto/kusto-ingestion.ts';
import { type ScriptedCluster, startScriptedCluster } from './scripted-cluster.ts';

let cluster: ScriptedCluster;
let identity: Server;
let status = 200;

beforeAll(async () => {
  cluster = await startScriptedCluster();
  // The endpoint that App Service gives an app for its managed identity.
  identity = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: 'said_no', error_description: 'no token' }));
  });
  await new Promise<void>((resolve) => identity.listen(0, '127.0.0.1', resolve));
  const { port } = identity.address() as AddressInfo;
  vi.stubEnv('IDENTITY_ENDPOINT', `http://127.0.0.1:${port}/msi/token`);
  vi.stubEnv('IDENTITY_HEADER', 'header');
});

afterAll(async () => {
  vi.unstubAllEnvs();
  identity?.closeAllConnections();
  await new Promise((resolve) => identity?.close(resolve));
  await cluster?.stop();
});

test.each([
  [429, 'clusterUnavailable', false],
  [400, 'clusterAccessDenied', true],
])(
  'an identity endpoint that answers %i is %s',
  async (answer, code, permanent) => {
    status = answer;
    const ingestion = createKustoIngestion({
      cluster: cluster.url,
      credential: Promise.resolve(new ManagedIdentityCredential({ retryOptions: { maxRetries: 0 } })),
      retryDelayMs: 1,
    });
    await expect(ingestion.warmUp()).rejects.toMatchObject({ code, permanent });
  },
  30_000,
);
