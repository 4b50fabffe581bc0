import { afterEach, beforeEach, expect, vi } from 'vitest';
import { explore } from './explore.ts';
import { beginExecution, type Scenario } from './stage.ts';

/** For the tests of a file that explores: a pause is no step, for what others do meanwhile, they do before the next call too. */
export function withoutPauses(): void {
  beforeEach(() => {
    vi.stubGlobal('setTimeout', (work: () => void) => queueMicrotask(work));
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
}

const LEAST_SCHEDULES = 1001;

/** Explores a scenario to its end; fewer schedules than `least` mean that the scenario does not do what it says. */
export async function expectNoViolation(scenario: Scenario, least = LEAST_SCHEDULES): Promise<void> {
  const recovered = new Set<string>();
  const found = await explore(() => beginExecution(scenario, recovered));
  expect(found.violation).toBeNull();
  const { schedules, states, ends, executions } = found;
  console.log(
    `${schedules} schedules, ${states} states, ${ends} ends, ${recovered.size} recoveries, ${executions} executions`,
  );
  expect(found.schedules).toBeGreaterThanOrEqual(least);
  expect(recovered.size).toBeGreaterThan(0);
}
