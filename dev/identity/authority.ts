import { generateKeyPair, type KeyObject, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { errors, jwtVerify, SignJWT } from 'jose';

/** Somebody whom the tenant knows. Rights are given to the object id, a token is asked for with the client id. */
export interface Principal {
  readonly clientId: string;
  readonly objectId: string;
}

export interface IssuedToken {
  readonly token: string;
  readonly expiresAt: Date;
}

export interface TokenRequest {
  readonly audience: string;
  readonly principal: Principal;
  /** Default a day, as Azure's managed identities get. */
  readonly lifetimeMs?: number;
  /** Default the authority's own; another one makes a token that nobody should take. */
  readonly issuer?: string;
}

/** The tenant as far as tokens go: who signs them, and whether one is right. */
export interface Authority {
  readonly tenantId: string;
  /** As in the tokens of version 1.0, which is what managed identities get; it ends with a slash. */
  readonly issuer: string;
  issue(request: TokenRequest): Promise<IssuedToken>;
  /**
   * @returns whom the token was issued to.
   * @throws TokenRefused unless signature, issuer, audience and times are right.
   */
  verify(token: string, audience: string): Promise<Principal>;
}

/** A token that is not right; the message says why and holds nothing of the token. */
export class TokenRefused extends Error {
  readonly reason: 'audience' | 'expired' | 'issuer' | 'malformed' | 'signature' | 'time';

  constructor(reason: TokenRefused['reason'], message: string) {
    super(message);
    this.name = 'TokenRefused';
    this.reason = reason;
  }
}

const DAY_MS = 24 * 3_600_000;

/** An authority with a key of its own: what one signs no other takes. */
export async function createAuthority(
  tenantId: string,
  clock: () => Date = () => new Date(),
): Promise<Authority> {
  const issuer = `https://sts.windows.net/${tenantId}/`;
  const { privateKey, publicKey } = await makeKeys();
  return {
    tenantId,
    issuer,
    issue: async ({ audience, principal, lifetimeMs = DAY_MS, issuer: named = issuer }) => {
      const issuedAt = Math.floor(clock().getTime() / 1000);
      const expiresAt = issuedAt + Math.ceil(lifetimeMs / 1000);
      const { clientId, objectId } = principal;
      const claims = { appid: clientId, oid: objectId, tid: tenantId, idtyp: 'app', ver: '1.0' };
      const token = await new SignJWT({ ...claims, uti: randomUUID() })
        .setProtectedHeader({ typ: 'JWT', alg: 'RS256' })
        .setIssuer(named)
        .setSubject(objectId)
        .setAudience(audience)
        .setIssuedAt(issuedAt)
        .setNotBefore(issuedAt)
        .setExpirationTime(expiresAt)
        .sign(privateKey);
      return { token, expiresAt: new Date(expiresAt * 1000) };
    },
    verify: async (token, audience) => {
      try {
        const { payload } = await jwtVerify(token, publicKey, {
          algorithms: ['RS256'],
          issuer,
          audience,
          requiredClaims: ['iat', 'nbf', 'exp', 'oid', 'appid'],
          currentDate: clock(),
        });
        return { clientId: String(payload['appid']), objectId: String(payload['oid']) };
      } catch (error) {
        throw refusalOf(error);
      }
    },
  };
}

function makeKeys(): Promise<{ readonly privateKey: KeyObject; readonly publicKey: KeyObject }> {
  return promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
}

function refusalOf(error: unknown): TokenRefused {
  if (error instanceof errors.JWTExpired) return new TokenRefused('expired', 'The token has expired.');
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return new TokenRefused('signature', 'The signature of the token is not of this tenant.');
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return new TokenRefused('audience', 'The token is for another audience.');
    if (error.claim === 'iss') return new TokenRefused('issuer', 'The token was issued by somebody else.');
    return new TokenRefused('time', `The claim ${error.claim} of the token is not right.`);
  }
  return new TokenRefused('malformed', 'The token can not be read.');
}
