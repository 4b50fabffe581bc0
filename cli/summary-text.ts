import type { RunSummary } from '../shared/domain/run-summary.ts';
import { formatBytes, formatCount, formatDuration } from './format.ts';

/** Objects that are named of those that a summary names. */
const NAMED = 5;
/** Most that a summary names; there may be more, and the list of the run's objects has them all. */
const NAMED_BY_SUMMARY = 20;

/** A run summary for a terminal: what was found, what became of it, and what to do about what went wrong. */
export function summaryText(summary: RunSummary): string {
  const { plan, objects, rows, throughput } = summary;
  const lines = [
    `${summary.load}: ${summary.state} in ${formatDuration(summary.durationMs)} (${summary.runId})`,
    `  listed     ${formatCount(plan.listed)} objects, ${formatBytes(plan.listedBytes)}${skippedText(summary)}`,
    `  ingested   ${formatCount(objects.ingested)} objects, ${formatBytes(summary.bytesIngested)} (${throughput.objectsPerSecond}/s, ${formatBytes(throughput.bytesPerSecond)}/s)`,
  ];
  const others = (['failed', 'gone', 'changed', 'unknown', 'deferred', 'notStarted'] as const).filter(
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
  lines.push(`  rows       ${rowsText(rows)}`, ...differencesText(rows), ...repostedText(summary));
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
  return `${tagged}; ${expectedText(rows.expected)}${rows.agrees === false ? ' (they differ)' : ''}`;
}

/** Objects whose rows in the table are not those that they hold. */
function differencesText({ byObject }: RunSummary['rows']): readonly string[] {
  if (byObject == null || byObject.differing === 0) return [];
  const named = byObject.differences.slice(0, NAMED);
  const more = byObject.differing - named.length;
  return [
    `  differing  ${formatCount(byObject.differing)} objects, by their rows in the table`,
    ...named.map(
      ({ key, expected, found }) => `    ${key}: ${formatCount(found)}; ${expectedText(expected)}`,
    ),
    ...(more > 0 ? [`    and ${formatCount(more)} more`] : []),
  ];
}

function repostedText({ repostedUnproven }: RunSummary): readonly string[] {
  const count = repostedUnproven.length;
  if (count === 0) return [];
  const atLeast = count < NAMED_BY_SUMMARY ? '' : 'at least ';
  return [
    `  reposted   ${atLeast}${formatCount(count)} objects, without proof: their rows may be there twice`,
    ...repostedUnproven.slice(0, NAMED).map((key) => `    ${key}`),
    ...(count > NAMED ? [`    and ${atLeast}${formatCount(count - NAMED)} more`] : []),
  ];
}

function expectedText(expected: number | null): string {
  return `expected: ${expected === null ? 'not known' : formatCount(expected)}`;
}
