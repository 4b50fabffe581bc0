import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { type Principal, type RunningIdentity, startIdentity } from '../dev/identity/index.ts';
import { type RunningStorage, startStorage } from '../dev/storage.ts';
import type { StorageRole } from '../dev/storage-proxy/index.ts';

export interface StorageByIdentity {
  readonly folder: string;
  readonly identity: RunningIdentity;
  readonly storage: RunningStorage;
  stop(): Promise<void>;
}

/**
 * A storage account that takes tokens, and the managed identity of this process: `ManagedIdentityCredential` finds it,
 * and the account's certificate is trusted.
 *
 * @param roles - of the system-assigned identity first, then of the user-assigned ones.
 */
export async function startStorageByIdentity(
  roles: readonly (readonly StorageRole[])[],
): Promise<StorageByIdentity> {
  const folder = await mkdtemp(path.join(tmpdir(), 's3-adx-loader-storage-'));
  const identity = await startIdentity({
    audiences: ['https://storage.azure.com'],
    userAssigned: roles.length - 1,
  });
  const principals: readonly Principal[] = [identity.systemAssigned, ...identity.userAssigned];
  const storage = await startStorage({
    folder,
    inMemory: true,
    access: {
      authority: identity.authority,
      roles: Object.fromEntries(principals.map(({ objectId }, index) => [objectId, roles[index]!])),
    },
  });
  process.env['IDENTITY_ENDPOINT'] = identity.settings.endpoint;
  process.env['IDENTITY_HEADER'] = identity.settings.header;
  tls.setDefaultCACertificates([storage.certificate.cert]);
  return {
    folder,
    identity,
    storage,
    stop: async () => {
      await storage.stop();
      await identity.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
