import { createHash } from 'node:crypto';
import { request } from 'node:http';
import type { RunningS3 } from '../../../dev/s3/index.ts';
import type { ChunkSigning } from '../../../dev/s3/protocol/authenticate.ts';
import {
  buildCanonicalRequest,
  buildStringToSign,
  deriveSigningKey,
  sign,
} from '../../../dev/s3/protocol/sigv4.ts';

export interface RawRequest {
  readonly method: string;
  /** Begins with a slash and needs no encoding. */
  readonly path: string;
  readonly query?: readonly [name: string, value: string][];
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes as they are sent, or a function that makes them when the request's own signature is there. */
  readonly body?: string | Buffer | ((signing: ChunkSigning) => string);
  /** Default: the SHA-256 of the body. */
  readonly payloadHash?: string;
  /** Bytes of the body that are sent before the client falls silent. Default: all. */
  readonly silentAfterBytes?: number;
}

export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/**
 * Sends a request signed by its header that no SDK would send.
 *
 * What signs it is the endpoint's own code, which the examples of AWS's documentation hold to account.
 */
export async function sendSigned(settings: RunningS3['settings'], raw: RawRequest): Promise<RawResponse> {
  const amzDate = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = { date: amzDate.slice(0, 8), region: settings.region, service: 's3' } as const;
  const { host, port } = new URL(settings.endpoint);
  const plainBody = typeof raw.body === 'function' ? '' : (raw.body ?? '');
  const payloadHash = raw.payloadHash ?? createHash('sha256').update(plainBody).digest('hex');
  const headers = new Map([
    ['host', host],
    ['x-amz-content-sha256', payloadHash],
    ['x-amz-date', amzDate],
    ...Object.entries(raw.headers ?? {}),
  ]);
  const signedHeaders = [...headers.keys()].toSorted();
  const query = raw.query ?? [];
  const canonical = buildCanonicalRequest({
    method: raw.method,
    path: raw.path,
    query,
    headers,
    signedHeaders,
    payloadHash,
  });
  const signingKey = deriveSigningKey(settings.secretAccessKey, scope);
  const seedSignature = sign(signingKey, buildStringToSign(canonical, amzDate, scope));
  const credential = `${settings.accessKeyId}/${scope.date}/${scope.region}/s3/aws4_request`;
  headers.set(
    'authorization',
    `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signedHeaders.join(';')}, Signature=${seedSignature}`,
  );
  const body =
    typeof raw.body === 'function' ? raw.body({ signingKey, scope, amzDate, seedSignature }) : plainBody;
  headers.set('content-length', String(Buffer.byteLength(body)));
  const search = new URLSearchParams([...query]).toString();
  const path = search === '' ? raw.path : `${raw.path}?${search}`;
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      method: raw.method,
      path,
      headers: Object.fromEntries(headers),
    };
    const sending = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
      response.on('error', reject);
    });
    sending.on('error', reject);
    // Node would encode the headers as it does a body that is a string.
    const bytes = Buffer.from(body);
    if (raw.silentAfterBytes === undefined) sending.end(bytes);
    else sending.write(bytes.subarray(0, raw.silentAfterBytes));
  });
}
