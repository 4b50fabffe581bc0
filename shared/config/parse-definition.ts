import * as v from 'valibot';

import { type ConnectionTestRequest, ConnectionTestSchema } from '../contracts/connection-test.ts';
import { type LoadDefinition, LoadDefinitionSchema } from '../contracts/load-definition.ts';
import { LoaderError, type Problem } from '../errors/loader-error.ts';
import { type AllowedEndpoints, judgeEndpoint, readAllowedEndpoints } from './allowed-endpoints.ts';
import { jsonProblems, kindOf, MAX_PROBLEMS, withoutTexts } from './json-problems.ts';

/** Checks JSON against a schema and reports every problem, each with the path of its field. */
export function parseWith<const Schema extends v.GenericSchema>(
  schema: Schema,
  json: unknown,
):
  | { readonly value: v.InferOutput<Schema>; readonly problems: readonly [] }
  | { readonly value: null; readonly problems: readonly Problem[] } {
  const unfit = jsonProblems(json);
  if (unfit.length > 0) return { value: null, problems: unfit };
  const result = v.safeParse(schema, json);
  if (result.success) return { value: result.output, problems: [] };
  return { value: null, problems: withoutTexts(result.issues.slice(0, MAX_PROBLEMS).map(toProblem), json) };
}

function toProblem(issue: v.BaseIssue<unknown>): Problem {
  const field = issue.path?.map((item) => String(item.key)).join('.') ?? '';
  // Valibot words a missing and a surplus key by types; people look for the name.
  if (issue.type === 'strict_object' && issue.expected === 'never')
    return { field, message: 'is not a field of this object; remove it or check its spelling' };
  if (issue.received === 'undefined') return { field, message: 'is missing' };
  const custom = /^(must|is|The) /.test(issue.message);
  return {
    field: field || '(document)',
    message: custom ? issue.message : `must be ${issue.expected ?? 'valid'}, but is ${kindOf(issue.input)}`,
  };
}

/**
 * Reads a load definition and fills in the defaults.
 *
 * @param expectedName - the name by which it is stored; the document may leave its `name` out or must agree.
 * @param allowed - endpoints that it may name. Default: what the settings of this process allow.
 * @throws {LoaderError} `invalidDefinition` with all problems together.
 */
export function parseDefinition(
  json: unknown,
  expectedName?: string,
  allowed: AllowedEndpoints = readAllowedEndpoints(process.env),
): LoadDefinition {
  const document =
    expectedName !== undefined && isRecord(json) && json['name'] === undefined
      ? { ...json, name: expectedName }
      : json;
  const { value, problems } = parseWith(LoadDefinitionSchema, document);
  const found: Problem[] = [...problems];
  if (
    expectedName !== undefined &&
    isRecord(document) &&
    typeof document['name'] === 'string' &&
    document['name'] !== expectedName
  ) {
    found.push({ field: 'name', message: `must be "${expectedName}", the name in the address` });
  }
  if (value !== null) found.push(...endpointProblems(value, allowed));
  if (value !== null && found.length === 0) return value;
  throw new LoaderError(
    'invalidDefinition',
    `The load definition has ${found.length} problem${found.length === 1 ? '' : 's'}`,
    { problems: found },
  );
}

/**
 * Reads what connections are to be tested; endpoints are judged as those of a definition.
 *
 * @throws {LoaderError} `invalidRequest` with all problems together.
 */
export function parseConnectionTest(
  json: unknown,
  allowed: AllowedEndpoints = readAllowedEndpoints(process.env),
): ConnectionTestRequest {
  const { value, problems } = parseWith(ConnectionTestSchema, json ?? {});
  const found = value === null ? problems : endpointProblems(value, allowed);
  if (value !== null && found.length === 0) return value;
  throw new LoaderError('invalidRequest', 'The connections to be tested are not valid', { problems: found });
}

/** A region becomes part of a host name and of a signature's scope. */
const REGION = /^[A-Za-z0-9-]{1,40}$/;

function endpointProblems(
  {
    source,
    destination,
  }: {
    readonly source: LoadDefinition['source'] | null;
    readonly destination: LoadDefinition['destination'] | null;
  },
  allowed: AllowedEndpoints,
): Problem[] {
  const problems: Problem[] = [];
  const judge = (field: string, use: 'source' | 'cluster', endpoint: string) => {
    const { problem } = judgeEndpoint(allowed, use, endpoint);
    if (problem !== null) problems.push({ field, message: problem });
  };
  if (source !== null) {
    if (!REGION.test(source.region))
      problems.push({ field: 'source.region', message: 'must be the name of a region such as eu-central-1' });
    if (source.endpoint !== null) judge('source.endpoint', 'source', source.endpoint);
    else if (!allowed.aws)
      problems.push({
        field: 'source.endpoint',
        message: `must be given: the app setting LOADER_ALLOWED_ENDPOINTS allows ${allowed.text}`,
      });
  }
  if (destination !== null) judge('destination.cluster', 'cluster', destination.cluster);
  return problems;
}

function isRecord(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** Names of settings whose values no definition may take up. */
const HOLDS_SECRET =
  /SECRET|PASSWORD|TOKEN|ACCESS_KEY|ACCOUNT_?KEY|CONNECTION_?STRING|CERTIFICATE|EXTERNAL_ID|IDENTITY_HEADER|_KEY$|^OTEL_EXPORTER_|^AzureWebJobs(?!ScriptRoot$)/i;

/**
 * Replaces `%NAME%` by the app setting of that name in all texts of a definition file, so that one file serves
 * several environments.
 *
 * @throws {LoaderError} `invalidDefinition` with every setting that is not there, or that holds a secret.
 */
export function expandSettings(json: unknown, env: Readonly<Record<string, string | undefined>>): unknown {
  const problems: Problem[] = [];
  const expanded = expand(json, '');
  if (problems.length === 0) return expanded;
  throw new LoaderError(
    'invalidDefinition',
    'The load definition refers to app settings that are not set or hold a secret',
    {
      problems,
    },
  );

  function expand(value: unknown, at: string): unknown {
    if (typeof value === 'string')
      return value.replace(
        /%([A-Za-z_][A-Za-z0-9_]*)%/g,
        (whole, name: string) => setting(name, at) ?? whole,
      );
    const below = (key: string | number) => (at === '' ? String(key) : `${at}.${key}`);
    if (Array.isArray(value)) return value.map((item, index) => expand(item, below(index)));
    if (!isRecord(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expand(item, below(key))]));
  }

  function setting(name: string, at: string): string | undefined {
    // What a definition holds is stored, and shown to whoever may call the API.
    if (HOLDS_SECRET.test(name)) {
      problems.push({
        field: at || '(document)',
        message: `must not refer to ${name}, which holds a secret`,
      });
      return undefined;
    }
    const value = env[name];
    if (value === undefined)
      problems.push({
        field: at || '(document)',
        message: `refers to the app setting ${name}, which is not set`,
      });
    return value;
  }
}
