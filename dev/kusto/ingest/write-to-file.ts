import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export async function writeToFile(source: Readable, file: string): Promise<void> {
  await pipeline(source, createWriteStream(file));
}
