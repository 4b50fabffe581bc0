import type { TokenCredential } from '@azure/identity';

/**
 * As whom the app signs in to Azure.
 * - `none`: not at all; for the local stack.
 * - `managedIdentity`: `clientId` names a user-assigned identity, `null` is the system-assigned one.
 * - `azureCli`: the developer who ran `az login`.
 */
export type AzureCredentialSettings =
  | { readonly kind: 'none' }
  | { readonly kind: 'managedIdentity'; readonly clientId: string | null }
  | {
      readonly kind: 'servicePrincipal';
      readonly tenantId: string;
      readonly clientId: string;
      readonly clientSecret: string;
    }
  | { readonly kind: 'azureCli' };

const made = new Map<string, Promise<TokenCredential | null>>();

/**
 * The credential for these settings: the same object for equal settings for as long as the process lives, because it
 * keeps the tokens. `null` for `none`. The identity library is loaded with the first call that needs it.
 */
export function createAzureCredential(settings: AzureCredentialSettings): Promise<TokenCredential | null> {
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

async function make(settings: AzureCredentialSettings): Promise<TokenCredential | null> {
  if (settings.kind === 'none') return null;
  const identity = await import('@azure/identity');
  switch (settings.kind) {
    case 'managedIdentity':
      return settings.clientId === null
        ? new identity.ManagedIdentityCredential()
        : new identity.ManagedIdentityCredential({ clientId: settings.clientId });
    case 'servicePrincipal':
      return new identity.ClientSecretCredential(settings.tenantId, settings.clientId, settings.clientSecret);
    case 'azureCli':
      return new identity.AzureCliCredential();
  }
}
