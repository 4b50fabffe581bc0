import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Plugin } from 'rolldown';

import { buildApp } from '../../bench/build-app.ts';

/** One place of the app's source, and what stands there when a guard is taken away. */
interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** The app without one of the guards of docs/GUARANTEES.md. The app itself has no switch for it. */
export const MUTANTS: Readonly<Record<string, readonly Change[]>> = {
  intent: [
    // Whoever comes posts, whatever the ledger says, and under an id of its own.
    {
      file: 'shared/usecases/ingest-unit.ts',
      from: 'etags[index] == null ? [] : [{ attempt, etag: etags[index] }],',
      to: "[{ attempt, etag: etags[index] ?? '' }],",
    },
    {
      file: 'shared/usecases/ingest-unit.ts',
      from: 'const attemptSeq = (before?.value.attemptSeq ?? 0) + 1;',
      to: 'const attemptSeq = (before?.value.attemptSeq ?? 0) + 1 + Math.floor(Math.random() * 1e9);',
    },
  ],
  fence: [
    {
      file: 'shared/domain/ledger-entry.ts',
      from: 'return fence !== null && now >= fence;',
      to: 'return fence !== null;',
    },
  ],
  'one try': [
    {
      file: 'shared/adapters/kusto/queue-poster.ts',
      from: 'retryOptions: { maxTries: 1 }',
      to: 'retryOptions: { maxTries: 4, retryDelayInMs: 10 }',
    },
  ],
  epoch: [
    {
      file: 'shared/usecases/part-commit.ts',
      from: 'isOver(view.run.value) || view.run.value.epoch !== epoch',
      to: 'isOver(view.run.value)',
    },
  ],
  'second look': [
    // What ADX has read is taken for the version that was listed.
    {
      file: 'shared/usecases/rewritten-keys.ts',
      from: "return state === 'ingested' && isOpen && !definition.source.writtenOnce;",
      to: 'return false;',
    },
  ],
  memory: [
    {
      file: 'shared/usecases/run-documents.ts',
      from: "outcomesPath(runId, shard), toNdjson(outcomes), 'ifAbsent'",
      to: "outcomesPath(runId, shard), toNdjson(outcomes), 'always'",
    },
    {
      file: 'shared/usecases/take-shard.ts',
      from: 'etag !== null && me.turn === turn && me.holds !== null',
      to: 'false',
    },
  ],
};

/** Builds the app without a guard into a folder of its own. @throws when the source has no such place any more. */
export async function buildMutant(
  name: string,
): Promise<{ readonly folder: string; readonly remove: () => Promise<void> }> {
  const changes = MUTANTS[name]!;
  const applied = new Set<Change>();
  const plugin: Plugin = {
    name: 'mutant',
    transform(code, id) {
      let changed = code;
      for (const change of changes) {
        if (!id.endsWith(path.normalize(`/${change.file}`)) || !changed.includes(change.from)) continue;
        applied.add(change);
        changed = changed.replace(change.from, change.to);
      }
      return changed === code ? null : changed;
    },
  };
  const folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-mutant-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await buildApp(folder, { plugins: [plugin] });
    const missing = changes.filter((change) => !applied.has(change));
    if (missing.length > 0)
      throw new Error(`The mutant "${name}" finds no place in ${missing.map(({ file }) => file).join(', ')}`);
  } catch (error) {
    await remove();
    throw error;
  }
  return { folder, remove };
}
