import type { S3Client } from '@aws-sdk/client-s3';
import type { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import type { PresignedUrl } from '../../ports/source.ts';
import { type AwsKeys, type KeysProvider, requireLeft } from './aws-credentials.ts';

/** Longest life that Signature Version 4 allows. */
const MAX_LIFETIME_S = 7 * 24 * 3600;

export interface PresignInput {
  readonly key: string;
  readonly versionId: string | null;
  readonly lifetimeMs: number;
  /** Time that the keys must have left. */
  readonly leastLeftMs: number;
}

/** Where requests to the bucket go. */
export function bucketUrlOf(
  client: S3Client,
  options: {
    readonly bucket: string;
    readonly region: string;
    readonly endpoint: string | null;
    readonly pathStyle: boolean;
  },
): URL {
  return client.config.endpointProvider({
    Bucket: options.bucket,
    Region: options.region,
    ForcePathStyle: options.pathStyle,
    UseFIPS: false,
    UseDualStack: false,
    ...(options.endpoint === null ? {} : { Endpoint: options.endpoint }),
  }).url;
}

/**
 * Signs GET URLs for one bucket.
 *
 * It signs a request of its own instead of running a command through the client: a fifth of the time
 * (0.05 ms against 0.25 ms), and the URL holds no `x-id` or checksum parameters.
 *
 * @param provideKeys - `null` for anonymous: the URL then is the plain address of the object, and nothing ends it.
 */
export async function createPresigner(options: {
  readonly client: S3Client;
  readonly bucket: string;
  readonly region: string;
  readonly endpoint: string | null;
  readonly pathStyle: boolean;
  readonly provideKeys: KeysProvider | null;
  readonly now: () => Date;
}): Promise<(input: PresignInput) => Promise<PresignedUrl>> {
  const { client, bucket, region, provideKeys, now } = options;
  const base = bucketUrlOf(client, options);
  const { S3RequestPresigner } = await import('@aws-sdk/s3-request-presigner');

  // The presigner keeps derived signing keys; it is made anew only when the keys change.
  let presigner: { readonly keys: AwsKeys; readonly signs: S3RequestPresigner } | null = null;
  const presignerOf = (keys: AwsKeys) => {
    if (presigner?.keys !== keys) {
      const { sha256 } = client.config;
      const identity = {
        accessKeyId: keys.accessKeyId,
        secretAccessKey: keys.secretAccessKey,
        ...(keys.sessionToken === undefined ? {} : { sessionToken: keys.sessionToken }),
      };
      presigner = { keys, signs: new S3RequestPresigner({ credentials: identity, region, sha256 }) };
    }
    return presigner.signs;
  };

  return async ({ key, versionId, lifetimeMs, leastLeftMs }) => {
    const lifetimeS = Math.min(MAX_LIFETIME_S, Math.max(1, Math.ceil(lifetimeMs / 1000)));
    // The signature names whole seconds.
    const signedAt = Math.floor(now().getTime() / 1000) * 1000;
    const path = base.pathname.replace(/\/$/, '') + '/' + key.split('/').map(escapeUri).join('/');
    const query: Record<string, string> = versionId === null ? {} : { versionId };
    const wantedEnd = signedAt + lifetimeS * 1000;
    if (provideKeys === null) {
      return { url: formatUrl(`${base.protocol}//${base.host}`, path, query), expiresAt: null };
    }

    const keys = await provideKeys(leastLeftMs);
    requireLeft(keys, { bucket, leastLeftMs, now: now() });
    const keysEnd = keys.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
    const signed = await presignerOf(keys).presign(
      {
        method: 'GET',
        protocol: base.protocol,
        hostname: base.hostname,
        ...(base.port === '' ? {} : { port: Number(base.port) }),
        path,
        query,
        headers: {},
      },
      { expiresIn: lifetimeS, signingDate: new Date(signedAt) },
    );
    return {
      url: formatUrl(`${base.protocol}//${base.host}`, signed.path, signed.query as Record<string, string>),
      expiresAt: new Date(Math.min(wantedEnd, keysEnd)),
    };
  };
}

function formatUrl(origin: string, path: string, query: Readonly<Record<string, string>>): string {
  const parts = Object.keys(query)
    .sort()
    .map((name) => `${escapeUri(name)}=${escapeUri(query[name] ?? '')}`);
  return `${origin}${path}${parts.length === 0 ? '' : `?${parts.join('&')}`}`;
}

/** AWS escapes all but RFC 3986's unreserved characters; JavaScript leaves five more as they are. */
function escapeUri(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
