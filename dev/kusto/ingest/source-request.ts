import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import { cutSecrets, IngestionError } from './ingestion-error.ts';

/** A source that sends nothing for so long is tried again later. */
const SILENCE_MS = 120_000;

/** Aborts when nobody has called `touch` for a while. */
export class SilenceWatch {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(silenceMs = SILENCE_MS) {
    this.#timer = setTimeout(() => this.#controller.abort(new Error('silent for too long')), silenceMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  touch(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Sends the one GET that a source is read with. `<url>;AwsCredentials=ID,SECRET` is signed with these keys, as S3 asks for it.
 * @throws IngestionError: permanent for 401, 403, 404 and what else will not change, transient for 5xx, 429, 408 and the network.
 */
export async function requestSource(url: string, signal: AbortSignal): Promise<Response> {
  const path = cutSecrets(url);
  const { target, headers } = await makeRequest(url, path);
  let response: Response;
  try {
    // The archive's own bytes are wanted, whatever the server would like to decode.
    response = await fetch(target, { signal, headers: { 'accept-encoding': 'identity', ...headers } });
  } catch (error) {
    throw toDownloadError(error, path);
  }
  if (response.ok) return response;
  await response.body?.cancel();
  const details = `${path}: the storage answered ${response.status} ${response.statusText}.`;
  if (response.status === 401 || response.status === 403)
    throw new IngestionError('Download_Forbidden', details);
  if (response.status === 404) throw new IngestionError('Download_SourceNotFound', details);
  if (response.status >= 500 || response.status === 429 || response.status === 408)
    throw new IngestionError('Download_UnknownError', details, 'Transient');
  throw new IngestionError('Download_NotTransient', details);
}

/** Names what broke a download off; all of it may pass. */
export function toDownloadError(error: unknown, path: string): IngestionError {
  const cause = (error as { cause?: { code?: string } }).cause;
  const code = cause?.code ?? (error as { code?: string }).code ?? (error as Error).name;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new IngestionError(
      'Download_TransientNameResolutionFailure',
      `${path}: the host name can't be resolved.`,
      'Transient',
    );
  }
  return new IngestionError(
    'Download_UnknownError',
    `${path}: the download broke off (${code}).`,
    'Transient',
  );
}

async function makeRequest(
  url: string,
  path: string,
): Promise<{ target: string; headers: Record<string, string> }> {
  const suffix = url.slice(url.split(';', 1)[0]?.length ?? 0);
  if (suffix === '') return { target: url, headers: {} };
  const keys = /^;AwsCredentials=([^,;]+),([^,;]+)$/i.exec(suffix);
  if (keys === null) {
    throw new IngestionError(
      'BadRequest_InvalidBlobUri',
      `${path}: after the URL only ;AwsCredentials=ID,SECRET can be read, which has no place for a session token.`,
    );
  }
  const [, accessKeyId = '', secretAccessKey = ''] = keys;
  const target = new URL(path);
  target.pathname = target.pathname.split('/').map(encodeSegment).join('/');
  const signer = new SignatureV4({
    service: 's3',
    region: /\.s3[.-]([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/.exec(target.hostname)?.[1] ?? 'us-east-1',
    credentials: { accessKeyId, secretAccessKey },
    sha256: NodeSha256,
    uriEscapePath: false,
  });
  const signed = await signer.sign({
    method: 'GET',
    protocol: target.protocol,
    hostname: target.hostname,
    path: target.pathname,
    query: {},
    headers: { host: target.host },
  });
  const { host: _host, ...headers } = signed.headers;
  return { target: target.href, headers };
}

/** S3 signs a path in which all but letters, digits and `-._~` is percent-encoded. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(decodeURIComponent(segment)).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** What the signer asks for, from Node. */
class NodeSha256 {
  readonly #hash: { update(data: Uint8Array): unknown; digest(): Buffer };

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash('sha256')
        : createHmac('sha256', secret as string | Uint8Array<ArrayBuffer>);
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof data === 'string' ? Buffer.from(data) : (data as Uint8Array));
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {}
}
