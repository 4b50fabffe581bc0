import type { IncomingMessage } from 'node:http';
import type { StorageService } from './fault-rule.ts';

/** Built-in roles of Azure that give access to data. */
export type StorageRole = `Storage ${'Blob' | 'Queue' | 'Table'} Data ${'Contributor' | 'Owner' | 'Reader'}`;

export interface StorageAccess {
  /** Who says whether a token is right: it throws when one is not. */
  readonly authority: {
    verify(token: string, audience: string): Promise<{ readonly objectId: string }>;
  };
  /** Roles in the account by object id. Nobody else may do anything. */
  readonly roles: Readonly<Record<string, readonly StorageRole[]>>;
}

/** Audience of the tokens of every storage account. */
const STORAGE_AUDIENCE = 'https://storage.azure.com';

export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** @returns why a request to an account without shared keys may not go on; `null` when it may. */
export async function checkAccess(
  { authority, roles }: StorageAccess,
  service: StorageService,
  { method, headers }: IncomingMessage,
): Promise<Refusal | null> {
  const token = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  if (token === undefined) {
    return {
      status: 403,
      code: 'KeyBasedAuthenticationNotPermitted',
      message: 'Key based authentication is not permitted on this storage account.',
    };
  }
  let objectId: string;
  try {
    ({ objectId } = await authority.verify(token, STORAGE_AUDIENCE));
  } catch (error) {
    return { status: 401, code: 'InvalidAuthenticationInfo', message: (error as Error).message };
  }
  const reads = method === 'GET' || method === 'HEAD';
  const mayGo = (roles[objectId] ?? []).some((role) => {
    const [, of = '', , level] = role.split(' ');
    return of.toLowerCase() === service && (reads || level !== 'Reader');
  });
  return mayGo
    ? null
    : {
        status: 403,
        code: 'AuthorizationPermissionMismatch',
        message: 'This request is not authorized to perform this operation using this permission.',
      };
}
