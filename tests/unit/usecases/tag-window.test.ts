import { expect, test } from 'vitest';

import { parseDefinition } from '../../../shared/config/parse-definition.ts';
import { NO_OPTIONS, type RunTrigger } from '../../../shared/domain/run-record.ts';
import { takeSnapshot } from '../../../shared/usecases/run-documents.ts';
import { createTestLoader, definitionOf } from '../../fakes/test-loader.ts';

const CREATED_AT = '2026-03-29T12:30:00.000Z';
const at = (cron: string, timeZone?: string) => ({
  schedule: { cron, ...(timeZone === undefined ? {} : { timeZone }) },
});

test.each<[RunTrigger, Parameters<typeof definitionOf>[0], string, string]>([
  // A person may want to undo one.
  ['manual', {}, 'run', 'r'],
  ['manual', { events: true, ...at('*/5 * * * *') }, 'run', 'r'],
  ['rerun', { events: true, ...at('*/5 * * * *') }, 'run', 'r'],
  // So often that a tag for each would splinter the table.
  ['events', { events: true }, 'day', '2026-03-29'],
  ['schedule', at('0 * * * *'), 'day', '2026-03-29'],
  ['schedule', at('0 */12 * * *'), 'day', '2026-03-29'],
  // A schedule decides for its own runs, also where the load has events.
  ['schedule', at('0 2 * * *'), 'run', 'r'],
  ['schedule', { events: true, ...at('0 2 * * *') }, 'run', 'r'],
  // A day of 23 hours.
  ['schedule', at('0 14 * * *', 'Europe/Berlin'), 'run', 'r'],
  ['schedule', at('0 2 1 * *'), 'run', 'r'],
  // As often as what it settles was begun.
  ['settle', { events: true }, 'day', '2026-03-29'],
  ['settle', at('0 * * * *'), 'day', '2026-03-29'],
  ['settle', at('0 2 * * *'), 'run', 'r'],
  ['settle', {}, 'run', 'r'],
  // What the definition says goes before all of this.
  ['events', { events: true, tagWindow: 'hour' }, 'hour', '2026-03-29T12Z'],
  ['events', { events: true, tagWindow: 'run' }, 'run', 'r'],
  ['manual', { tagWindow: 'day' }, 'day', '2026-03-29'],
])('a run by %s of a load with %j carries the tag of its %s', (trigger, changes, tagWindow, named) => {
  const { loader } = createTestLoader();
  const request = { runId: 'r', load: 'flights', trigger, options: NO_OPTIONS, createdAt: CREATED_AT };
  expect(takeSnapshot(loader, request, 1, parseDefinition(definitionOf(changes), 'flights'))).toMatchObject({
    tagWindow,
    tag: `drop-by:test/flights.1/${named}`,
  });
});
