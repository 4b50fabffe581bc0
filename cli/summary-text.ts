import type { RunSummary } from '../shared/domain/run-summary.ts';
import { formatBytes, formatCount, formatDuration } from './format.ts';

/** A run summary for a terminal: what was found, what became of it, and what to do about what went wrong. */
export function summaryText(summary: RunSummary): string {
  const { plan, objects, rows, throughput } = summary;
  const lines = [
    `${summary.load}: ${summary.state} in ${formatDuration(summary.durationMs)} (${summary.runId})`,
    `  listed     ${formatCount(plan.listed)} objects, ${formatBytes(plan.listedBytes)}${skippedText(summary)}`,
    `  ingested   ${formatCount(objects.ingested)} objects, ${formatBytes(summary.bytesIngested)} (${throughput.objectsPerSecond}/s, ${formatBytes(throughput.bytesPerSecond)}/s)`,
  ];
  const others = (['failed', 'unknown', 'deferred', 'notStarted'] as const).filter(
    (state) => objects[state] > 0,
  );
  for (const state of others) lines.push(`  ${state.padEnd(10)} ${formatCount(objects[state])} objects`);
  for (const [code, failure] of Object.entries(summary.failures)) {
    lines.push(`  ${code}: ${formatCount(failure.count)}`);
    for (const { key, message } of failure.examples) lines.push(`    ${key}: ${message}`);
  }
  if (summary.problem !== null)
    lines.push(`  ${summary.problem.code}: ${summary.problem.message}`, `    ${summary.problem.remedy}`);
  const slowest = summary.slowest[0];
  if (slowest !== undefined)
    lines.push(`  slowest    ${slowest.key}: ${formatDuration(slowest.durationMs)} from post to report`);
  lines.push(`  rows       ${rowsText(rows)}`);
  if (summary.unsettledUntil !== null)
    lines.push(
      `  open       the fate of some objects is open; a later run settles them, at the latest after ${summary.unsettledUntil}`,
    );
  return lines.join('\n');
}

function skippedText({ plan }: RunSummary): string {
  const reasons = Object.entries(plan.skipped).map(([reason, count]) => `${reason} ${formatCount(count)}`);
  return reasons.length === 0 ? '' : `; skipped: ${reasons.join(', ')}`;
}

function rowsText(rows: RunSummary['rows']): string {
  const tagged =
    rows.tagged === null
      ? 'not known'
      : `${formatCount(rows.tagged)} in Azure Data Explorer under ${rows.tagIsThisRunOnly ? "this run's tag" : 'the tag of its window'}`;
  const expected = rows.expected === null ? 'expected: not known' : `expected: ${formatCount(rows.expected)}`;
  return `${tagged}; ${expected}${rows.agrees === false ? ' (they differ)' : ''}`;
}
