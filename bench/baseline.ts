import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import type { BenchResult } from './bench.ts';
import { writeFiguresPage } from './figures-page.ts';
import type { Machine } from './machine.ts';

/** What one bench has measured, and on what. */
export interface MeasuredBench extends Pick<BenchResult, 'figures' | 'table'> {
  readonly measuredAt: string;
  /** Of the whole bench. */
  readonly durationMs?: number;
  readonly machine: Machine;
}

/** The figures kept in the repository, by bench. */
export type Baseline = Readonly<Record<string, MeasuredBench>>;

const FILE = path.join(import.meta.dirname, 'baseline.json');

/** The kept figures; none when none were saved yet. Entries of earlier versions have neither table nor duration. */
export async function readBaseline(): Promise<Baseline> {
  try {
    return JSON.parse(await readFile(FILE, 'utf8')) as Baseline;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new Error(`${FILE} can't be read as JSON. Restore it, or save a new one with --save-baseline.`, {
      cause: error,
    });
  }
}

/** Replaces the figures of the benches that were run, in docs/BENCHMARKS.md, too; the others stay. */
export async function saveBaseline(measured: Baseline): Promise<string> {
  const kept = { ...(await readBaseline()), ...measured };
  const sorted = Object.fromEntries(Object.entries(kept).sort(([a], [b]) => (a < b ? -1 : 1)));
  await writeFile(FILE, `${JSON.stringify(sorted, null, 2)}\n`);
  await writeFiguresPage(sorted);
  return FILE;
}
