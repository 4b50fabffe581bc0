import type { TokenCredential } from '@azure/identity';

import type { IdentitySettings } from '../../config/settings.ts';

const made = new Map<string, Promise<TokenCredential | null>>();

/**
 * The credential for these settings: the same object for equal settings for as long as the process lives, because it
 * keeps the tokens. `null` for `none`. The identity library is loaded with the first call that needs it.
 *
 * `AZURE_AUTHORITY_HOST` of the environment names another cloud's place of sign-in than Azure's own; that it is one is not
 * asked of Azure then, which a cloud by itself could not reach.
 */
export function createAzureCredential(settings: IdentitySettings): Promise<TokenCredential | null> {
  const name = JSON.stringify(settings);
  let credential = made.get(name);
  if (credential === undefined) {
    credential = make(settings).catch((error: unknown) => {
      made.delete(name);
      throw error;
    });
    made.set(name, credential);
  }
  return credential;
}

async function make(settings: IdentitySettings): Promise<TokenCredential | null> {
  if (settings.kind === 'none') return null;
  const identity = await import('@azure/identity');
  const options = { disableInstanceDiscovery: Boolean(process.env['AZURE_AUTHORITY_HOST']) };
  switch (settings.kind) {
    case 'managedIdentity':
      return settings.clientId === null
        ? new identity.ManagedIdentityCredential()
        : new identity.ManagedIdentityCredential({ clientId: settings.clientId });
    case 'servicePrincipal': {
      const { tenantId, clientId, proof } = settings;
      if ('secret' in proof)
        return new identity.ClientSecretCredential(tenantId, clientId, proof.secret, options);
      if ('certificate' in proof)
        return new identity.ClientCertificateCredential(
          tenantId,
          clientId,
          { certificate: proof.certificate },
          options,
        );
      return new identity.ClientCertificateCredential(tenantId, clientId, proof.certificateFile, options);
    }
    case 'workloadIdentity': {
      const { tenantId, clientId, tokenFile } = settings;
      return new identity.WorkloadIdentityCredential({
        tenantId,
        clientId,
        tokenFilePath: tokenFile,
        ...options,
      });
    }
    case 'azureCli':
      return new identity.AzureCliCredential();
  }
}
