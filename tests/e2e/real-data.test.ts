import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { BUCKET, type DataSet, readDataSets } from '../../dev/data/seed.ts';
import { TABLE_COMMANDS } from '../../dev/data/tables.ts';
import { PROJECT_FOLDER } from '../../dev/stack.ts';
import { upload } from '../../dev/upload.ts';
import type { RunStatus } from '../../shared/usecases/read-run.ts';
import { type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

let under: StackUnderTest;
let dataSets: readonly DataSet[];
let firstRuns: readonly RunStatus[];

beforeAll(async () => {
  under = await startStackUnderTest({
    settings: { LOADER_LOADS_FOLDER: `${PROJECT_FOLDER}/dev/data/loads` },
  });
  dataSets = await readDataSets();
  for (const command of TABLE_COMMANDS) await under.kusto.command(command);
  under.stack.s3.createBucket(BUCKET);
  for (const { objects } of dataSets) await upload(under.stack.s3, BUCKET, objects);
  firstRuns = await Promise.all(dataSets.map(({ load }) => under.run(load)));
}, 300_000);

afterAll(() => under.stop());

describe('real data', () => {
  test('every object of every data set is ingested, and the rows are those of the files', async () => {
    for (const [index, { table, objects, rows }] of dataSets.entries()) {
      const summary = firstRuns[index]!.summary!;
      expect(summary).toMatchObject({
        state: 'completed',
        objects: { ingested: objects.length, failed: 0, unknown: 0 },
      });
      expect(summary.rows).toMatchObject({ tagged: rows, tagIsThisRunOnly: true });
      expect(await under.kusto.countRows(table)).toBe(rows);
    }
  });

  test('cells arrive as the files hold them', async () => {
    const [first] = await under.kusto.query(
      `Flights | where ['date'] == '2001/01/01 00:47' and origin == 'DTW' | project delay, distance, destination`,
    );
    expect(first).toEqual({ delay: 66, distance: 1750, destination: 'LAS' });
    const [zip] = await under.kusto.query(
      `Zipcodes | where zip_code == '00501' | project latitude, city, county`,
    );
    expect(zip).toEqual({ latitude: 40.922326, city: 'Holtsville', county: 'Suffolk' });
    const [strike] = await under.kusto.query(
      `Birdstrikes | summarize rows = count(), cost = sum(['Cost Total $'])`,
    );
    expect(strike).toEqual({ rows: 10_000, cost: 40_545_276 });
  });

  test('a second run ingests nothing and says so', async () => {
    const { summary } = await under.run('flights');
    const { length } = dataSets[0]!.objects;
    expect(summary).toMatchObject({
      state: 'completed',
      objects: { ingested: 0 },
      plan: { listed: length, selected: 0, skipped: { unchanged: length } },
    });
    expect(summary!.rows).toMatchObject({ tagged: 0, expected: 0, agrees: true });
  });

  test('a new object and a changed one are picked up, and only these', async () => {
    const line = `${JSON.stringify({ date: '2001/04/01 00:00', delay: 1, distance: 2, origin: 'AAA', destination: 'BBB' })}\n`;
    const changed = dataSets[0]!.objects.find(({ key }) => key.endsWith('.jsonl'))!;
    await upload(under.stack.s3, BUCKET, [
      { key: 'flights/date=2001-04-01/hour=00/new.jsonl', body: Buffer.from(line) },
      { key: changed.key, body: Buffer.from(line.repeat(3)) },
    ]);
    const { summary } = await under.run('flights');
    expect(summary).toMatchObject({ state: 'completed', objects: { ingested: 2 }, plan: { selected: 2 } });
    expect(await under.kusto.countRows(`Flights | where origin == 'AAA'`)).toBe(4);
  });
});
