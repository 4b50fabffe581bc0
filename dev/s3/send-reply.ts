import type { ServerResponse } from 'node:http';
import type { Reply } from './operations/call.ts';

/**
 * Sends a reply in constant memory.
 *
 * @param truncateAfterBytes breaks the connection after so many bytes of the body; `null` sends all of it
 */
export async function sendReply(
  response: ServerResponse,
  isHead: boolean,
  reply: Reply,
  truncateAfterBytes: number | null,
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
    await sendChunks(response, chunks, truncateAfterBytes);
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
  truncateAfterBytes: number | null,
): Promise<void> {
  let left = truncateAfterBytes ?? Number.POSITIVE_INFINITY;
  for await (const chunk of chunks) {
    const piece = chunk.length > left ? chunk.subarray(0, left) : chunk;
    left -= piece.length;
    if (response.destroyed) return;
    if (piece.length > 0 && !response.write(piece)) {
      await waitForDrain(response);
    }
    if (left === 0) break;
  }
  if (truncateAfterBytes === null) {
    response.end();
    return;
  }
  response.flushHeaders();
  // The bytes have to reach the socket before it is closed under them.
  await new Promise<void>((resolve) => response.write('', () => resolve()));
  response.socket?.destroySoon();
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
