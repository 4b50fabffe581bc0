import { expect, test } from 'vitest';
import { createAzureCredential } from '../../../shared/adapters/identity/azure-credential.ts';
import { engineEndpointOf, ingestionEndpointOf } from '../../../shared/adapters/kusto/cluster-endpoints.ts';
import { createKustoIngestion } from '../../../shared/adapters/kusto/kusto-ingestion.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';

test.each([
  [
    'https://c.westeurope.kusto.windows.net',
    'https://c.westeurope.kusto.windows.net',
    'https://ingest-c.westeurope.kusto.windows.net',
  ],
  [
    'https://c.kusto.windows.net:443/db?x',
    'https://c.kusto.windows.net',
    'https://ingest-c.kusto.windows.net',
  ],
  [
    'https://ingest-c.kusto.windows.net/',
    'https://c.kusto.windows.net',
    'https://ingest-c.kusto.windows.net',
  ],
  ['http://localhost:8080', 'http://localhost:8080', 'http://localhost:8080'],
  ['http://127.0.0.1:8080', 'http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
  ['http://[::1]:8080', 'http://[::1]:8080', 'http://[::1]:8080'],
  ['https://10.1.2.3', 'https://10.1.2.3', 'https://10.1.2.3'],
])('%s', (cluster, engine, ingestion) => {
  expect(engineEndpointOf(cluster)).toBe(engine);
  expect(ingestionEndpointOf(cluster)).toBe(ingestion);
});

test.each(['http://c.kusto.windows.net', 'http://10.1.2.3', 'http://localhost.example', 'ftp://c', 'c'])(
  '%s is refused',
  (cluster) => {
    expect(() => createKustoIngestion({ cluster, credential: async () => null })).toThrow(LoaderError);
  },
);

test('equal settings share one credential', async () => {
  expect(await createAzureCredential({ kind: 'none' })).toBeNull();
  const settings = {
    kind: 'servicePrincipal',
    tenantId: 't',
    clientId: 'c',
    proof: { secret: 's' },
  } as const;
  const first = await createAzureCredential(settings);
  expect(first?.getToken).toBeTypeOf('function');
  expect(await createAzureCredential({ ...settings })).toBe(first);
  expect(await createAzureCredential({ ...settings, clientId: 'd' })).not.toBe(first);
  for (const kind of ['managedIdentity', 'azureCli'] as const) {
    const made = kind === 'managedIdentity' ? { kind, clientId: null } : { kind };
    expect((await createAzureCredential(made))?.getToken).toBeTypeOf('function');
  }
});
