import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

import { EVENT_KINDS } from '../../shared/observability/events.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const operations = read('docs/OPERATIONS.md');
const triggers = readdirSync(path.join(ROOT, 'functions', 'triggers')).map((file) =>
  read(`functions/triggers/${file}`),
);

test('each alert has a section, and each section an alert', () => {
  const alerts = readdirSync(path.join(ROOT, 'infra', 'queries')).map((file) => path.parse(file).name);
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
  const settings = [...operations.matchAll(/`((?:LOADER|S3_CREDENTIALS)_[\w<>]+)`/g)].map(
    ([, name]) => name!,
  );
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
