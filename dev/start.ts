import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { formatBytes, formatCount, formatDuration, formatTable } from '../cli/format.ts';
import { summaryText } from '../cli/summary-text.ts';
import type { RunStatus } from '../shared/usecases/read-run.ts';
import { createAppClient } from './app-client.ts';
import { startCoreTools } from './core-tools.ts';
import { BUCKET, type DataSet, readDataSets } from './data/seed.ts';
import { TABLE_COMMANDS } from './data/tables.ts';
import { createKustoClient, type KustoClient } from './kusto-client.ts';
import { ProgressDisplay } from './progress.ts';
import { type Stack, startStack } from './stack.ts';
import { upload } from './upload.ts';

const HELP = `Starts the local stack, loads real data from S3 into Azure Data Explorer through the app, and stays up.

usage: npm start [-- options]

  --once         stop after the loads; exit code 0 if every object was ingested and the counts agree
  --host NAME    local (default): the project's own functions host; func: Azure Functions Core Tools
  --verbose      show the log of the functions host
  --help         this text`;

const POLL_MS = 500;

const { values: options } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    host: { type: 'string', default: 'local' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** Resolves with the exit code when the user wants to stop. Every signal after the first changes nothing. */
const interrupted = new Promise<number>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(130));
  // Started by npm or a shell that is gone: nobody is left who could stop it.
  process.on('disconnect', () => resolve(130));
});

if (options.help) {
  console.log(HELP);
  process.exit(0);
}
if (options.host !== 'local' && options.host !== 'func') {
  console.error(`--host ${options.host} is not known: it is local or func.`);
  process.exit(2);
}

const folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-'));
let starting = null as Promise<Stack> | null;
let code = 1;
try {
  const work = main();
  // Awaited only if it wins the race; what it throws after an interruption is of no interest.
  work.catch(() => {});
  code = await Promise.race([work, interrupted]);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  // Also what is still starting is waited for and stopped.
  const stack = await starting?.catch(() => null);
  if (stack != null) console.log('\nStopping...');
  await stack?.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(code);

async function main(): Promise<number> {
  console.log('Starting the local stack...');
  const loadsFolder = path.join(import.meta.dirname, 'data', 'loads');
  starting = startStack({
    folder,
    buckets: [BUCKET],
    settings: { LOADER_LOADS_FOLDER: loadsFolder },
    host: { onLog: (line) => (options.verbose ? console.error(line) : undefined) },
    ...(options.host === 'func'
      ? { startHost: startCoreTools, storageAccess: 'connectionString' as const }
      : {}),
    onPart: ({ name, settings }) =>
      console.log(
        `  ${name.padEnd(8)} ${Object.values(settings)
          .filter((value) => String(value).startsWith('http'))
          .join('  ')}`,
      ),
  });
  const stack = await starting;
  const { s3, kusto, host } = stack;
  const client = createAppClient(host);
  const tables = await createKustoClient(kusto.settings);

  const dataSets = await readDataSets();
  const objects = dataSets.flatMap((set) => set.objects);
  console.log(
    `Seeding the bucket "${BUCKET}" with ${formatCount(objects.length)} objects, ${formatBytes(objects.reduce((sum, { body }) => sum + body.length, 0))}...`,
  );
  for (const command of TABLE_COMMANDS) await tables.command(command);
  await upload(s3, BUCKET, objects);

  console.log(
    'Running the loads through the app. Azure Data Explorer ingests in batches: here every 10 s, in Azure every 5 minutes by default.',
  );
  const runIds: string[] = [];
  for (const { load } of dataSets) runIds.push(await client.startRun(load));
  const runs = await watch(client.readRun, runIds);

  console.log('');
  for (const { summary } of runs) if (summary !== null) console.log(`${summaryText(summary)}\n`);
  const agrees = await compareCounts(tables, dataSets);
  const complete = runs.every(
    ({ summary }, index) =>
      summary?.state === 'completed' && summary.objects.ingested === dataSets[index]!.objects.length,
  );
  console.log(
    complete && agrees
      ? 'Every object was ingested, and the counts agree.'
      : 'Not every object was ingested, or the counts differ.',
  );
  tables.close();
  if (options.once) return complete && agrees ? 0 : 1;
  printNextSteps(stack);
  return interrupted;
}

async function watch(
  readRun: (runId: string) => Promise<RunStatus>,
  runIds: readonly string[],
): Promise<readonly RunStatus[]> {
  const display = new ProgressDisplay(process.stdout);
  for (;;) {
    const statuses = await Promise.all(runIds.map(readRun));
    display.show(statuses);
    if (statuses.every(({ summary }) => summary !== null)) return statuses;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Rows in ADX beside the rows that the files hold, counted without the loader. */
async function compareCounts(tables: KustoClient, dataSets: readonly DataSet[]): Promise<boolean> {
  const startedAt = performance.now();
  const counts: number[] = [];
  for (const { table } of dataSets) counts.push(await tables.countRows(table));
  const rows = dataSets.map(({ table, rows: held }, index) => [
    `${table} | count`,
    formatCount(counts[index]!),
    formatCount(held),
    counts[index] === held ? 'agrees' : 'DIFFERS',
  ]);
  console.log(formatTable([['query', 'rows in ADX', 'rows in the files', ''], ...rows]));
  console.log(`(counted in ${formatDuration(performance.now() - startedAt)})\n`);
  return dataSets.every(({ rows: held }, index) => counts[index] === held);
}

function printNextSteps({ host, s3, kusto }: Stack): void {
  const api = `${host.url}/api`;
  const key = `-H 'x-functions-key: ${host.functionKey}'`;
  const { endpoint, accessKeyId, secretAccessKey } = s3.settings;
  const aws = `AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${secretAccessKey} aws --endpoint-url ${endpoint}`;
  console.log(`
The stack is up until you press Ctrl-C. To try next:

  all loads          curl ${key} ${api}/loads
  load again         curl -X POST ${key} ${api}/loads/flights/runs        (nothing is ingested twice)
  all runs           curl ${key} '${api}/runs?limit=10'
  fate of objects    curl ${key} '${api}/runs/<run id>/objects?limit=5'
  a new object       ${aws} s3 cp some.jsonl s3://${BUCKET}/flights/date=2001-04-01/hour=00/
  query              curl ${kusto.settings.endpoint}/v2/rest/query -H 'content-type: application/json' \\
                       -H 'authorization: Bearer ${kusto.settings.token}' \\
                       -d '{"db":"${kusto.settings.database}","csl":"Flights | summarize count() by origin | top 5 by count_"}'
`);
}
