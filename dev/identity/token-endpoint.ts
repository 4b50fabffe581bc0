import { createPublicKey, timingSafeEqual, X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { jwtVerify } from 'jose';
import { listenOnLoopback } from '../loopback-server.ts';
import type { RunningPart } from '../part.ts';
import type { Authority, Principal } from './authority.ts';

/** An application that signs in by itself, in each of the ways that are given. */
export interface LocalApplication extends Principal {
  readonly secret?: string;
  /** PEM of the certificate whose key signs the application's assertions. */
  readonly certificate?: string;
  /** Tokens of another issuer, for this subject, that stand for the application: workload identity. */
  readonly federated?: { readonly issuer: Authority; readonly subject: string };
}

export interface TokenEndpointOptions {
  readonly authority: Authority;
  readonly applications: readonly LocalApplication[];
  /** Resources that the tenant knows. */
  readonly audiences: readonly string[];
  /** PEM, of the endpoint: it speaks TLS only, as clients want it. */
  readonly tls: { readonly cert: string; readonly key: string };
}

export interface RunningTokenEndpoint extends RunningPart {
  /** The clients' `AZURE_AUTHORITY_HOST`. */
  readonly settings: { readonly authorityHost: string };
}

/** Audience of tokens that are exchanged for those of an application. Source: Microsoft's reference of workload identity federation. */
export const EXCHANGE_AUDIENCE = 'api://AzureADTokenExchange';
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Starts what `login.microsoftonline.com` is to applications: `client_credentials` by secret, certificate or federated token. */
export async function startTokenEndpoint(options: TokenEndpointOptions): Promise<RunningTokenEndpoint> {
  const { authority } = options;
  let host = '';
  const server = createServer(options.tls, (message, response) => {
    void answer(options, host, message).then(({ status, body }) => send(response, status, body));
  });
  const { port, status, stop } = await listenOnLoopback(server);
  host = `https://127.0.0.1:${port}`;
  return {
    name: `tokens of ${authority.tenantId}`,
    settings: { authorityHost: host },
    status,
    stop,
  };
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

async function answer(
  options: TokenEndpointOptions,
  host: string,
  message: IncomingMessage,
): Promise<Answer> {
  const { authority, applications, audiences } = options;
  const { pathname } = new URL(message.url ?? '/', host);
  const tokenPath = `/${authority.tenantId}/oauth2/v2.0/token`;
  if (pathname === `/${authority.tenantId}/v2.0/.well-known/openid-configuration`) {
    const at = (path: string) => `${host}/${authority.tenantId}/${path}`;
    return {
      status: 200,
      body: {
        issuer: authority.issuer,
        token_endpoint: `${host}${tokenPath}`,
        authorization_endpoint: at('oauth2/v2.0/authorize'),
        jwks_uri: at('discovery/v2.0/keys'),
      },
    };
  }
  if (message.method !== 'POST' || pathname !== tokenPath)
    return refuse(404, 'invalid_request', `AADSTS90002: Tenant of ${pathname} not found.`);
  const form = new URLSearchParams(await text(message));
  const application = applications.find(({ clientId }) => clientId === form.get('client_id'));
  if (application === undefined || form.get('grant_type') !== 'client_credentials')
    return refuse(400, 'unauthorized_client', 'AADSTS700016: Application was not found in the directory.');
  const problem = await checkClient(application, form, `${host}${tokenPath}`);
  if (problem !== null) return refuse(401, 'invalid_client', problem);
  const audience = (form.get('scope') ?? '').split(' ')[0]!.replace(/\/\.default$/, '');
  if (!audiences.includes(audience))
    return refuse(
      400,
      'invalid_resource',
      `AADSTS500011: The resource principal named ${audience} was not found in the tenant named ${authority.tenantId}.`,
    );
  const { token, expiresAt } = await authority.issue({ audience, principal: application });
  const seconds = Math.floor((expiresAt.getTime() - Date.now()) / 1000);
  return { status: 200, body: { token_type: 'Bearer', expires_in: seconds, access_token: token } };
}

/** @returns what is wrong with the application's proof; `null` when it is right. */
async function checkClient(
  { clientId, secret, certificate, federated }: LocalApplication,
  form: URLSearchParams,
  tokenEndpoint: string,
): Promise<string | null> {
  const given = form.get('client_secret');
  if (given !== null) {
    return secret !== undefined && isEqual(given, secret)
      ? null
      : 'AADSTS7000215: Invalid client secret provided.';
  }
  const assertion = form.get('client_assertion');
  if (assertion === null || form.get('client_assertion_type') !== ASSERTION_TYPE)
    return "AADSTS7000216: 'client_assertion' or 'client_secret' is required.";
  if (certificate !== undefined) {
    const key = createPublicKey(
      new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'pem' }),
    );
    // Clients round the time to the next second, and clocks differ; Entra allows for some minutes, too.
    const expected = {
      issuer: clientId,
      subject: clientId,
      audience: tokenEndpoint,
      clockTolerance: '5 minutes',
    };
    const isRight = await jwtVerify(assertion, key, expected).then(
      () => true,
      () => false,
    );
    if (isRight) return null;
  }
  if (federated !== undefined) {
    const holder = await federated.issuer.verify(assertion, EXCHANGE_AUDIENCE).catch(() => null);
    if (holder?.objectId === federated.subject) return null;
    return 'AADSTS70021: No matching federated identity record found for presented assertion.';
  }
  return 'AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application.';
}

function refuse(status: number, error: string, description: string): Answer {
  return { status, body: { error, error_description: description, error_codes: [] } };
}

function isEqual(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}
