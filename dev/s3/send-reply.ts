import type { ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { Reply } from './operations/call.ts';

/** How the sending of a body is spoilt. */
export interface BodyLimits {
  /** Ends the connection early: closed in order, or reset. `null` sends all of the body. */
  readonly stop: { readonly afterBytes: number; readonly by: 'close' | 'reset' } | null;
  /** `null` for as fast as it goes. */
  readonly bytesPerSecond: number | null;
}

/** How many times a second a slowed body gets a piece, as long as that is a byte at least. */
const piecesPerSecond = 20;

/** Sends a reply in constant memory. */
export async function sendReply(
  response: ServerResponse,
  isHead: boolean,
  reply: Reply,
  limits: BodyLimits,
): Promise<void> {
  const { body } = reply;
  const whole = typeof body === 'string' ? Buffer.from(body) : null;
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
  const isBodiless = reply.status === 204 || reply.status === 304;
  if (!isBodiless)
    response.setHeader('content-length', reply.contentLength ?? (isHead ? 0 : (whole?.length ?? 0)));
  response.statusCode = reply.status;
  if (isHead || isBodiless || body === undefined) {
    response.end();
    return;
  }
  const chunks = whole === null ? (body as Exclude<typeof body, string>).chunks : [whole];
  try {
    await sendChunks(response, chunks, limits);
  } catch {
    // The status is out already: a broken connection is the only way left to say that the body is not whole.
    response.destroy();
  } finally {
    if (typeof body === 'object') body.close();
  }
}

async function sendChunks(
  response: ServerResponse,
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
  limits: BodyLimits,
): Promise<void> {
  let left = limits.stop?.afterBytes ?? Number.POSITIVE_INFINITY;
  for await (const chunk of chunks) {
    const piece = chunk.length > left ? chunk.subarray(0, left) : chunk;
    left -= piece.length;
    if (limits.bytesPerSecond === null) await sendPiece(response, piece);
    else await trickle(response, piece, limits.bytesPerSecond);
    if (response.destroyed) return;
    if (left === 0) break;
  }
  if (limits.stop === null) {
    response.end();
    return;
  }
  response.flushHeaders();
  // The bytes have to reach the socket before it is closed under them.
  await new Promise<void>((resolve) => response.write('', () => resolve()));
  if (limits.stop.by === 'close') response.socket?.destroySoon();
  else response.socket?.resetAndDestroy();
}

async function sendPiece(response: ServerResponse, piece: Buffer): Promise<void> {
  if (response.destroyed || piece.length === 0) return;
  if (!response.write(piece)) await waitForDrain(response);
}

async function trickle(response: ServerResponse, chunk: Buffer, bytesPerSecond: number): Promise<void> {
  const pieceBytes = Math.max(1, Math.floor(bytesPerSecond / piecesPerSecond));
  for (let sent = 0; sent < chunk.length && !response.destroyed; sent += pieceBytes) {
    const piece = chunk.subarray(sent, sent + pieceBytes);
    await wait((piece.length * 1000) / bytesPerSecond);
    await sendPiece(response, piece);
  }
}

function waitForDrain(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      response.off('drain', end);
      response.off('close', end);
      resolve();
    };
    response.on('drain', end);
    response.on('close', end);
  });
}
