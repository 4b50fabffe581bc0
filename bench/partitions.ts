import { formatCount, formatDuration } from '../cli/format.ts';
import { LEDGER_PARTITIONS } from '../shared/domain/ledger-key.ts';
import type { BenchResult, BenchRun, Figure } from './bench.ts';
import { measureListing } from './listing.ts';

const OBJECTS = 100_000;
const PARTITIONS = [16, LEDGER_PARTITIONS, 256] as const;

/** What planning an unchanged bucket and loading its ledger cost by the number of the ledger's partitions. */
export async function partitions(run: BenchRun): Promise<BenchResult> {
  const figures: Figure[] = [];
  const table = [['partitions', 'table requests', 'planning', "Azurite's own scan", 'ledger loaded']];
  for (const count of PARTITIONS) {
    run.say(`${count} partitions`);
    const measured = await measureListing(run, { objects: OBJECTS, partitions: count });
    const { requests, wallMs, scanMs, writingMs } = measured;
    table.push([
      String(count),
      formatCount(requests.table),
      ...[wallMs, scanMs, writingMs].map(formatDuration),
    ]);
    figures.push(
      {
        name: `table requests per 1,000 objects, ${count} partitions`,
        value: (requests.table * 1000) / OBJECTS,
        unit: 'ratio',
      },
      { name: `wall of planning, ${count} partitions`, value: wallMs, unit: 'ms' },
      {
        name: `entities written to load the ledger, ${count} partitions`,
        value: (OBJECTS * 1000) / writingMs,
        unit: 'per second',
      },
    );
  }
  return {
    figures,
    table,
    notes: [
      `${formatCount(OBJECTS)} unchanged objects, planned as in the bench listing, each number of partitions with an Azurite of its own.`,
    ],
  };
}
