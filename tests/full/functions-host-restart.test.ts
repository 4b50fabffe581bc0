import { expect, it } from 'vitest';
import { killAgainAndAgain, runToTheEnd } from '../dev/functions-host/kill-points.ts';

/** More commits than the orchestration has; the test sees to it that this stays so. */
const commits = 80;

it('loses nothing when it is killed at any one of its commits, before or after', async () => {
  let reached = 0;
  for (let commit = 1; commit <= commits; commit += 1) {
    const moment = commit % 2 === 0 ? 'before' : 'after';
    let isFirst = true;
    const deaths = await runToTheEnd(() => {
      if (!isFirst) return null;
      isFirst = false;
      return `${moment}:${commit}`;
    });
    // The orchestration ended before it came to this commit.
    if (deaths === 0) break;
    reached = commit;
  }
  expect(reached).toBeGreaterThan(10);
  expect(reached).toBeLessThan(commits);
}, 400_000);

it.each([3, 4])('loses nothing however often it is killed (seed %i)', killAgainAndAgain, 180_000);
