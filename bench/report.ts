import { formatBytes, formatCount, formatDuration, formatTable } from '../cli/format.ts';
import type { MeasuredBench } from './baseline.ts';
import type { BenchResult, Figure } from './bench.ts';
import type { Machine } from './machine.ts';

/** Text of a value with its unit. */
export function formatFigure({ value, unit }: Pick<Figure, 'value' | 'unit'>): string {
  switch (unit) {
    case 'ms':
      return value < 10 ? `${value.toFixed(2)} ms` : formatDuration(value);
    case 's':
      return formatDuration(value * 1000);
    case 'bytes':
      return formatBytes(value);
    case 'count':
      return formatCount(Math.round(value));
    case 'per second':
      return `${formatCount(Math.round(value))}/s`;
    case 'ratio':
      return value.toFixed(2);
  }
}

/** `true` unless the figure is above its bound. */
export function isWithinBound({ value, most }: Figure): boolean {
  return most === undefined || value <= most;
}

/** The heading of a report. */
export function machineText({ cpu, cores, memoryBytes, platform, node, packages }: Machine): string {
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  return `${cpu}, ${cores} cores, ${formatBytes(memoryBytes)} memory, ${platform}\nNode ${node}; ${versions.join(', ')}`;
}

/** A bench's tables, its bounds with pass or FAIL, and how far it is from the baseline. */
export function resultText(
  name: string,
  durationMs: number,
  result: BenchResult,
  before: MeasuredBench | undefined,
): string {
  const rows = result.figures.map((figure) => {
    const old = before?.figures.find((kept) => kept.name === figure.name && kept.unit === figure.unit);
    return [
      figure.name,
      formatFigure(figure),
      figure.most === undefined ? '' : `<= ${formatFigure({ value: figure.most, unit: figure.unit })}`,
      figure.most === undefined ? '' : isWithinBound(figure) ? 'pass' : 'FAIL',
      old === undefined ? '' : formatFigure(old),
      old === undefined ? '' : changeText(figure.value, old.value),
    ];
  });
  return [
    `== ${name}, ${formatDuration(durationMs)}`,
    ...(result.table === undefined ? [] : [formatTable(result.table), '']),
    formatTable([['figure', 'value', 'bound', '', 'baseline', 'change'], ...rows]),
    ...(before === undefined ? [] : [`Baseline: ${baselineText(before)}.`]),
    ...(result.notes ?? []),
    '',
  ].join('\n');
}

/** When and on what. Times and sizes are comparable only where this agrees with the heading. */
export function baselineText({ measuredAt, machine: { cpu, cores, node } }: MeasuredBench): string {
  return `${measuredAt.slice(0, 10)}, ${cpu}, ${cores} cores, Node ${node}`;
}

function changeText(value: number, old: number): string {
  if (old === 0) return value === 0 ? '+0 %' : '';
  const percent = Math.round((value / old - 1) * 100);
  return `${percent >= 0 ? '+' : ''}${percent} %`;
}
