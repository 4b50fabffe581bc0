import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/**
 * Makes and reads version ids: 32 characters that say nothing to a client, and hold the version's place.
 *
 * The place is in the id because a listing must go on after a version that was deleted meanwhile.
 */
export class VersionIds {
  readonly #key: Buffer;

  /** @param key 16 bytes, the same for the life of the data folder */
  constructor(key: Buffer) {
    this.#key = key;
  }

  make(id: number): string {
    const block = randomBytes(16);
    block.writeUIntBE(0, 0, 2);
    block.writeUIntBE(id, 2, 6);
    const cipher = createCipheriv('aes-128-ecb', this.#key, null).setAutoPadding(false);
    const bytes = Buffer.concat([cipher.update(block), cipher.final(), randomBytes(8)]);
    return bytes.toString('base64url').replaceAll('-', '.');
  }

  /** @returns `null` if the text is not a version id of this endpoint */
  read(versionId: string): number | null {
    if (!/^[A-Za-z0-9._]{32}$/.test(versionId)) return null;
    const bytes = Buffer.from(versionId.replaceAll('.', '-'), 'base64url');
    const decipher = createDecipheriv('aes-128-ecb', this.#key, null).setAutoPadding(false);
    const block = Buffer.concat([decipher.update(bytes.subarray(0, 16)), decipher.final()]);
    return block.readUIntBE(0, 2) === 0 ? block.readUIntBE(2, 6) : null;
  }
}
