import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { ListingPosition } from './listing.ts';

/**
 * Seals and opens continuation tokens: encrypted and authenticated, bound to one listing.
 *
 * A token of another bucket, prefix, delimiter or endpoint does not open, so a client that mixes tokens up, or
 * builds its own, is told at once.
 */
export class ContinuationTokens {
  readonly #key: Buffer;

  /** @param key 32 bytes, the same for the life of the data folder */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** @param listing what the token is bound to */
  seal(position: ListingPosition, listing: readonly string[]): string {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(
      Buffer.from(JSON.stringify(listing)),
    );
    const flag = Buffer.from([position.isPrefix ? 1 : 0]);
    const sealed = Buffer.concat([cipher.update(flag), cipher.update(position.after), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
  }

  /** @returns `null` if the token was not made for this listing by this endpoint */
  open(token: string, listing: readonly string[]): ListingPosition | null {
    const bytes = Buffer.from(token, 'base64');
    if (bytes.length < 29 || bytes.toString('base64') !== token) return null;
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, 12))
        .setAAD(Buffer.from(JSON.stringify(listing)))
        .setAuthTag(bytes.subarray(12, 28));
      const opened = Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]);
      return { isPrefix: opened[0] === 1, after: opened.subarray(1) };
    } catch {
      return null;
    }
  }
}
