import type { Loader } from './loader.ts';
import { type RunSnapshot, readSnapshot } from './run-documents.ts';

/** Runs of one page of the index that are looked at when the tag is shared. */
const RUNS_PER_PAGE = 100;
/** No window is longer. */
const LONGEST_WINDOW_MS = 24 * 3_600_000;

export interface RunOfUnit {
  readonly runId: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/** The runs whose rows carry the tag. */
export async function runsOfUnit(
  loader: Loader,
  { request, tag, tagWindow }: Pick<RunSnapshot, 'request' | 'tag' | 'tagWindow'>,
): Promise<readonly RunOfUnit[]> {
  if (tagWindow === 'run') return [request];
  const found: RunOfUnit[] = [];
  const earliest = Date.parse(request.createdAt) - LONGEST_WINDOW_MS;
  const createdUntil = new Date(Date.parse(request.createdAt) + LONGEST_WINDOW_MS);
  let after: string | null = null;
  for (;;) {
    const page: Awaited<ReturnType<Loader['runs']['listRuns']>> = await loader.runs.listRuns({
      load: request.load,
      limit: RUNS_PER_PAGE,
      after,
      createdUntil,
    });
    for (const { runId, createdAt } of page.runs) {
      if (Date.parse(createdAt) < earliest) return found;
      if ((await readSnapshot(loader, runId)).tag === tag) found.push({ runId, createdAt });
    }
    if (page.next === null) return found;
    after = page.next;
  }
}
