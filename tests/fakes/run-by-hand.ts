import type { RunRef } from '../../shared/contracts/durable.ts';
import { finishRun } from '../../shared/usecases/finish-run.ts';
import { ingestUnit } from '../../shared/usecases/ingest-unit.ts';
import { planPage } from '../../shared/usecases/plan-page.ts';
import { settleShard } from '../../shared/usecases/settle-shard.ts';
import { takePosted } from '../../shared/usecases/take-posted.ts';
import { takeShard } from '../../shared/usecases/take-shard.ts';
import type { TestLoader } from './test-loader.ts';

const MOST_TURNS = 60;

/** Plans a run of one page and one lane to its end, and takes its first shard. */
export async function takeFirstShard({ loader }: Pick<TestLoader, 'loader'>, ref: RunRef) {
  for (let page = 0; (await planPage(loader, { ...ref, page, attempt: 0 })).kind !== 'stop'; page += 1);
  const taken = await takeShard(loader, { ...ref, lane: 0, turn: 0, finished: null });
  if (taken.kind !== 'shard') throw new Error('There is no shard');
  return { ...ref, shard: taken.shard, unit: 0 };
}

/** Posts the shard's only unit and hands the shard to the settlers; the lane ends. */
export async function postShard({ loader }: TestLoader, work: RunRef & { shard: string; unit: number }) {
  const { shard, unit, ...ref } = work;
  await ingestUnit(loader, { ...ref, shard, unit });
  await takeShard(loader, { ...ref, lane: 0, turn: 1, finished: { shard, ok: true, code: null } });
}

/** Settles what is due until all is settled, works through retry shards, and finishes the run. */
export async function settleAndFinish(
  { loader, clock }: TestLoader,
  ref: RunRef,
  {
    settle = settleShard,
    whenIdle = () => undefined,
  }: { settle?: typeof settleShard; whenIdle?: () => void },
) {
  let finished = null;
  for (let turn = 0; turn < MOST_TURNS; turn += 1) {
    const answer = await takePosted(loader, { ...ref, settler: 0, turn, finished });
    finished = null;
    if (answer.kind === 'stop') break;
    if (answer.kind === 'wait') {
      whenIdle();
      clock.advance(answer.waitMs);
    } else if (answer.kind === 'settle') await settle(loader, { ...ref, settler: 0, shard: answer.shard });
    else {
      await ingestUnit(loader, { ...ref, shard: answer.shard, unit: 0 });
      finished = { shard: answer.shard, ok: true, code: null };
    }
  }
  return finishRun(loader, ref);
}
