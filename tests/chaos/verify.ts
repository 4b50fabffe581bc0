import { createAzureState } from '../../shared/adapters/state/azure-state.ts';
import type { LedgerEntry } from '../../shared/domain/ledger-entry.ts';
import { LEDGER_PARTITIONS } from '../../shared/domain/ledger-key.ts';
import { OBJECT_STATES, type ObjectOutcome, type RunSummary } from '../../shared/domain/run-summary.ts';
import type { StackUnderTest } from '../e2e/stack-under-test.ts';
import { type ChaosBucket, LOAD } from './bucket.ts';

interface Evidence {
  readonly under: StackUnderTest;
  readonly bucket: ChaosBucket;
  /** Keys whose messages Kusto was told to ingest twice. */
  readonly doubled: ReadonlySet<string>;
  /** Keys whose status Kusto was told to keep to itself. */
  readonly silenced: ReadonlySet<string>;
  readonly table: string;
}

export interface Checked {
  readonly runs: number;
  readonly epochs: number;
  readonly rows: number;
  readonly flaggedDoubles: number;
  readonly reportedDoubles: number;
  readonly broken: string[];
}

interface EndedRun {
  readonly summary: RunSummary;
  readonly objects: readonly ObjectOutcome[];
}

/** Counts rows by themselves, and compares them with what the app says of each object, run and entry of its ledger. */
export async function checkPromises({ under, bucket, doubled, silenced, table }: Evidence): Promise<Checked> {
  const broken: string[] = [];
  const runs = await readRuns(under, broken);
  const ledger = await readLedger(under);
  const rows = await readRows(under, table);
  const outcomes = runs.flatMap(({ objects }) => objects);
  const changed = new Set(outcomes.filter(({ state }) => state === 'changed').map(({ key }) => key));
  const flagged = new Set([
    ...changed,
    ...outcomes.filter(({ repostedUnproven }) => repostedUnproven).map(({ key }) => key),
  ]);
  const ingested = new Set(
    outcomes.filter(({ state }) => state === 'ingested' || state === 'changed').map(({ key }) => key),
  );

  // What the app knows of a key, so that a broken promise can be followed without running the seed again.
  const storyOf = (key: string) =>
    JSON.stringify({
      writes: bucket.keys.get(key)?.writes,
      outcomes: runs.flatMap(({ summary, objects }) =>
        objects.filter((one) => one.key === key).map((one) => ({ run: summary.runId, ...one })),
      ),
      entry: ledger.get(key),
    });
  let flaggedDoubles = 0;
  for (const [row, count] of rows) {
    const key = row.slice(0, row.lastIndexOf('\n'));
    if (count === 1 || doubled.has(key)) continue;
    if (!flagged.has(key))
      broken.push(
        `The row ${JSON.stringify(row)} is there ${count} times, and nobody says so: ${storyOf(key)}`,
      );
    // A key of a bucket without versions that was rewritten: an earlier message may have loaded what stands there now.
    else if (!silenced.has(key) && !changed.has(key) && bucket.keys.get(key)?.writes.length === 1)
      broken.push(
        `The row ${JSON.stringify(row)} is there ${count} times, although Kusto reported its fate: ${storyOf(key)}`,
      );
    else flaggedDoubles += 1;
  }
  for (const [key, { writes, isDeleted }] of bucket.keys) {
    const entry = ledger.get(key);
    if (isDeleted) continue;
    if (entry === undefined) {
      broken.push(`The ledger does not know ${key}`);
      continue;
    }
    // The second message was lost as well: a third is a person's to ask for, and the run lists the object as unknown.
    if (entry.state === 'unknown' && entry.repostedUnproven) continue;
    if (entry.state !== 'ingested') broken.push(`${key} is left ${entry.state} (${entry.errorCode})`);
    else if (!ingested.has(key)) broken.push(`${key} is ingested by the ledger and by no outcome`);
    if (!rows.has(`${key}\n${writes.at(-1)}`)) broken.push(`The rows of ${key} are missing`);
  }
  checkVersions({ bucket, doubled, outcomes, ledger, rows, storyOf, broken });
  await checkEpochs(under, runs, broken);
  const reportedDoubles = await checkReported({ under, doubled, runs, rows, flagged, storyOf, broken });
  for (const { key, state } of ledger.values())
    if (state === 'intent' || state === 'queued') broken.push(`${key} has no final state: ${state}`);
  return {
    runs: runs.length,
    epochs: runs.reduce((sum, { summary }) => sum + summary.epochs, 0),
    rows: [...rows.values()].reduce((sum, count) => sum + count, 0),
    flaggedDoubles,
    reportedDoubles,
    broken,
  };
}

/**
 * What an outcome calls ingested has its rows, in the version that it names, and the ledger still says so, or goes on with a
 * later one; and the ledger names the version that the bucket holds.
 */
function checkVersions({
  bucket,
  doubled,
  outcomes,
  ledger,
  rows,
  storyOf,
  broken,
}: Pick<Evidence, 'bucket' | 'doubled'> & {
  readonly outcomes: readonly ObjectOutcome[];
  readonly ledger: ReadonlyMap<string, LedgerEntry>;
  readonly rows: ReadonlyMap<string, number>;
  readonly storyOf: (key: string) => string;
  readonly broken: string[];
}): void {
  const numberOf = (key: string, version: string | undefined) =>
    bucket.keys.get(key)?.changes.findIndex((one) => one !== 'deleted' && one.version === version) ?? -1;
  for (const { key, version, state, code } of outcomes) {
    if (state !== 'ingested') continue;
    const changes = bucket.keys.get(key)?.changes ?? [];
    const number = numberOf(key, version);
    const written = changes[number];
    if (written === undefined || written === 'deleted') {
      broken.push(`Nobody has written the version ${version} that is called ingested: ${storyOf(key)}`);
      continue;
    }
    // Two changes behind it may hide which version was read. Of two deliveries of a message, the one that is reported last may
    // not be the one that has failed. And an outcome may say itself that nobody could look.
    const isCertain = number >= changes.length - 2 && !doubled.has(key) && code !== 'versionUnproven';
    if (isCertain && !rows.has(`${key}\n${written.n}`))
      broken.push(`The version ${version} is called ingested, and its rows are missing: ${storyOf(key)}`);
    const entry = ledger.get(key);
    const later = numberOf(key, entry?.version);
    if (later < number || (later === number && entry?.state !== 'ingested'))
      broken.push(`An outcome calls ${version} ingested, and the ledger does not: ${storyOf(key)}`);
  }
  for (const [key, { changes }] of bucket.keys) {
    const last = changes.at(-1)!;
    const entry = ledger.get(key);
    if (last !== 'deleted' && entry?.state === 'ingested' && entry.version !== last.version)
      broken.push(`The ledger names another version than the bucket holds: ${storyOf(key)}`);
  }
}

/** Nothing that an old epoch has decided about a run was written once a newer one had begun. */
async function checkEpochs(
  { stack }: StackUnderTest,
  runs: readonly EndedRun[],
  broken: string[],
): Promise<void> {
  const state = stateOf(stack);
  for (const { summary } of runs) {
    const view = await state.runs.readRun(summary.runId);
    if (view === null) continue;
    const { epoch, epochAt } = view.run.value;
    for (const { value } of view.parts)
      if (value.epoch < epoch && value.heartbeatAt > epochAt)
        broken.push(
          `${value.part} of epoch ${value.epoch} of ${summary.runId} has written at ${value.heartbeatAt}, when epoch ${epoch} had begun (${epochAt})`,
        );
  }
}

/**
 * What is wrong about two results of one activity that the host ran twice at the same time; `null`: nothing. A turn that
 * holds a shard gives the same shard whenever it is asked.
 *
 * @param line - of the host's log.
 */
export function differenceOfTwins(line: string): string | null {
  const [, activity, one, other] =
    /Activity '(takeShard|takePosted)' of \S+, run twice, gave (\{.*\}) and (\{.*\})$/.exec(line) ?? [];
  if (activity === undefined) return null;
  const given = [one!, other!].map((text) => JSON.parse(text) as { kind: string; shard?: string });
  return given.every(({ shard }) => shard !== undefined)
    ? `Two executions of one ${activity} gave ${one} and ${other}`
    : null;
}

/**
 * What Kusto has doubled is told by the run that loaded it, or by that which had the message fail, wherever they know what
 * they have loaded; or the object is flagged, as one that was posted again or rewritten. And no run says that rows are
 * missing or too many when that is not so.
 */
async function checkReported({
  under,
  doubled,
  runs,
  rows,
  flagged,
  storyOf,
  broken,
}: Pick<Evidence, 'under' | 'doubled'> & {
  readonly runs: readonly EndedRun[];
  readonly rows: ReadonlyMap<string, number>;
  readonly flagged: ReadonlySet<string>;
  readonly storyOf: (key: string) => string;
  readonly broken: string[];
}): Promise<number> {
  const twice = new Map<string, number>();
  for (const [row, count] of rows) {
    const key = row.slice(0, row.lastIndexOf('\n'));
    if (count > 1) twice.set(key, (twice.get(key) ?? 0) + 1);
  }
  const counted: (EndedRun & { readonly body: RunSummary['rows']; readonly found: ReadonlySet<string> })[] =
    [];
  for (const run of runs) {
    // As they are now: a second copy may have come after the run had ended.
    const { body } = await under.app.request('GET', `/api/runs/${run.summary.runId}/rows`);
    const rowCount = body as RunSummary['rows'];
    const found = new Set(rowCount.byObject?.differences.map(({ key }) => key));
    counted.push({ ...run, body: rowCount, found });
  }
  let reported = 0;
  for (const { summary, objects, body, found } of counted) {
    const { agrees, byObject } = body;
    const isComplete = byObject != null && byObject.differing === found.size;
    const loaded = objects.filter(
      ({ state, earlierTag }) => state === 'ingested' && earlierTag === undefined,
    );
    for (const { key, rows: held } of loaded) {
      // Of a key that was loaded in several versions it is not known here which of them came twice.
      if (!doubled.has(key) || !twice.has(key) || loadsOf(runs, key) > 1 || held == null) continue;
      // One of two deliveries of a message may be reported as failed, and this run then have brought the rows again.
      const failedBefore = counted.some(
        (other) =>
          other.found.has(key) && other.objects.some((one) => one.key === key && one.state === 'failed'),
      );
      if (found.has(key) || failedBefore) reported += 1;
      else if (isComplete && !flagged.has(key))
        broken.push(`${key} is there twice, and ${summary.runId} does not find it: ${storyOf(key)}`);
    }
    const mayDiffer = new Set(
      objects
        .filter((one) => one.repostedUnproven || (one.state === 'failed' && doubled.has(one.key)))
        .map(({ key }) => key),
    );
    for (const key of found)
      if (!twice.has(key) && !mayDiffer.has(key))
        broken.push(`${summary.runId} says that the rows of ${key} differ, and they do not: ${storyOf(key)}`);
    const mayDisagree = objects.some(({ key }) => twice.has(key) || mayDiffer.has(key));
    if (agrees === false && !mayDisagree)
      broken.push(`${summary.runId} finds ${JSON.stringify(body)}, and nothing is there twice`);
  }
  return reported;
}

function loadsOf(runs: readonly EndedRun[], ofKey: string): number {
  return runs.reduce(
    (sum, { objects }) =>
      sum + objects.filter(({ key, state }) => key === ofKey && state === 'ingested').length,
    0,
  );
}

async function readRuns({ app }: StackUnderTest, broken: string[]): Promise<readonly EndedRun[]> {
  const runs: EndedRun[] = [];
  for (let after = ''; ; ) {
    const { body } = await app.request('GET', `/api/runs?load=${LOAD}&limit=100${after}`);
    for (const { runId } of body.runs as { runId: string }[]) {
      const { summary } = await app.readRun(runId);
      if (summary === null) {
        broken.push(`The run ${runId} has not ended`);
        continue;
      }
      const objects = await readOutcomes(app, runId);
      runs.push({ summary, objects });
      for (const state of OBJECT_STATES) {
        const listed = objects.filter((object) => object.state === state).length;
        if (listed !== summary.objects[state])
          broken.push(`${runId} counts ${summary.objects[state]} ${state}, and lists ${listed}`);
      }
      if (new Set(objects.map(({ key }) => key)).size !== objects.length)
        broken.push(`${runId} lists an object twice`);
    }
    if (body.next === null) return runs;
    after = `&after=${encodeURIComponent(body.next)}`;
  }
}

async function readOutcomes(app: StackUnderTest['app'], runId: string): Promise<readonly ObjectOutcome[]> {
  const objects: ObjectOutcome[] = [];
  for (let after = ''; ; ) {
    const { body } = await app.request('GET', `/api/runs/${runId}/objects?limit=1000${after}`);
    objects.push(...body.objects);
    if (body.next === null) return objects;
    after = `&after=${encodeURIComponent(body.next)}`;
  }
}

/** The app's state, read past the app. */
function stateOf({ storage }: StackUnderTest['stack']) {
  const { connectionString } = storage;
  return createAzureState({ storage: { connectionString }, namePrefix: 's3adx' });
}

async function readLedger({ stack }: StackUnderTest): Promise<ReadonlyMap<string, LedgerEntry>> {
  const { ledger } = stateOf(stack);
  const entries = new Map<string, LedgerEntry>();
  for (let partition = 0; partition < LEDGER_PARTITIONS; partition += 1) {
    for (let after: string | null = null; ; ) {
      const page = await ledger.readPartition({ load: LOAD, generation: 1 }, partition, after);
      for (const { value } of page.entries) entries.set(value.key, value);
      if (page.next === null) break;
      after = page.next;
    }
  }
  return entries;
}

/** Rows by key and number of the write. */
async function readRows({ kusto }: StackUnderTest, table: string): Promise<ReadonlyMap<string, number>> {
  const counted = await kusto.query(`${table} | summarize rows = count() by line, n`);
  return new Map(counted.map(({ line, n, rows }) => [`${String(line)}\n${String(n)}`, Number(rows)]));
}
