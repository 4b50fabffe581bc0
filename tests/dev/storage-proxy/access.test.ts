import { connect } from 'node:net';
import tls from 'node:tls';
import { AzureNamedKeyCredential, TableClient } from '@azure/data-tables';
import { type AccessToken, ManagedIdentityCredential, type TokenCredential } from '@azure/identity';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { QueueServiceClient } from '@azure/storage-queue';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningAzurite, startAzurite } from '../../../dev/azurite/index.ts';
import { type Certificate, makeCertificate } from '../../../dev/certificate.ts';
import { createAuthority } from '../../../dev/identity/authority.ts';
import type { RunningIdentity } from '../../../dev/identity/index.ts';
import type { RunningStorage } from '../../../dev/storage.ts';
import type { StorageRole } from '../../../dev/storage-proxy/index.ts';
import { type StorageByIdentity, startStorageByIdentity } from '../../storage-by-identity.ts';

const STORAGE = 'https://storage.azure.com';
/** What each user-assigned identity may do. */
const ROLES: readonly (readonly StorageRole[])[] = [
  ['Storage Blob Data Owner', 'Storage Queue Data Contributor', 'Storage Table Data Contributor'],
  ['Storage Blob Data Reader'],
  [],
];
const [OWNER, READER, STRANGER] = [0, 1, 2] as const;
const once = { retryOptions: { maxTries: 1, maxRetries: 0 } };

let under: StorageByIdentity;
let identity: RunningIdentity;
let storage: RunningStorage;
let names = 0;

beforeAll(async () => {
  // The system-assigned one has no part here.
  under = await startStorageByIdentity([[], ...ROLES]);
  ({ identity, storage } = under);
});
afterAll(() => under?.stop());

const credentialOf = (index: number) =>
  new ManagedIdentityCredential({ clientId: identity.userAssigned[index]!.clientId });
const withToken = (token: string): TokenCredential => ({
  getToken: async (): Promise<AccessToken> => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }),
});

interface SdkError {
  readonly statusCode?: number;
  readonly code?: string;
  readonly details?: { readonly odataError?: { readonly code?: string } };
}
/** The Table service names its code in the body alone. */
const codeOf = ({ code, details }: SdkError) => code ?? details?.odataError?.code;

/** Creates a container, a queue and a table, each with its own SDK. @returns status and code of what was refused. */
async function writeEverywhere(credential: TokenCredential) {
  const { blob, queue, table } = storage.identityEndpoints;
  const name = `made${++names}`;
  const outcomeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'made',
      (error: SdkError) => `${error.statusCode ?? ''} ${codeOf(error)}`.trim(),
    );
  return Promise.all([
    outcomeOf(new BlobServiceClient(blob, credential, once).getContainerClient(name).create()),
    outcomeOf(new QueueServiceClient(queue, credential, once).getQueueClient(name).create()),
    outcomeOf(new TableClient(table, name, credential, once).createTable()),
  ]);
}

describe('the storage account', () => {
  it('lets in whom a role was given, in all three services', async () => {
    expect(await writeEverywhere(credentialOf(OWNER))).toEqual(['made', 'made', 'made']);
  });

  it('lets nobody do what no role allows', async () => {
    const denied = '403 AuthorizationPermissionMismatch';
    expect(await writeEverywhere(credentialOf(STRANGER))).toEqual([denied, denied, denied]);
    expect(await writeEverywhere(credentialOf(READER))).toEqual([denied, denied, denied]);
    const { blob } = storage.identityEndpoints;
    const containers = new BlobServiceClient(blob, credentialOf(READER), once).listContainers();
    expect((await containers.next()).done).toBe(false);
  });

  it.each<readonly [string, () => Promise<string>]>([
    [
      'of another audience',
      async () => {
        const principal = identity.userAssigned[OWNER]!;
        return (await identity.authority.issue({ audience: 'https://other', principal })).token;
      },
    ],
    [
      'that has ended',
      async () => {
        const principal = identity.userAssigned[OWNER]!;
        return (await identity.authority.issue({ audience: STORAGE, principal, lifetimeMs: -1000 })).token;
      },
    ],
    [
      'of another tenant of the same name',
      async () => {
        const foreign = await createAuthority(identity.settings.tenantId);
        const principal = identity.userAssigned[OWNER]!;
        return (await foreign.issue({ audience: STORAGE, principal })).token;
      },
    ],
  ])('refuses a token %s', async (_name, token) => {
    const refused = await writeEverywhere(withToken(await token()));
    for (const outcome of refused) expect(outcome).toMatch(/^401 InvalidAuthenticationInfo/);
  });

  it('takes no key where it takes tokens, and keys elsewhere', async () => {
    const { accountName, accountKey } = storage.settings;
    const { blob, table } = storage.identityEndpoints;
    const key = new StorageSharedKeyCredential(accountName, accountKey);
    const refused = await new BlobServiceClient(blob, key, once)
      .getContainerClient('by-key')
      .create()
      .catch(codeOf);
    expect(refused).toBe('KeyBasedAuthenticationNotPermitted');
    const named = new AzureNamedKeyCredential(accountName, accountKey);
    expect(await new TableClient(table, 'bykey', named, once).createTable().catch(codeOf)).toBe(
      'KeyBasedAuthenticationNotPermitted',
    );
    const plain = BlobServiceClient.fromConnectionString(storage.connectionString, once);
    await plain.getContainerClient('by-key').create();
  });

  it('refuses connections at once, also when one has not begun to speak TLS', async () => {
    const { hostname, port } = new URL(storage.identityEndpoints.table);
    const silent = connect(Number(port), hostname);
    const ended = new Promise<void>((resolve) => silent.once('close', () => resolve()));
    silent.on('error', () => undefined);
    await new Promise<void>((resolve) => silent.once('connect', () => resolve()));
    await storage.refuseConnections('table');
    await ended;
    await storage.acceptConnections('table');
    expect(await writeEverywhere(credentialOf(OWNER))).toEqual(['made', 'made', 'made']);
  });

  it('can be made to fail for those who come with tokens, too', async () => {
    storage.injectFault({ service: 'blob', action: { kind: 'error', code: 'ServerBusy' } });
    const [blob] = await writeEverywhere(credentialOf(OWNER));
    storage.clearFaults();
    expect(blob).toBe('503 ServerBusy');
    storage.injectFault({ service: 'blob', method: 'PUT', action: { kind: 'reset', when: 'after' } });
    const [lost] = await writeEverywhere(credentialOf(OWNER));
    storage.clearFaults();
    expect(lost).toBe('ECONNRESET');
    await storage.refuseConnections('queue');
    const [, queue] = await writeEverywhere(credentialOf(OWNER));
    await storage.acceptConnections('queue');
    expect(queue).toMatch(/^(ECONNREFUSED|ECONNRESET|REQUEST_SEND_ERROR)$/);
    expect(await writeEverywhere(credentialOf(OWNER))).toEqual(['made', 'made', 'made']);
  });
});

describe('Azurite behind it', () => {
  let azurite: RunningAzurite;
  let certificate: Certificate;
  beforeAll(async () => {
    certificate = await makeCertificate(under.folder);
    azurite = await startAzurite({ folder: under.folder, inMemory: true, tls: certificate });
    tls.setDefaultCACertificates([storage.certificate.cert, certificate.cert]);
  });
  afterAll(() => azurite?.stop());

  it('verifies issuer, audience and times by itself', async () => {
    const principal = identity.userAssigned[OWNER]!;
    const listWith = async (change: { audience?: string; issuer?: string; lifetimeMs?: number }) => {
      const { token } = await identity.authority.issue({ audience: STORAGE, principal, ...change });
      const client = new BlobServiceClient(azurite.settings.blobEndpoint, withToken(token), once);
      return client
        .listContainers()
        .next()
        .then(
          () => 200,
          (error: { statusCode?: number }) => error.statusCode,
        );
    };
    expect(await listWith({})).toBe(200);
    for (const change of [
      { audience: 'https://other' },
      { issuer: 'https://example.com/' },
      { lifetimeMs: -1000 },
    ])
      expect([change, await listWith(change)]).toEqual([change, expect.toSatisfy((status) => status >= 400)]);
  });
});
