import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

import { readBaseline } from '../../bench/baseline.ts';
import { FIGURES_PAGE, figuresText, placeOfFigures } from '../../bench/figures-page.ts';

test('the page of figures holds what was kept, as npm run bench -- --save-baseline writes it', async () => {
  const page = await readFile(FIGURES_PAGE, 'utf8');
  const { from, to } = placeOfFigures(page);
  expect(page.slice(from, to)).toBe(figuresText(await readBaseline()));
});
