import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { makeSchema, SCHEMA_FILE } from '../../scripts/make-schema.ts';
import { readAllowedEndpoints } from '../../shared/config/allowed-endpoints.ts';
import { expandSettings, parseDefinition } from '../../shared/config/parse-definition.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const published = JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as Schema;

type Schema = { readonly [keyword: string]: unknown };

/** Keywords that say nothing of validity. */
const NOTES = new Set(['$schema', 'title', 'description', 'default', 'definitions']);

/**
 * Where JSON does not fit a schema, by the keywords that ours uses; any other keyword is refused, so that none is
 * passed over.
 */
function violations(schema: Schema, json: unknown, at = ''): string[] {
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
  const fields = isObject ? (json as Record<string, unknown>) : {};
  const failing = (alternatives: unknown) =>
    (alternatives as Schema[]).filter((one) => violations(one, json, at).length > 0).length;
  const unless = (holds: boolean, problem: string) => (holds ? [] : [`${at || '(root)'}: ${problem}`]);
  return Object.entries(schema).flatMap(([keyword, value]): string[] => {
    if (NOTES.has(keyword)) return [];
    switch (keyword) {
      case 'type': {
        const type = Array.isArray(json)
          ? 'array'
          : json === null
            ? 'null'
            : Number.isInteger(json) && value === 'integer'
              ? 'integer'
              : typeof json;
        return unless(type === value, `is ${type}, not ${value}`);
      }
      case 'properties':
        return Object.entries(value as Record<string, Schema>).flatMap(([name, inner]) =>
          name in fields ? violations(inner, fields[name], `${at}/${name}`) : [],
        );
      case 'required':
        return (value as string[]).flatMap((name) => unless(!isObject || name in fields, `lacks ${name}`));
      case 'additionalProperties':
        expect(value).toBe(false);
        return Object.keys(fields).flatMap((name) =>
          unless(name in (schema['properties'] as object), `has ${name}`),
        );
      case 'items':
        return Array.isArray(json)
          ? json.flatMap((item, index) => violations(value as Schema, item, `${at}/${index}`))
          : [];
      case 'anyOf':
        return unless(failing(value) < (value as Schema[]).length, 'fits none of several');
      case 'oneOf':
        return unless(
          failing(value) === (value as Schema[]).length - 1,
          'does not fit exactly one of several',
        );
      case 'enum':
        return unless(
          (value as unknown[]).includes(json),
          `is not one of ${(value as unknown[]).join(', ')}`,
        );
      case 'const':
        return unless(json === value, `is not ${String(value)}`);
      case 'pattern':
        return unless(
          typeof json !== 'string' || new RegExp(value as string, 'u').test(json),
          `does not match ${String(value)}`,
        );
      case 'format':
        expect(['uri', 'date-time']).toContain(value);
        return unless(
          typeof json !== 'string' ||
            (value === 'uri' ? URL.canParse(json) : !Number.isNaN(Date.parse(json))),
          `is no ${String(value)}`,
        );
      case 'minLength':
        return unless(typeof json !== 'string' || json.length >= (value as number), 'is too short');
      case 'minItems':
        return unless(!Array.isArray(json) || json.length >= (value as number), 'has too few items');
      case 'maxItems':
        return unless(!Array.isArray(json) || json.length <= (value as number), 'has too many items');
      case 'minimum':
        return unless(typeof json !== 'number' || json >= (value as number), 'is too small');
      case 'maximum':
        return unless(typeof json !== 'number' || json <= (value as number), 'is too large');
      case '$ref':
        expect(value).toBe('#/definitions/appSetting');
        return violations((published['definitions'] as Record<string, Schema>)['appSetting']!, json, at);
      default:
        throw new Error(`The schema uses "${keyword}", which this test does not know`);
    }
  });
}

const SMALLEST = {
  source: { bucket: 'demo' },
  format: { type: 'csv' },
  destination: { cluster: 'https://help.kusto.windows.net', database: 'Samples', table: 'Flights' },
};

test('the published schema is that of the app; npm run schema writes it', () => {
  expect(published).toEqual(JSON.parse(JSON.stringify(makeSchema())));
});

describe('the published schema', () => {
  test('needs no more than what has no default', () => {
    expect(violations(published, SMALLEST)).toEqual([]);
    for (const field of Object.keys(SMALLEST))
      expect(violations(published, { ...SMALLEST, [field]: undefined })).not.toEqual([]);
  });

  test('takes what the app makes of a definition', () => {
    expect(violations(published, parseDefinition(SMALLEST, 'flights'))).toEqual([]);
  });

  test.each<[string, unknown]>([
    ['another field', { ...SMALLEST, color: 'blue' }],
    ['a bucket in capitals', { ...SMALLEST, source: { bucket: 'DEMO' } }],
    ['an unknown format', { ...SMALLEST, format: { type: 'xml' } }],
    ['a cluster that is no URL', { ...SMALLEST, destination: { ...SMALLEST.destination, cluster: 'help' } }],
    ['an empty list of files', { ...SMALLEST, source: { bucket: 'demo', files: [] } }],
    ['no lanes', { ...SMALLEST, concurrency: { lanes: 0 } }],
    ['a policy without its figure', { ...SMALLEST, onError: { policy: 'atMost' } }],
  ])('refuses %s, as the app does', (_, json) => {
    expect(violations(published, json)).not.toEqual([]);
    expect(() => parseDefinition(json, 'flights')).toThrow();
  });

  test('takes the name of an app setting for a text of a certain form', () => {
    expect(
      violations(published, { ...SMALLEST, source: { bucket: '%BUCKET%', endpoint: '%DEV_S3_ENDPOINT%' } }),
    ).toEqual([]);
  });

  test('describes every field to editors, but for those that explain themselves', () => {
    const silent = Object.entries(published['properties'] as Record<string, Schema>).flatMap(
      ([name, field]) => (JSON.stringify(field).includes('"description"') ? [] : [name]),
    );
    expect(silent).toEqual(['description']);
  });
});

/** Any value will do that has the form of what the setting is for. */
const SETTINGS = new Proxy<Record<string, string>>(
  {},
  { get: (_, name) => (/ENDPOINT|CLUSTER|URL/.test(String(name)) ? 'http://127.0.0.1:9000' : 'demo') },
);

/** The local stack's endpoints are on loopback. */
const LOCAL = readAllowedEndpoints({ AZURE_FUNCTIONS_ENVIRONMENT: 'Development' });

describe('the definitions of the repository', () => {
  const folder = path.join(ROOT, 'dev', 'data', 'loads');
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));

  test.each(files)('%s fits the schema and is a definition', (file) => {
    const json: unknown = JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
    expect(violations(published, json)).toEqual([]);
    expect(parseDefinition(expandSettings(json, SETTINGS), path.basename(file, '.json'), LOCAL).name).toBe(
      path.basename(file, '.json'),
    );
  });

  const documents = ['README.md', 'docs/REFERENCE.md'].filter((file) => existsSync(path.join(ROOT, file)));
  const examples = documents.flatMap((file) =>
    [...readFileSync(path.join(ROOT, file), 'utf8').matchAll(/```jsonc?\n([^]*?)```/g)]
      .map(([, text]) => text!)
      .filter((text) => text.includes('"destination"') && text.includes('"source"'))
      .map((text) => [file, text] as const),
  );

  test.runIf(examples.length > 0).each(examples)(
    'an example in %s fits the schema and is a definition',
    (_, text) => {
      const json: unknown = JSON.parse(text);
      expect(violations(published, json)).toEqual([]);
      const { name } = json as { readonly name?: string };
      expect(parseDefinition(expandSettings(json, SETTINGS), name ?? 'example', LOCAL).path).toBe('direct');
    },
  );
});
