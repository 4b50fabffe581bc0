import { createHash, randomBytes } from 'node:crypto';
import { closeSync, createReadStream, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChecksumAlgorithm, createChecksum } from '../protocol/checksums.ts';
import type { Segment } from './object-version.ts';

/** Bodies up to this size lie in the index: a file each would make 100,000 tiny objects slow. */
const maxInlineBytes = 16_384;
const readChunkBytes = 256 * 1024;

/** Bytes that have arrived and are not part of any object yet. */
export interface StagedContent {
  readonly segment: Segment;
  /** The bytes of an inline segment, `null` for one in a file. */
  readonly inlineBody: Buffer | null;
  readonly md5Hex: string;
  /** Base64 */
  readonly checksum: string;
}

/** Keeps bodies: in files named by id, never by key, since keys may be anything. */
export class ContentStore {
  readonly #folder: string;
  readonly #incoming: string;
  readonly #readers = new Map<string, number>();
  readonly #removeWhenRead = new Set<string>();

  /** Removes what an earlier run has left half received. */
  constructor(folder: string) {
    this.#folder = join(folder, 'content');
    this.#incoming = join(folder, 'incoming');
    rmSync(this.#incoming, { recursive: true, force: true });
    mkdirSync(this.#incoming, { recursive: true });
    mkdirSync(this.#folder, { recursive: true });
  }

  /**
   * Receives a body in constant memory and computes its MD5 and one checksum on the way.
   *
   * If the source throws, nothing stays behind. What is staged has to be published or discarded.
   */
  async stage(source: AsyncIterable<Buffer>, algorithm: ChecksumAlgorithm): Promise<StagedContent> {
    const id = randomBytes(16).toString('hex');
    const md5 = createHash('md5');
    const checksum = createChecksum(algorithm);
    const pending: Buffer[] = [];
    let sizeBytes = 0;
    let file: Awaited<ReturnType<typeof open>> | null = null;
    try {
      for await (const chunk of source) {
        md5.update(chunk);
        checksum.update(chunk);
        sizeBytes += chunk.length;
        pending.push(chunk);
        if (sizeBytes > maxInlineBytes) {
          file ??= await open(this.#incomingPath(id), 'wx');
          for (const piece of pending.splice(0)) await file.writeFile(piece);
        }
      }
      await file?.close();
    } catch (error) {
      await file?.close().catch(() => undefined);
      rmSync(this.#incomingPath(id), { force: true });
      throw error;
    }
    return {
      segment: { id, sizeBytes, place: file === null ? 'inline' : 'file' },
      inlineBody: file === null ? Buffer.concat(pending) : null,
      md5Hex: md5.digest('hex'),
      checksum: checksum.digest().toString('base64'),
    };
  }

  /** Like `stage` for bytes at hand, without waiting for anything. */
  stageBuffer(body: Buffer, algorithm: ChecksumAlgorithm): StagedContent {
    const id = randomBytes(16).toString('hex');
    const checksum = createChecksum(algorithm);
    checksum.update(body);
    const isInline = body.length <= maxInlineBytes;
    if (!isInline) {
      const descriptor = openSync(this.#incomingPath(id), 'wx');
      try {
        for (let written = 0; written < body.length; ) written += writeSync(descriptor, body, written);
      } finally {
        closeSync(descriptor);
      }
    }
    return {
      segment: { id, sizeBytes: body.length, place: isInline ? 'inline' : 'file' },
      inlineBody: isInline ? body : null,
      md5Hex: createHash('md5').update(body).digest('hex'),
      checksum: checksum.digest().toString('base64'),
    };
  }

  /** Moves a staged file to its place; inline bodies are put into the index by the caller. */
  publish(staged: StagedContent): void {
    if (staged.segment.place === 'inline') return;
    const { id } = staged.segment;
    mkdirSync(join(this.#folder, id.slice(0, 2)), { recursive: true });
    renameSync(this.#incomingPath(id), this.#contentPath(id));
  }

  discard(staged: StagedContent): void {
    if (staged.segment.place === 'file') rmSync(this.#incomingPath(staged.segment.id), { force: true });
  }

  /** Removes a segment's file once nobody reads it any more. */
  remove(segment: Segment): void {
    if (segment.place === 'inline') return;
    if (this.#readers.has(segment.id)) this.#removeWhenRead.add(segment.id);
    else rmSync(this.#contentPath(segment.id), { force: true });
  }

  /** Keeps files in place for a reader; the returned function lets go of them and may be called twice. */
  hold(segments: readonly Segment[]): () => void {
    const ids = segments.filter((segment) => segment.place === 'file').map((segment) => segment.id);
    for (const id of ids) this.#readers.set(id, (this.#readers.get(id) ?? 0) + 1);
    return () => {
      for (const id of ids.splice(0)) this.#release(id);
    };
  }

  /** Reads a range of one file segment. */
  readFile(segment: Segment, start: number, endInclusive: number): AsyncIterable<Buffer> {
    return createReadStream(this.#contentPath(segment.id), {
      start,
      end: endInclusive,
      highWaterMark: readChunkBytes,
    });
  }

  #release(id: string): void {
    const readers = (this.#readers.get(id) ?? 1) - 1;
    if (readers > 0) {
      this.#readers.set(id, readers);
      return;
    }
    this.#readers.delete(id);
    if (this.#removeWhenRead.delete(id)) rmSync(this.#contentPath(id), { force: true });
  }

  #incomingPath(id: string): string {
    return join(this.#incoming, id);
  }

  #contentPath(id: string): string {
    return join(this.#folder, id.slice(0, 2), id);
  }
}
