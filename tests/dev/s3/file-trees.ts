import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

/** Names that a local file may have and that something on the way to a bucket may trip over. */
const oddNames = [
  'plain.csv',
  ' leading and trailing ',
  'plus+and space',
  'percent%25%zz',
  'ampersand&equals=question?hash#',
  'quotes\'"`',
  'brackets<>[]{}|^~',
  'back\\slash',
  'semi;colon:comma,at@dollar$star*bang!',
  '-dash',
  '.hidden',
  'dots...',
  'UPPER and upper',
  'umlaut-ü-composed',
  'umlaut-u\u0308-decomposed',
  '日本語-😀-\uffee',
  'new\nline',
  'carriage\rreturn',
  'tab\tulator',
  'del\u007f',
  'nbsp\u00a0-zero\u200bwidth',
  'n'.repeat(255),
  // AWS CLI downloads into a file of the name and nine bytes more.
  'ü'.repeat(123),
];

/** Keys that no local file can have, or none beside the others. */
export const keysWithoutFile = [
  './dot',
  '../up',
  'a/./b',
  'a/../b',
  'a//b',
  '/lead',
  'file',
  'file/',
  'file/below',
  'folder/',
  'x'.repeat(1024),
  'ü'.repeat(512),
];

/**
 * Makes relative paths of every kind.
 *
 * @param isHeld leaves out what a client can't hold
 */
export function makeOddPaths(count: number, isHeld: (path: string) => boolean): string[] {
  const paths: string[] = [];
  for (let index = 0; paths.length < count; index += 1) {
    const name = oddNames[index % oddNames.length] ?? '';
    const round = Math.floor(index / oddNames.length);
    const path = round === 0 ? name : `${oddNames[round % oddNames.length]}-/${round}/${name}`;
    // A name of 255 bytes has no room for more, nor has a key for two of them in the deepest folders.
    const isFile = path.split('/').every((part) => Buffer.byteLength(part) <= 255);
    if (isFile && isHeld(path)) paths.push(path);
  }
  return paths;
}

/** Writes files whose bytes depend on their path. */
export async function writeTree(folder: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), `bytes of ${path}`);
  }
}

/** SHA-256 of every file by its path. */
export async function readTree(folder: string): Promise<Map<string, string>> {
  const tree = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    tree.set(
      relative(folder, file),
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex'),
    );
  }
  return tree;
}
