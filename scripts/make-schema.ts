/**
 * Writes the JSON Schema of load definitions from the schema that the app itself checks them by.
 *
 *   npm run schema
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { toJsonSchema } from '@valibot/to-json-schema';

import { LoadDefinitionSchema } from '../shared/contracts/load-definition.ts';

export const SCHEMA_FILE = path.join(import.meta.dirname, '..', 'docs', 'load-definition.schema.json');

/** Checks that JSON Schema has no words for; the app makes them all the same. */
const ONLY_IN_THE_APP: readonly string[] = ['partial_check', 'raw_check'];

export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** The schema of definition files: defaults are optional, and a text may refer to an app setting. */
export function makeSchema(): JsonSchema {
  const { $schema, title, ...schema } = toJsonSchema(LoadDefinitionSchema, {
    target: 'draft-07',
    typeMode: 'input',
    ignoreActions: [...ONLY_IN_THE_APP],
  });
  const definition = withSettings(schema) as JsonSchema & { readonly required: readonly string[] };
  return {
    $schema,
    title,
    ...definition,
    // The name of a file, or the address of a PUT, names the load.
    required: definition.required.filter((field) => field !== 'name'),
    definitions: {
      appSetting: {
        type: 'string',
        pattern: '%[A-Za-z_][A-Za-z0-9_]*%',
        description: 'In a file of the loads folder, %NAME% is replaced by the app setting of that name.',
      },
    },
  };
}

/** Lets every text of a certain form also be one that refers to an app setting. */
function withSettings(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withSettings);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { pattern, format, ...rest } = schema as JsonSchema;
  if (
    schema !== null &&
    'type' in schema &&
    schema.type === 'string' &&
    (pattern !== undefined || format !== undefined)
  ) {
    const form = {
      ...(pattern === undefined ? {} : { pattern }),
      ...(format === undefined ? {} : { format }),
    };
    return { ...rest, anyOf: [form, { $ref: '#/definitions/appSetting' }] };
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, withSettings(value)]));
}

if (import.meta.main) writeFileSync(SCHEMA_FILE, `${JSON.stringify(makeSchema(), null, 2)}\n`);
