import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { checkBundle } from '../../scripts/check-bundle.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const SDKS =
  '"@aws-sdk/" "AWS4-HMAC-SHA256" "KustoConnectionStringBuilder" "ManagedIdentityCredential" "x-ms-blob-type" "visibilitytimeout" "data-tables"';

/** A repository with these files; without problems unless they are changed. */
function repository(changes: Record<string, string> = {}): string {
  const root = mkdtempSync(path.join(os.tmpdir(), 'check-bundle-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const files: Record<string, string> = {
    '.funcignore': '# comment\n.funcignore\ntests\n',
    'host.json': '{}',
    'package.json': '{}',
    'tests/a.test.ts': '',
    'dist/main.js': 'import{a}from"./chunks/a.js";import("./chunks/sdk.js")',
    'dist/chunks/a.js': 'export const a=1',
    'dist/chunks/sdk.js': SDKS,
    ...changes,
  };
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), content);
  }
  return root;
}

const problemsOf = (changes: Record<string, string>) => checkBundle(repository(changes)).problems;

describe('checkBundle', () => {
  test('finds nothing wrong with a package of the app alone', () => {
    const { rows, problems } = checkBundle(repository());
    expect(problems).toEqual([]);
    expect(rows.map(({ what }) => what)).toEqual(['package (5 files)', 'eager (2 files)', 'lazy (1 files)']);
  });

  test.each<[string, Record<string, string>, string]>([
    [
      'an SDK in the entry',
      { 'dist/main.js': 'import("./chunks/sdk.js");"ManagedIdentityCredential"' },
      '@azure/identity is in',
    ],
    [
      'an SDK behind a static import',
      { 'dist/chunks/a.js': 'export{b}from"./b.js"', 'dist/chunks/b.js': '"@aws-sdk/core"' },
      '@aws-sdk is in',
    ],
    [
      'an SDK behind an import for its effect',
      { 'dist/chunks/a.js': 'import"./b.js"', 'dist/chunks/b.js': '"data-tables"' },
      '@azure/data-tables is in',
    ],
    [
      'an SDK that lost its mark',
      { 'dist/chunks/sdk.js': SDKS.replace('KustoConnectionStringBuilder', '') },
      'no chunk holds "KustoConnectionStringBuilder"',
    ],
    ['a large eager graph', { 'dist/chunks/a.js': 'x'.repeat(750_000) }, 'eager (2 files) has'],
    ['a large package', { 'dist/chunks/c.js': 'x'.repeat(6_000_000) }, 'package (6 files) has'],
    ['tests in the package', { '.funcignore': '.funcignore\n' }, '"tests" would be deployed'],
    ['modules in the package', { 'dist/node_modules/a/index.js': '' }, 'has no place in the package'],
    ['the development stack in the package', { 'loads/dev/a.json': '{}' }, 'has no place in the package'],
  ])('finds %s', (_, changes, problem) => {
    expect(problemsOf(changes)).toEqual([expect.stringContaining(problem)]);
  });

  test('refuses a .funcignore that tools read in different ways', () => {
    expect(() => checkBundle(repository({ '.funcignore': '*.ts\n' }))).toThrow('plain names');
  });

  // Not built on a fresh clone; the check itself builds first.
  test.runIf(existsSync(path.join(ROOT, 'dist', 'main.js')))(
    'finds nothing wrong with the build of this app',
    () => {
      expect(checkBundle(ROOT).problems.filter((problem) => !problem.includes('would be deployed'))).toEqual(
        [],
      );
    },
  );
});
