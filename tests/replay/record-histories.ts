/**
 * Records the histories of a run, a rerun and an undo on the local stack, for `histories.test.ts`. Do it for each release,
 * and keep the files of the releases from which an upgrade with runs in flight is promised.
 *
 *   npm run histories
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { jsonObjects, startStackUnderTest } from '../e2e/stack-under-test.ts';
import type { RecordedInstance } from './recorded-instance.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
const FILE = path.join(import.meta.dirname, 'histories', `${version}.jsonl`);

const running = await startStackUnderTest();
let instances: readonly RecordedInstance[] = [];
try {
  await running.createTable('Recorded');
  await running.upload([
    ...jsonObjects('recorded', 30),
    // It fails for good, so that there is something to rerun.
    { key: 'recorded/empty.json', body: Buffer.from('{"line": "cut off') },
  ]);
  await running.putLoad('recorded', {
    destination: { table: 'Recorded' },
    concurrency: { lanes: 2, objectsPerActivity: 10, maxInFlight: 20 },
  });
  const first = await running.run('recorded');
  const { body: rerun } = await running.app.request('POST', `/api/runs/${first.runId}/rerun`);
  if (rerun.runId !== undefined) await running.waitForEnd(rerun.runId);
  const { body: undo } = await running.app.request('POST', `/api/runs/${first.runId}/undo`);
  for (let state = ''; !['succeeded', 'failed'].includes(state); ) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    ({ state } = (await running.app.request('GET', `/api/operations/${undo.operationId}`)).body);
  }
} finally {
  await running.stop((folder) => {
    instances = read(path.join(folder, 'functions-host.sqlite'));
  });
}
writeFileSync(FILE, instances.map((instance) => `${JSON.stringify(instance)}\n`).join(''));
process.stdout.write(`${instances.length} instances in ${path.relative(ROOT, FILE)}\n`);

function read(file: string): readonly RecordedInstance[] {
  const database = new DatabaseSync(file, { readOnly: true });
  const rows = database
    .prepare('SELECT id, name, input, execution_id, status FROM instance ORDER BY name, id')
    .all();
  const turns = database.prepare(
    'SELECT events FROM history WHERE instance_id = ? AND execution_id = ? ORDER BY turn',
  );
  return rows.map((row) => ({
    name: String(row['name']),
    id: String(row['id']),
    status: String(row['status']),
    input: JSON.parse(String(row['input'])) as unknown,
    turns: turns
      .all(String(row['id']), String(row['execution_id']))
      .map(({ events }) => JSON.parse(`[${String(events)}]`) as RecordedInstance['turns'][number]),
  }));
}
