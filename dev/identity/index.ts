import { randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenOnLoopback } from '../loopback-server.ts';
import type { RunningPart } from '../part.ts';
import { type Authority, createAuthority, type Principal } from './authority.ts';

export { type Authority, type Principal, TokenRefused } from './authority.ts';

/** Protocol version that App Service's endpoint speaks. Source: Microsoft's reference "Connect to Azure services, REST endpoint reference". */
const API_VERSION = '2019-08-01';

export interface IdentityOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Default: a new one. */
  readonly tenantId?: string;
  /** Resources that the tenant knows, which are the audiences of tokens. */
  readonly audiences: readonly string[];
  /** How many user-assigned identities the app has besides its system-assigned one. Default 1. */
  readonly userAssigned?: number;
  /** Life of the tokens. Default a day. */
  readonly tokenLifetimeMs?: number;
  /** What time it is; default: the system's clock. */
  readonly clock?: () => Date;
}

/** The endpoint that App Service gives to an app with a managed identity, and the tenant behind it. */
export interface RunningIdentity extends RunningPart {
  readonly settings: {
    /** The app's `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`. */
    readonly endpoint: string;
    readonly header: string;
    readonly tenantId: string;
  };
  readonly authority: Authority;
  readonly systemAssigned: Principal;
  readonly userAssigned: readonly Principal[];
  /** Every token that was given out. */
  readonly issued: readonly { readonly audience: string; readonly token: string }[];
  /** From now on every request is answered as the endpoint answers when it is not well; `null` ends it. */
  fail(status: number | null): void;
}

/** Starts the managed-identity endpoint on loopback. */
export async function startIdentity(options: IdentityOptions): Promise<RunningIdentity> {
  const newPrincipal = (): Principal => ({ clientId: randomUUID(), objectId: randomUUID() });
  const authority = await createAuthority(options.tenantId ?? randomUUID(), options.clock);
  const systemAssigned = newPrincipal();
  const userAssigned = Array.from({ length: options.userAssigned ?? 1 }, newPrincipal);
  const header = randomUUID();
  const issued: RunningIdentity['issued'][number][] = [];
  let failure: number | null = null;

  const answer = async (message: IncomingMessage): Promise<Answer> => {
    if (failure !== null) return refuse(failure, 'The identity service is not well.');
    if (!isEqual(message.headers['x-identity-header'], header))
      return refuse(401, 'The header X-IDENTITY-HEADER is missing or wrong.');
    const { pathname, searchParams } = new URL(message.url ?? '/', 'http://localhost');
    if (message.method !== 'GET' || pathname !== '/msi/token') return refuse(404, 'Only GET /msi/token.');
    if (searchParams.get('api-version') !== API_VERSION)
      return refuse(400, `The api-version must be ${API_VERSION}.`);
    const resource = searchParams.get('resource');
    if (resource === null) return refuse(400, 'The parameter resource is missing.');
    const principal = findPrincipal(searchParams.get('client_id'), systemAssigned, userAssigned);
    if (principal === undefined)
      return refuse(
        400,
        'No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.',
      );
    if (!options.audiences.includes(resource))
      return refuse(
        400,
        `AADSTS500011: The resource principal named ${resource} was not found in the tenant named ${authority.tenantId}.`,
      );
    const { tokenLifetimeMs } = options;
    const { token, expiresAt } = await authority.issue({
      audience: resource,
      principal,
      ...(tokenLifetimeMs === undefined ? {} : { lifetimeMs: tokenLifetimeMs }),
    });
    issued.push({ audience: resource, token });
    return {
      status: 200,
      body: {
        access_token: token,
        client_id: principal.clientId,
        expires_on: String(Math.floor(expiresAt.getTime() / 1000)),
        resource,
        token_type: 'Bearer',
      },
    };
  };

  const server = createServer((message, response) => {
    message.resume();
    void answer(message).then((sent) => send(response, sent));
  });
  const { port, status, stop } = await listenOnLoopback(server, options.port);
  return {
    name: 'identity',
    settings: { endpoint: `http://127.0.0.1:${port}/msi/token`, header, tenantId: authority.tenantId },
    authority,
    systemAssigned,
    userAssigned,
    issued,
    fail: (status) => {
      failure = status;
    },
    status,
    stop,
  };
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

function refuse(statusCode: number, message: string): Answer {
  return { status: statusCode, body: { statusCode, message, correlationId: randomUUID() } };
}

function findPrincipal(
  clientId: string | null,
  systemAssigned: Principal,
  userAssigned: readonly Principal[],
): Principal | undefined {
  return clientId === null ? systemAssigned : userAssigned.find((one) => one.clientId === clientId);
}

function isEqual(given: string | string[] | undefined, wanted: string): boolean {
  const [a, b] = [Buffer.from(String(given ?? '')), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}
