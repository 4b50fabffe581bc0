import type { IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { KustoError } from '../kusto-error.ts';

const MAX_BODY_BYTES = 16 * 1024 * 1024;

/**
 * The body, decompressed where its header says gzip. A body that is too large is read to its end first, so that its sender gets the answer.
 * @throws KustoError 413 above `maxBytes` (decompressed), 400 for what is not gzip.
 */
export async function readBody(request: IncomingMessage, maxBytes = MAX_BODY_BYTES): Promise<Buffer> {
  const isGzip = request.headers['content-encoding'] === 'gzip';
  // What can't be made smaller is a little larger as gzip.
  const maxRawBytes = isGzip ? maxBytes + 64 * 1024 : maxBytes;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size <= maxRawBytes) chunks.push(chunk as Buffer);
    else chunks.length = 0;
  }
  if (size > maxRawBytes) throw makeTooLarge(maxBytes);
  const body = Buffer.concat(chunks);
  if (!isGzip) return body;
  try {
    return gunzipSync(body, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') throw makeTooLarge(maxBytes);
    throw new KustoError('BadRequest_InvalidBlob', 'The body says gzip and is not.');
  }
}

function makeTooLarge(maxBytes: number): KustoError {
  return new KustoError('Stream_InputStreamTooLarge', `The body is above ${maxBytes} bytes.`, {
    httpStatus: 413,
  });
}

/** @throws KustoError 400 unless the body is a JSON object; an empty one counts as `{}`. */
export function parseJsonObject(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8') || '{}');
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Falls through to the one error.
  }
  throw new KustoError('BadRequest_InvalidJson', 'The body is not a JSON object.');
}
