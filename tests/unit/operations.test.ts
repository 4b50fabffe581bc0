import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

import { ERROR_KINDS } from '../../shared/errors/loader-error.ts';
import { EVENT_KINDS } from '../../shared/observability/events.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const operations = read('docs/OPERATIONS.md');
const triggers = readdirSync(path.join(ROOT, 'functions', 'triggers')).map((file) =>
  read(`functions/triggers/${file}`),
);

test('each alert has a section, and each section an alert', () => {
  const queries = readdirSync(path.join(ROOT, 'infra', 'queries')).map((file) => path.parse(file).name);
  // Alerts on a metric have no query, and their name in the template.
  const metrics = [
    ...read('infra/modules/alerts.bicep').matchAll(/metricAlerts@.+\n\s*name: '\$\{namePrefix\}-(.+)'/g),
  ].map(([, name]) => name!);
  expect(metrics.length).toBeGreaterThan(0);
  const alerts = [...queries, ...metrics];
  const section = operations.slice(operations.indexOf('\n## Alerts'), operations.indexOf('\n## Questions'));
  expect([...section.matchAll(/^### (.+)$/gm)].map(([, name]) => name!).sort()).toEqual(alerts.sort());
});

test('calls that are named are those of the app', () => {
  const routes = triggers.flatMap((text) =>
    [...text.matchAll(/methods: \[(.+)\],\n.*\n\s*route: '(.+)'/g)].flatMap(([, methods, route]) =>
      [...methods!.matchAll(/'(\w+)'/g)].map(([, method]) => `${method} /api/${route}`),
    ),
  );
  expect(routes.length).toBeGreaterThan(10);
  const named = [...operations.matchAll(/`((?:GET|POST|PUT|DELETE) \/api\/[^`?]+)`/g)].map(
    ([, call]) => call!,
  );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((call) => !routes.includes(call))).toEqual([]);
});

test('settings that are named are documented, tables and events are those of the code', () => {
  const reference = read('docs/REFERENCE.md');
  const settings = [...operations.matchAll(/`((?:LOADER|S3_CREDENTIALS|AZURE|OTEL)_[\w<>]+)`/g)].map(
    ([, name]) => name!,
  );
  expect(settings.length).toBeGreaterThan(8);
  expect(settings.filter((name) => !reference.includes(`\`${name}\``))).toEqual([]);
  const asked = [...operations.matchAll(/\bevent\)? (?:== |in \()((?:"\w+"(?:, )?)+)/g)].flatMap(([, list]) =>
    [...list!.matchAll(/"(\w+)"/g)].map(([, event]) => event!),
  );
  expect(asked.length).toBeGreaterThan(8);
  expect(asked.filter((event) => !Object.hasOwn(EVENT_KINDS, event))).toEqual([]);
  // The lines that queries begin with.
  const texts = Object.values(EVENT_KINDS).map(({ text }) => `${text} {`);
  const begun = [...operations.matchAll(/Message startswith "([^"]+)"/g)].map(([, text]) => text!);
  expect(begun.filter((text) => !texts.includes(text))).toEqual([]);
  const state = read('shared/adapters/state/azure-state.ts');
  for (const [, table] of operations.matchAll(/`<prefix>(\w+)`/g))
    expect(state).toContain(`{prefix}${table}`);
});

test('error codes, fields of loads, files and links that are named are there', () => {
  const codes = [
    ...operations.matchAll(
      /`([a-z]\w+(?:Denied|NotFound|Unavailable|Throttled|Expired|Inexact|Permitted|Settings))`/g,
    ),
  ].map(([, code]) => code!);
  expect(codes.length).toBeGreaterThan(8);
  expect(codes.filter((code) => !Object.hasOwn(ERROR_KINDS, code))).toEqual([]);
  const schema = read('docs/load-definition.schema.json');
  const fields = [...operations.matchAll(/`(?:concurrency|limits|reconcile|source)\.(\w+)`/g)];
  expect(fields.length).toBeGreaterThan(3);
  for (const [, field] of fields) expect(schema).toContain(`"${field}"`);
  const files = [
    ...operations.matchAll(/`((?:functions|shared|infra|tests)\/[\w./-]+)`|\]\(([\w-]+\.md)\)/g),
  ].map(([, file, linked]) => file ?? `docs/${linked}`);
  expect(files.length).toBeGreaterThan(8);
  expect(files.filter((file) => !existsSync(path.join(ROOT, file)))).toEqual([]);
  for (const from of ['README.md', 'CONTRIBUTING.md']) expect(read(from)).toContain('(docs/OPERATIONS.md)');
});
