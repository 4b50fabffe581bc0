import { mkdir } from 'node:fs/promises';
import { startAzurite } from './azurite/index.ts';
import { type Certificate, makeCertificate } from './certificate.ts';
import { type RunningStorageProxy, type StorageAccess, startStorageProxy } from './storage-proxy/index.ts';

export interface StorageOptions {
  /** Where data and the certificate are kept; created if missing. */
  readonly folder: string;
  /** Keep nothing on disk but the certificate. Default false. */
  readonly inMemory?: boolean;
  /** Who may come with a token. */
  readonly access: StorageAccess;
}

/** A storage account as the app has one in Azure. */
export interface RunningStorage extends RunningStorageProxy {
  /** By service, over TLS: for tokens and nothing else. */
  readonly identityEndpoints: NonNullable<RunningStorageProxy['identityEndpoints']>;
  readonly certificate: Certificate;
}

/**
 * Starts Azurite with TLS and tokens, and the storage proxy before it. Tokens are verified twice: signature, audience,
 * times and role by the proxy, issuer, audience and times by Azurite. Keys and signatures, such as those of a cluster's
 * queues, are for the plain endpoints.
 */
export async function startStorage({ folder, inMemory, access }: StorageOptions): Promise<RunningStorage> {
  await mkdir(folder, { recursive: true });
  const certificate = await makeCertificate(folder);
  const azurite = await startAzurite({ folder, inMemory: inMemory ?? false, tls: certificate });
  try {
    const proxy = await startStorageProxy({ azurite, tls: certificate, access });
    const { identityEndpoints } = proxy;
    if (identityEndpoints === null) throw new Error('The storage proxy takes no tokens.');
    return {
      ...proxy,
      name: 'storage',
      identityEndpoints,
      certificate,
      stop: async () => {
        await proxy.stop();
        await azurite.stop();
      },
    };
  } catch (error) {
    await azurite.stop();
    throw error;
  }
}
