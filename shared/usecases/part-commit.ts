import { aroundMs } from '../domain/jitter.ts';
import {
  type PartProgress,
  type PartRow,
  partOf,
  type RunRow,
  type RunView,
  type Stored,
} from '../domain/run-record.ts';
import { EMPTY_DIGEST, EMPTY_PLAN } from '../domain/run-summary.ts';
import { LoaderError } from '../errors/loader-error.ts';
import type { RunWrite } from '../ports/run-store.ts';
import type { Loader } from './loader.ts';

const NO_PROGRESS: PartProgress = { plan: EMPTY_PLAN, digest: EMPTY_DIGEST };

/** Twice as many lost races as there can be parts: more means that something else is wrong. */
const COMMIT_ATTEMPTS = 100;

export interface PartTurn {
  readonly view: RunView;
  /** The row of the part; made for its first turn. */
  readonly me: PartRow;
  /** ETag of the stored row, `null` before its first commit. */
  readonly etag: string | null;
}

/** What a part's turn comes to: an answer, with the writes that make it true. */
export interface PartDecision<Answer> {
  readonly answer: Answer;
  /** Changes of the part's own row; `null` when nothing is written at all. */
  readonly me: Partial<PartRow> | null;
  readonly writes?: readonly RunWrite[];
}

/**
 * Lets a part of a run decide on a consistent view and writes its decision in one transaction, together with the
 * part's own row. When anybody else wrote one of these rows in between, the part decides again on a fresh view.
 *
 * A takeover rewrites the rows of the old epoch's parts, and the end of a run those of all, so a decision from before
 * can't be written any more.
 *
 * @returns `null` when the run has ended, is unknown, or belongs to a newer epoch: the part has nothing left to do.
 */
export async function decideAsPart<Answer>(
  loader: Loader,
  { runId, epoch, part }: { readonly runId: string; readonly epoch: number; readonly part: string },
  decide: (turn: PartTurn) => PartDecision<Answer> | Promise<PartDecision<Answer>>,
): Promise<Answer | null> {
  for (let attempt = 0; attempt < COMMIT_ATTEMPTS; attempt += 1) {
    const view = await loader.runs.readRun(runId);
    if (view === null || isOver(view.run.value) || view.run.value.epoch !== epoch) return null;
    const stored = partOf(view, part);
    const now = loader.now().toISOString();
    const me = stored?.value ?? newPart(part, epoch, now);
    const decision = await decide({ view, me, etag: stored?.etag ?? null });
    if (decision.me === null) return decision.answer;
    const row: PartRow = { ...me, ...decision.me, heartbeatAt: now };
    const writes: RunWrite[] = [{ value: row, etag: stored?.etag ?? null }, ...(decision.writes ?? [])];
    // A part that has no row yet is not among those that a takeover rewrites: the row of the run stands for it.
    if (stored === null) writes.push(change(view.run, {}));
    if (await loader.runs.commit(runId, writes)) return decision.answer;
  }
  throw new LoaderError(
    'stateUnavailable',
    `The ${part} of run ${runId} lost ${COMMIT_ATTEMPTS} races for its rows`,
  );
}

/** The run has ended, or is just being accounted for. */
export function isOver({ finalState, closingAt }: RunRow): boolean {
  return finalState !== null || closingAt != null;
}

/** @throws {LoaderError} `runEnded` when the run takes no more orders. */
export function expectNotOver({ runId, finalState, closingAt }: RunRow): void {
  if (finalState !== null)
    throw new LoaderError('runEnded', `The run "${runId}" has ended: ${finalState}`, {
      facts: { state: finalState },
    });
  if (closingAt != null) throw new LoaderError('runEnded', `The run "${runId}" is just ending`);
}

export function newPart(part: string, epoch: number, now: string): PartRow {
  return {
    row: 'part',
    part,
    epoch,
    turn: 0,
    holds: null,
    heartbeatAt: now,
    endedAt: null,
    problem: null,
    cursor: null,
    progress: NO_PROGRESS,
  };
}

/** A write that changes a stored row under its ETag. */
export function change<Row extends RunWrite['value']>(stored: Stored<Row>, changes: Partial<Row>): RunWrite {
  return { value: { ...stored.value, ...changes }, etag: stored.etag };
}

/** Pause of a part of a suspended run: how long after it was resumed it goes on at the latest. */
export const SUSPENDED_PAUSE_MS = 10_000;

/** A pause before something is tried again that others may have failed at, too; by chance, so only for activities. */
export function retryPauseMs(loader: Loader, meanMs: number): number {
  return pauseMs(loader, aroundMs(meanMs, loader.random()));
}

/** A short pause of an idle part, divided by the time scale of tests. */
export function pauseMs(loader: Loader, ms: number): number {
  return Math.max(20, Math.min(Math.round(ms / loader.timeScale), loader.timing.longestTimerMs));
}
