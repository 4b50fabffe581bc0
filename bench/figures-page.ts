import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { formatDuration } from '../cli/format.ts';
import type { Baseline, MeasuredBench } from './baseline.ts';
import { baselineText, formatFigure } from './report.ts';

export const FIGURES_PAGE = path.join(import.meta.dirname, '..', 'docs', 'BENCHMARKS.md');

const [BEGIN, END] = ['<!-- figures: begin -->\n', '<!-- figures: end -->'];

/** Writes the kept figures into the page that explains them. @throws when the page has no place for them. */
export async function writeFiguresPage(baseline: Baseline): Promise<void> {
  const page = await readFile(FIGURES_PAGE, 'utf8');
  const { from, to } = placeOfFigures(page);
  await writeFile(FIGURES_PAGE, page.slice(0, from) + figuresText(baseline) + page.slice(to));
}

/** Where the figures begin in the page, and where they end. */
export function placeOfFigures(page: string): { readonly from: number; readonly to: number } {
  const [begin, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || to < begin)
    throw new Error(`${FIGURES_PAGE} has no place between "${BEGIN.trim()}" and "${END}"`);
  return { from: begin + BEGIN.length, to };
}

/** All kept figures in Markdown, by bench. */
export function figuresText(baseline: Baseline): string {
  return Object.entries(baseline)
    .map(([name, measured]) => benchText(name, measured))
    .join('\n');
}

function benchText(name: string, measured: MeasuredBench): string {
  const { figures, table, durationMs } = measured;
  const took = durationMs === undefined ? '' : `, in ${formatDuration(durationMs)}`;
  const rows = figures.map(({ name: figure, most, ...value }) => [
    figure,
    formatFigure(value),
    most === undefined ? '' : formatFigure({ value: most, unit: value.unit }),
  ]);
  return [
    `### Figures of ${name}`,
    `${baselineText(measured)}${took}.`,
    '',
    ...(table === undefined ? [] : [...tableLines(table), '']),
    ...tableLines([['figure', 'value', 'at most'], ...rows]),
    '',
  ].join('\n');
}

function tableLines([heading = [], ...rows]: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = heading.map((_, index) => (index === 0 ? '---' : '---:'));
  return [line(heading), `|${rule.join('|')}|`, ...rows.map(line)];
}
