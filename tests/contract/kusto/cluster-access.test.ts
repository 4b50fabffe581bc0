import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type RunningAzurite, startAzurite } from '../../../dev/azurite/index.ts';
import { type RunningIdentity, startIdentity } from '../../../dev/identity/index.ts';
import { type DatabaseRole, type RunningKusto, startKusto } from '../../../dev/kusto/index.ts';
import { createKustoClient } from '../../../dev/kusto-client.ts';
import { createAzureCredential } from '../../../shared/adapters/identity/azure-credential.ts';
import { createKustoIngestion } from '../../../shared/adapters/kusto/kusto-ingestion.ts';

const KUSTO = 'https://kusto.kusto.windows.net';
/** What each user-assigned identity may do. */
const ROLES: readonly (readonly DatabaseRole[])[] = [['Ingestor', 'Viewer'], ['Ingestor'], ['Viewer'], []];
const [LOADER, BLIND, READER, STRANGER] = [0, 1, 2, 3] as const;

let folder: string;
let azurite: RunningAzurite;
let identity: RunningIdentity;
let kusto: RunningKusto;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 's3-adx-loader-identity-'));
  [azurite, identity] = await Promise.all([
    startAzurite({ folder, inMemory: true }),
    startIdentity({ audiences: [KUSTO], userAssigned: ROLES.length }),
  ]);
  kusto = await startKusto({
    azurite: azurite.settings,
    token: {
      value: randomUUID(),
      authority: identity.authority,
      roles: Object.fromEntries(
        identity.userAssigned.map(({ objectId }, index) => [objectId, ROLES[index]!]),
      ),
    },
  });
  const client = await createKustoClient(kusto.settings);
  await client.command('.create table T (line: string)');
  client.close();
  useEndpointOf(identity);
}, 60_000);
afterAll(async () => {
  await kusto?.stop();
  await Promise.all([azurite?.stop(), identity?.stop()]);
  await rm(folder, { recursive: true, force: true });
});

/** Where App Service tells an app to ask. */
function useEndpointOf({ settings }: RunningIdentity) {
  process.env['IDENTITY_ENDPOINT'] = settings.endpoint;
  process.env['IDENTITY_HEADER'] = settings.header;
}

function ingestionAs(index: number, of = identity) {
  const { clientId } = of.userAssigned[index]!;
  return createKustoIngestion({
    cluster: kusto.settings.endpoint,
    credential: createAzureCredential({ kind: 'managedIdentity', clientId }),
    retryDelayMs: 1,
  });
}

const table = { database: 'local', table: 'T', mapping: null, format: 'json' };

describe('a cluster that verifies tokens and roles, asked with ManagedIdentityCredential', () => {
  test('ingestor and viewer: reads the table, gets the resources, and says who it is', async () => {
    const ingestion = ingestionAs(LOADER);
    expect(await ingestion.describeTable(table)).toEqual({ batchingWindowMs: 300_000 });
    await ingestion.warmUp();
    expect(await ingestion.readRoles('local')).toEqual(['Ingestor', 'Viewer']);
    const { clientId, objectId } = identity.userAssigned[LOADER]!;
    expect(await ingestion.signIn()).toBe(
      `application ${clientId}, object id ${objectId}, tenant ${identity.settings.tenantId}`,
    );
  });

  test('ingestor only: what it may not see is taken to be right', async () => {
    const ingestion = ingestionAs(BLIND);
    expect(await ingestion.describeTable(table)).toEqual({ batchingWindowMs: 300_000 });
    await ingestion.warmUp();
  });

  test('viewer only: may not ingest, 403', async () => {
    const ingestion = ingestionAs(READER);
    expect(await ingestion.describeTable(table)).toEqual({ batchingWindowMs: 300_000 });
    await expect(ingestion.warmUp()).rejects.toMatchObject({ code: 'clusterAccessDenied' });
  });

  test('no role at all: 403', async () => {
    await expect(ingestionAs(STRANGER).warmUp()).rejects.toMatchObject({ code: 'clusterAccessDenied' });
  });

  test('an identity of another tenant: 401', async () => {
    const other = await startIdentity({ audiences: [KUSTO] });
    try {
      useEndpointOf(other);
      await expect(ingestionAs(0, other).warmUp()).rejects.toMatchObject({ code: 'clusterAccessDenied' });
    } finally {
      useEndpointOf(identity);
      await other.stop();
    }
  });

  test('a token for another audience, or one that has ended: 401, which says why', async () => {
    const principal = identity.userAssigned[LOADER]!;
    const send = async (token: string) => {
      const answer = await fetch(`${kusto.settings.endpoint}/v1/rest/mgmt`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify({ db: 'local', csl: '.get ingestion resources' }),
      });
      const { error } = (await answer.json()) as { error?: { '@message': string } };
      return [answer.status, error?.['@message']];
    };
    const issue = async (audience: string, lifetimeMs: number) =>
      (await identity.authority.issue({ audience, principal, lifetimeMs })).token;
    expect((await send(await issue(KUSTO, 60_000)))[0]).toBe(200);
    expect(await send(await issue('https://storage.azure.com', 60_000))).toEqual([
      401,
      'The token is for another audience.',
    ]);
    expect(await send(await issue(KUSTO, -1000))).toEqual([401, 'The token has expired.']);
  });
});
