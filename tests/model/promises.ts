import { isUnsettled, type LedgerEntry } from '../../shared/domain/ledger-entry.ts';
import { OBJECT_STATES } from '../../shared/domain/run-summary.ts';
import { versionIdOf } from '../../shared/domain/s3-object.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { listObjects } from '../../shared/usecases/read-run.ts';
import { readSummary } from '../../shared/usecases/run-documents.ts';
import { wrongTransition } from '../fakes/checked-ledger.ts';
import { Violation } from './explore.ts';
import type { Message, World } from './world.ts';

function broken(promise: string, what: unknown): never {
  throw new Violation(`${promise}: ${JSON.stringify(what)}`);
}

/** The loader, with every write of the ledger held to the table of transitions, whoever makes it. */
export function watchLedger(
  loader: Loader,
  isReplay: () => boolean,
  report: (violation: Violation) => void,
): Loader {
  return {
    ...loader,
    ledger: {
      ...loader.ledger,
      write: async (name, writes) => {
        if (isReplay()) return loader.ledger.write(name, writes);
        const keys = writes.map(({ entry }) => entry.key);
        const before = await loader.ledger.readKeys(name, keys);
        const etags = await loader.ledger.write(name, writes);
        const after = await loader.ledger.readKeys(name, keys);
        try {
          for (const key of keys) checkTransition(before.get(key)?.value, after.get(key)?.value);
        } catch (violation) {
          report(violation as Violation);
        }
        return etags;
      },
    },
  };
}

/** Whatever has been done so far. @throws {Violation} */
export async function checkMessages(world: World): Promise<void> {
  const ledger = await world.ledger();
  const live = world.messages.filter((message) => world.isLive(message));
  for (const message of live) checkLive(message, live, ledger.get(message.key));
  const ids = world.messages.map(({ sourceId }) => sourceId);
  if (new Set(ids).size !== ids.length) broken('No two messages have one source id', world.messages);
}

function checkTransition(from: LedgerEntry | undefined, to: LedgerEntry | undefined): void {
  if (to === undefined) {
    if (from !== undefined) broken('No ledger entry is lost', from);
    return;
  }
  const wrong = wrongTransition(from ?? null, to);
  if (wrong !== null) broken(wrong, { from, to });
  if (from?.state === 'ingested' && to.state === 'ingested' && versionIdOf(from.version) !== null)
    broken('What ADX has ingested by its version id is never in doubt', { from, to });
}

function checkLive(message: Message, live: readonly Message[], entry: LedgerEntry | undefined): void {
  const twins = live.filter(({ key, version }) => key === message.key && version === message.version);
  if (twins.length > 1) broken('An object version has one live message at most', twins);
  if (entry?.sourceId !== message.sourceId)
    broken('Every live message is named by the ledger', { message, entry });
  // A late success of the first message settles an object whose second one, posted without proof, may still be alive.
  const isUnproven = entry.state === 'ingested' && entry.repostedUnproven;
  if (!isUnsettled(entry.state) && !isUnproven)
    broken('The ledger calls no object settled whose message is live', { message, entry });
}

/** What must hold whenever nothing is under way any more. */
export async function checkAccounts({ loader, messages }: World): Promise<void> {
  const { runs } = await loader.runs.listRuns({ load: 'flights', limit: 100 });
  if ((await loader.loads.readLock('flights')) !== null) broken('The lock of an ended run is free', runs);
  const ingested = new Map<string, number>();
  /** Keys and messages of which a run has said that nobody knows what they have loaded. */
  const unclear = new Set<string>();
  const loaded = new Set(messages.map(({ key, loadedVersion }) => `${key} ${loadedVersion}`));
  const taken = new Set(messages.filter(isNotDetected).map(({ key, version }) => `${key} ${version}`));
  for (const { runId, finalState } of runs) {
    const summary = await readSummary(loader, runId);
    if (summary === null || finalState === null)
      return broken('Every run ends with a summary', { runId, finalState });
    if (finalState === 'failed' || summary.problem !== null)
      broken('No run fails of a crash or a twin', { runId, problem: summary.problem });
    const { objects } = await listObjects(loader, runId, { state: null, limit: 1000, after: null });
    for (const state of OBJECT_STATES) {
      const listed = objects.filter((object) => object.state === state).length;
      if (listed !== summary.objects[state])
        broken('A summary counts what the outcomes say', { runId, objects, counted: summary.objects });
    }
    if (new Set(objects.map(({ key }) => key)).size !== objects.length)
      broken('A run has one outcome per object', { runId, objects });
    for (const { state, key, version, code, sourceId, repostedUnproven } of objects) {
      const id = `${key} ${version}`;
      if (state === 'ingested') ingested.set(id, (ingested.get(id) ?? 0) + 1);
      if (state === 'changed' || code === 'goneUnreported') unclear.add(key);
      if (repostedUnproven && sourceId !== null) unclear.add(sourceId);
    }
  }
  for (const [id, count] of ingested)
    if (count > 1) broken('An object version is counted as ingested once', { id, count });
  for (const id of ingested.keys())
    if (!loaded.has(id) && !taken.has(id)) broken('What is counted as ingested was loaded', { id, messages });
  for (const message of messages) {
    const { key, sourceId, loadedVersion, report } = message;
    const isTold =
      ingested.has(`${key} ${loadedVersion}`) ||
      unclear.has(key) ||
      unclear.has(sourceId) ||
      isNotDetected(message);
    if (loadedVersion !== null && report === 'Succeeded' && !isTold)
      broken('What ADX reported as ingested is counted', message);
  }
}

/** By how much the product lets the clocks of S3 and Azure differ. */
const CLOCK_DIFFERENCE_MS = 10_000;

/**
 * The key was rewritten before ADX read it, and once more, or deleted, after ADX's report and before the run looked: what it
 * holds then says nothing of what it held before.
 */
function isNotDetected({ version, loadedVersion, reportedAt, keyWrittenAt }: Message): boolean {
  if (loadedVersion === version || keyWrittenAt === undefined) return false;
  return keyWrittenAt === null || keyWrittenAt > reportedAt + CLOCK_DIFFERENCE_MS;
}

/** Objects whose rows are there twice are named as possibly so; no object is lost; no fate is left open. */
export async function checkObjects(
  world: World,
  { isReported }: { readonly isReported: boolean },
): Promise<void> {
  const ledger = await world.ledger();
  const { objects } = await world.loader
    .source({} as never)
    .then((source) => source.listPage({ prefix: '', startAfter: null }));
  for (const { key, version } of objects) {
    const entry = ledger.get(key);
    if (entry === undefined) return broken('No object is lost', key);
    const mine = world.messages.filter((message) => message.key === key);
    const loaded = mine.filter(({ loadedVersion }) => loadedVersion === version).length;
    if (loaded > 1 && !entry.repostedUnproven)
      broken('Rows are there once, or the object is named as unproven', { entry, mine });
    if (entry.state === 'intent' || entry.state === 'queued')
      broken('Every object ends in a known state', entry);
    // Behind the fence one more message was posted, and that one is lost: a third is a person's to ask for.
    if (entry.state === 'unknown' && isReported && !entry.repostedUnproven)
      broken('What ADX reports is known', { entry, mine });
    if (entry.state === 'ingested' && (loaded === 0 || entry.version !== version))
      broken('What is called ingested is in the table', { entry, mine });
  }
}
