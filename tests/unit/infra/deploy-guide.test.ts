import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { parseDefinition } from '../../../shared/config/parse-definition.ts';
import { ROOT } from './compiled.ts';

const read = (...parts: readonly string[]) => readFileSync(path.join(ROOT, ...parts), 'utf8');
const guide = read('docs', 'DEPLOY.md');
const bicepparam = read('infra', 'main.bicepparam');
const bicep = read('infra', 'main.bicep');

/** Names in the first column of the tables of a section. */
function namesIn(section: string): readonly string[] {
  return [...section.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
  );
}
const between = (begin: string, end: string) => guide.slice(guide.indexOf(begin), guide.indexOf(end));

describe('docs/DEPLOY.md', () => {
  test('lists what main.bicepparam reads from the azd environment, with its defaults', () => {
    const listed = between('<!-- azd environment: begin -->', '<!-- azd environment: end -->');
    const inFile = [...bicepparam.matchAll(/readEnvironmentVariable\('(\w+)'(?:, '([^']*)')?\)/g)];
    // Read by a hook alone.
    const names = ['LOADER_AWS_WEB_IDENTITY', ...inFile.map(([, name]) => name!)];
    expect([...namesIn(listed)].sort()).toEqual(names.sort());
    for (const [, name, fallback] of inFile) {
      if (!fallback) continue;
      expect(listed).toMatch(new RegExp(`^\\| [^|]*\`${name}\`[^|]* \\|[^|]*\`${fallback}\`[^|]*\\|`, 'm'));
    }
  });

  test('names every parameter of main.bicep', () => {
    const parameters = [...bicep.matchAll(/^param (\w+) /gm)].map(([, name]) => name!);
    const set = [...bicepparam.matchAll(/^param (\w+) =/gm)].map(([, name]) => name!);
    const rarely = namesIn(between('What is rarely changed', 'A provision replaces'));
    expect(parameters.length).toBeGreaterThan(20);
    expect(parameters.filter((name) => !set.includes(name) && !rarely.includes(name))).toEqual([]);
    expect(rarely.filter((name) => !parameters.includes(name))).toEqual([]);
  });

  test('asks the azd environment only for what is put out, set or asked for', () => {
    const hooks = ['aws-audience.ts', 'api-sign-in.ts']
      .map((file) => read('infra', 'hooks', file))
      .join('\n');
    const hookSettings = [...hooks.matchAll(/env\['(\w+)'\]/g)].map(([, name]) => name!);
    const outputs = [...bicep.matchAll(/^output (\w+) /gm)].map(([, name]) => name!);
    const asked = [...guide.matchAll(/azd env get-value (\w+)/g)].map(([, name]) => name!);
    expect(asked.length).toBeGreaterThan(5);
    const written = [...hooks.matchAll(/'env', 'set', '(\w+)'/g)].map(([, name]) => name!);
    // azd's own.
    const itself = 'AZURE_SUBSCRIPTION_ID';
    expect(asked.filter((name) => ![itself, ...outputs, ...written].includes(name))).toEqual([]);
    const known = [...outputs, ...namesIn(guide), 'NAME', ...hookSettings];
    const set = [...guide.matchAll(/azd env set (\w+)/g)].map(([, name]) => name!);
    expect(set.filter((name) => !known.includes(name))).toEqual([]);
  });

  test('has a load that the app takes, for the table of the trial', () => {
    const [, json] = /<<JSON\n([^]*?)\nJSON\n/.exec(guide) ?? [];
    const definition = parseDefinition(
      JSON.parse(json!.replace('$adx', 'https://adx1.westeurope.kusto.windows.net')),
    );
    expect(definition.source.credentials).toBe('anonymous');
    const [, fallback] = /empty\(adxDatabase\) \? '(\w+)'/.exec(bicep) ?? [];
    expect(definition.destination.database).toBe(fallback);
    expect(read('infra', 'kusto', 'sample.kql')).toContain(
      `.create-merge table ${definition.destination.table} (`,
    );
  });

  test('explains every alert', () => {
    const explained = namesIn(between('## Alerts', '## Take it down'));
    const rules = [
      ...read('infra', 'modules', 'alerts.bicep').matchAll(
        /loadTextContent\('\.\.\/queries\/([\w-]+)\.kql'\)/g,
      ),
    ].map(([, name]) => name!);
    expect([...explained].sort()).toEqual([...rules, 'storage-throttling'].sort());
    const files = readdirSync(path.join(ROOT, 'infra', 'queries')).map((file) => path.basename(file, '.kql'));
    expect(files.sort()).toEqual([...rules].sort());
  });

  test('has all roles that the templates assign', () => {
    const rights = between('## What is made', '## Alerts');
    const assigned = ['roles.bicep', 'durable-task-scheduler.bicep'].flatMap((file) =>
      [...read('infra', 'modules', file).matchAll(/^\s*(?:var )?(\w+)(?::| =) '[0-9a-f-]{36}'/gm)].map(
        ([, name]) => name!,
      ),
    );
    expect(assigned).toHaveLength(8);
    const words = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    for (const name of assigned) expect(rights.toLowerCase()).toContain(words(name));
  });

  test('names commands and files that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    for (const [, name] of guide.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toHaveProperty([name!]);
    const made = ['infra/package/s3-adx-loader.zip'];
    const files = [...guide.matchAll(/\b(infra\/[\w./-]*\w)/g)].map(([, file]) => file!);
    expect(files.filter((file) => !made.includes(file) && !existsSync(path.join(ROOT, file)))).toEqual([]);
    for (const [, link] of guide.matchAll(/\]\(([\w.-]+\.md)\)/g))
      expect(existsSync(path.join(ROOT, 'docs', link!))).toBe(true);
  });

  test('names options of npm run aws that there are', () => {
    const script = read('infra', 'aws', 'set-up.ts');
    const known = [...script.matchAll(/^ {6}'?([a-z-]+)'?: \{ type: /gm)].map(([, name]) => name!);
    const used = [...guide.matchAll(/npm run aws -- ([^`#]*)/g)].flatMap(([, line]) =>
      [...line!.split('\n')[0]!.matchAll(/--([a-z-]+)/g)].map(([, option]) => option!),
    );
    expect(used.length).toBeGreaterThan(4);
    expect(used.filter((option) => !known.includes(option))).toEqual([]);
    // Those that the text names alone.
    for (const option of [
      'kms-key',
      'inventory-bucket',
      'versions',
      'alarm-topic',
      'tag',
      'move',
      'delete-objects',
    ])
      expect([guide.includes(`--${option}`), known.includes(option)]).toEqual([true, true]);
  });
});
