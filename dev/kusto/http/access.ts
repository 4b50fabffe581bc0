import { KustoError } from '../kusto-error.ts';

/** Roles of a database, as ADX names them; `TableAdmin` stands for the role of that name on every table. */
export type DatabaseRole = 'Admin' | 'Ingestor' | 'TableAdmin' | 'User' | 'Viewer';

/** What a request needs. `know` is to see names and schemas. */
export type Right = 'administer' | 'changeTables' | 'createTables' | 'ingest' | 'know' | 'query';

export interface TokenOptions {
  /** The bearer token of an administrator. */
  readonly value?: string;
  /** Who says whether another token is right: it throws when one is not. */
  readonly authority?: {
    verify(token: string, audience: string): Promise<{ readonly objectId: string }>;
  };
  /** What those who are known by a token of the authority may do, by object id. Nobody else may do anything. */
  readonly roles?: Readonly<Record<string, readonly DatabaseRole[]>>;
}

/** Who sends a request. */
export interface Caller {
  readonly name: string;
  readonly objectId: string;
  readonly roles: readonly DatabaseRole[];
}

/**
 * Tells who sends a request.
 *
 * @throws KustoError 401 when the token is missing or not right, 403 when its holder has no role.
 */
export type AccessCheck = (authorization: string | undefined) => Promise<Caller>;

/** Audience of a cluster's tokens, as its metadata document names it. */
export const KUSTO_AUDIENCE = 'https://kusto.kusto.windows.net';

const administrator: Caller = { name: 'Local user', objectId: '', roles: ['Admin'] };

const rightsOf: Readonly<Record<DatabaseRole, readonly Right[]>> = {
  Admin: ['administer', 'changeTables', 'createTables', 'ingest', 'know', 'query'],
  // It sees nothing of what it fills.
  Ingestor: ['ingest'],
  TableAdmin: ['changeTables', 'ingest', 'know', 'query'],
  User: ['createTables', 'know', 'query'],
  Viewer: ['know', 'query'],
};

/** Without options nobody is asked who they are. */
export function makeAccessCheck(options: TokenOptions | undefined): AccessCheck {
  return async (authorization) => {
    if (options === undefined) return administrator;
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) throw makeUnauthorized('The request carries no bearer token.');
    if (token === options.value) return administrator;
    if (options.authority === undefined) throw makeUnauthorized('The bearer token is not accepted.');
    const { objectId } = await options.authority.verify(token, KUSTO_AUDIENCE).catch((error: unknown) => {
      throw makeUnauthorized((error as Error).message);
    });
    const roles = options.roles?.[objectId] ?? [];
    if (roles.length === 0) throw makeForbidden(objectId, 'anything in this cluster');
    return { name: `Application ${objectId}`, objectId, roles };
  };
}

/** @throws KustoError 403. */
export function requireRight(caller: Caller, right: Right | null, what: string): void {
  if (right !== null && !caller.roles.some((role) => rightsOf[role].includes(right)))
    throw makeForbidden(caller.objectId, what);
}

/** What a management command needs, by its first words; `null`: nothing. Source: the "Permissions" of each command's page in ADX's reference. */
export function rightOfCommand(text: string): Right | null {
  if (/^\.show\s+principal\s+roles\b/i.test(text)) return null;
  if (/^\.get\s/i.test(text)) return 'ingest';
  if (/^\.show\s/i.test(text)) return 'know';
  if (/^\.ingest[\s-]/i.test(text) || /^\.(set|append|set-or-append)\s/i.test(text)) return 'ingest';
  if (/^\.create\s+table\s+(?!.*\bingestion\b)/i.test(text)) return 'createTables';
  if (/^\.drop\s+extents?\b/i.test(text)) return 'changeTables';
  return /^\.[\w-]+\s+(async\s+)?tables?\b/i.test(text) ? 'changeTables' : 'administer';
}

function makeUnauthorized(message: string): KustoError {
  return new KustoError('Unauthorized', message, {
    httpStatus: 401,
    type: 'Kusto.Data.Exceptions.KustoRequestUnauthorizedException',
  });
}

function makeForbidden(objectId: string, what: string): KustoError {
  return new KustoError('Forbidden', `Principal 'aadapp=${objectId}' is not authorized to perform ${what}.`, {
    httpStatus: 403,
    type: 'Kusto.Data.Exceptions.KustoRequestDeniedException',
  });
}
