import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

import { MUTANTS } from './mutants.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

test.each(Object.keys(MUTANTS))('the mutant "%s" finds each of its places in the source once', (name) => {
  for (const { file, from } of MUTANTS[name]!)
    expect([file, readFileSync(path.join(ROOT, file), 'utf8').split(from).length - 1]).toEqual([file, 1]);
});
