import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

import {
  type BicepDiagnostic,
  findBicep,
  requireBicep,
  startBicep,
} from '../../../scripts/infra-check-bicep.ts';

export const ROOT = path.resolve(import.meta.dirname, '../../..');
const SUBSCRIPTION = '00000000-0000-0000-0000-000000000001';
export const TENANT = '00000000-0000-0000-0000-000000000002';
export const OPERATOR = '00000000-0000-0000-0000-00000000000a';
export const SENDER = '00000000-0000-0000-0000-00000000000b';
export const OWN_CLUSTER =
  '/subscriptions/00000000-0000-0000-0000-000000000003/resourceGroups/rg-data/providers/Microsoft.Kusto/clusters/telemetry';

/** `null` on a machine without Bicep: its tests are skipped there, by name; with CI set that is an error. */
export const BICEP = process.env['CI'] ? requireBicep() : findBicep();

export const SITE = 'Microsoft.Web/sites';
export const STORAGE = 'Microsoft.Storage/storageAccounts';
export const VAULT = 'Microsoft.KeyVault/vaults';
export const CLUSTER = 'Microsoft.Kusto/clusters';

export type Json = null | boolean | number | string | Json[] | { readonly [key: string]: Json };

/** A resource as ARM would get it: all evaluated but what only the service knows, which stays an expression. */
export interface Resource {
  readonly type: string;
  readonly id: string;
  readonly name: string;
  readonly apiVersion: string;
  readonly location?: string;
  readonly kind?: string;
  readonly scope?: string;
  readonly sku?: { readonly name?: string; readonly tier?: string; readonly capacity?: number };
  readonly tags?: Readonly<Record<string, string>>;
  readonly identity?: {
    readonly type: string;
    readonly userAssignedIdentities: Readonly<Record<string, object>>;
  };
  readonly properties?: Readonly<Record<string, Json>>;
}

/** A compiled template, with the templates of its modules inside. */
export interface Template {
  readonly definitions?: Readonly<Record<string, Definition>>;
  readonly parameters?: Readonly<Record<string, { readonly type?: string; readonly defaultValue?: Json }>>;
  readonly outputs?: Readonly<Record<string, { readonly type: string; readonly value: Json }>>;
  readonly resources: Readonly<Record<string, TemplateResource>>;
}

/** A type of a parameter. */
export interface Definition {
  readonly allowedValues?: readonly Json[];
  readonly minValue?: number;
  readonly maxValue?: number;
  readonly properties?: Readonly<Record<string, Definition>>;
}

export interface TemplateResource {
  readonly type: string;
  readonly dependsOn?: readonly string[];
  readonly properties?: { readonly template?: Template } & Readonly<Record<string, unknown>>;
}

/** What is deployed with one set of parameters. */
export type Deployment = readonly Resource[];

export interface Compiled {
  readonly template: Template;
  /** What the compiler and the linter said. */
  readonly diagnostics: readonly BicepDiagnostic[];
  /** As `azd up` does it, with nothing set but name and region. */
  readonly azd: Deployment;
  /** azd with all that can be switched on. */
  readonly everything: Deployment;
  /** azd without credentials for S3. */
  readonly publicBuckets: Deployment;
  /** azd with a further role that is assumed with the access key. */
  readonly chained: Deployment;
  readonly dev: Deployment;
  readonly production: Deployment;
}

const ENVIRONMENT = {
  AZURE_ENV_NAME: 'test',
  AZURE_LOCATION: 'westeurope',
  AZURE_PRINCIPAL_ID: OPERATOR,
  OPERATOR_PRINCIPAL_ID: OPERATOR,
  ADX_CLUSTER_ID: OWN_CLUSTER,
  ADX_DATABASE: 'telemetry',
  OPERATOR_IP_ADDRESSES: '203.0.113.7',
  ALERT_EMAIL: 'people@example.com',
};

/** For azd with all that can be switched on. */
const EVERYTHING: Readonly<Record<string, string>> = {
  LOADER_PROFILE: 'production',
  LOADER_NODE_VERSION: '24',
  LOADER_S3_CREDENTIALS: 'default, partner-eu,other_one',
  LOADER_AWS_ROLES:
    'partner-eu=arn:aws:iam::123456789012:role/loader, second=arn:aws:iam::123456789012:role/second',
  LOADER_AWS_AUDIENCE: 'api://app',
  LOADER_AWS_SESSION_DURATION: '6h',
  LOADER_HTTP_AUTH: 'entra',
  LOADER_API_CLIENT_ID: 'aaaaaaaa-0000-0000-0000-00000000000a',
  LOADER_ADX_TRIAL: 'true',
  LOADER_ADX_PRIVATE_ENDPOINT: 'true',
  LOADER_VNET: 'true',
  LOADER_OPERATOR_IP_ADDRESSES: '203.0.113.7',
  LOADER_DURABLE_TASK_SCHEDULER: 'true',
  LOADER_EVENT_SENDER_PRINCIPAL_ID: SENDER,
  LOADER_ALERT_EMAILS: 'a@example.com,b@example.com',
};

const CHAINED =
  "any({ default: { chainedRoleArn: 'arn:aws:iam::210987654321:role/reader', externalId: 'x' } })";

/** Compiles a copy, which has further files of parameters: that of azd with values written in. */
export async function compile(bicep: string): Promise<Compiled> {
  const scratch = await mkdtemp(path.join(os.tmpdir(), 'infra-test-'));
  const session = startBicep(bicep, ENVIRONMENT);
  try {
    const infra = path.join(scratch, 'infra');
    await cp(path.join(ROOT, 'infra'), infra, {
      recursive: true,
      filter: (source) => path.basename(source) !== 'package',
    });
    await cp(path.join(ROOT, 'host.json'), path.join(scratch, 'host.json'));
    await writeParameters(infra, 'everything', EVERYTHING);
    await writeParameters(infra, 'public-buckets', { LOADER_S3_CREDENTIALS: '' });
    await writeParameters(infra, 'chained', {}, (text) => text.replace('any({})', CHAINED));
    const { template, diagnostics } = await session.compile(path.join(infra, 'main.bicep'));
    const predict = async (name: string) =>
      readPrediction(
        await session.predict(path.join(infra, `${name}.bicepparam`), {
          tenantId: TENANT,
          subscriptionId: SUBSCRIPTION,
        }),
      );
    return {
      template: JSON.parse(template) as Template,
      diagnostics,
      azd: await predict('main'),
      everything: await predict('everything'),
      publicBuckets: await predict('public-buckets'),
      chained: await predict('chained'),
      dev: await predict('dev'),
      production: await predict('production'),
    };
  } finally {
    await session.stop();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The file of azd with values of an environment written in. */
async function writeParameters(
  infra: string,
  file: string,
  values: Readonly<Record<string, string>>,
  edit = (text: string) => text,
): Promise<void> {
  const unused = new Set(Object.keys(values));
  const text = (await readFile(path.join(infra, 'main.bicepparam'), 'utf8')).replace(
    /readEnvironmentVariable\('(\w+)', '[^']*'\)/g,
    (whole, name: string) => {
      const value = values[name];
      unused.delete(name);
      return value === undefined ? whole : `'${value}'`;
    },
  );
  if (unused.size > 0) throw new Error(`main.bicepparam does not read ${[...unused].join(', ')}`);
  await writeFile(path.join(infra, `${file}.bicepparam`), edit(text));
}

function readPrediction(snapshot: string): Deployment {
  const { predictedResources, diagnostics } = JSON.parse(snapshot, resolveSuffixes) as {
    readonly predictedResources: Deployment;
    readonly diagnostics: readonly unknown[];
  };
  if (diagnostics.length > 0) throw new Error(JSON.stringify(diagnostics));
  return predictedResources;
}

export const ofType = (deployment: Deployment, type: string): Deployment =>
  deployment.filter((resource) => resource.type === type);

/** The only resource of a type. */
export function single(deployment: Deployment, type: string): Resource {
  const [found, ...more] = ofType(deployment, type);
  if (found === undefined || more.length > 0) throw new Error(`${more.length + (found ? 1 : 0)} of ${type}`);
  return found;
}

/** A property by its path, for example `networkAcls.defaultAction`. */
export function at(resource: Resource, where: string): Json | undefined {
  return where
    .split('.')
    .reduce<Json | undefined>(
      (value, key) =>
        value !== null && typeof value === 'object' && !Array.isArray(value) ? value[key] : undefined,
      resource.properties as Json | undefined,
    );
}

/** App settings of the site, by name. */
export function settingsOf(deployment: Deployment): Readonly<Record<string, string>> {
  const list = at(single(deployment, 'Microsoft.Web/sites'), 'siteConfig.appSettings');
  return Object.fromEntries(
    (list as unknown as readonly { readonly name: string; readonly value: string }[]).map(
      ({ name, value }) => [name, value],
    ),
  );
}

/** What tests read: the compiled templates once they are there. */
export interface CompiledView {
  readonly compiled: () => Compiled;
  readonly deployments: () => readonly (readonly [name: string, deployment: Deployment])[];
  /** The same of every deployment, by its name. */
  readonly inEach: <Value>(read: (deployment: Deployment) => Value) => Readonly<Record<string, Value>>;
}

export function viewOf(compiled: () => Compiled): CompiledView {
  const deployments = () =>
    (['azd', 'everything', 'dev', 'production'] as const).map((name) => [name, compiled()[name]] as const);
  return {
    compiled,
    deployments,
    inEach: (read) => Object.fromEntries(deployments().map(([name, deployment]) => [name, read(deployment)])),
  };
}

/** Symbolic names that a module waits for. */
export function dependenciesOf(template: Template, module: string): readonly string[] {
  return template.resources[module]?.dependsOn ?? [];
}

/** The template of a module, by its symbolic name. */
export function moduleOf(template: Template, module: string): Template {
  const nested = template.resources[module]?.properties?.template;
  if (nested === undefined) throw new Error(`no module ${module}`);
  return nested;
}

export function definitionOf(template: Template, name: string): Definition {
  const found = template.definitions?.[name];
  if (found === undefined) throw new Error(`no type ${name}`);
  return found;
}

const SUFFIXES: Readonly<Record<string, string>> = {
  storage: 'core.windows.net',
  keyvaultDns: '.vault.azure.net',
};

/** Evaluates formats that are left for a suffix of global Azure only. */
function resolveSuffixes(_key: string, value: unknown): unknown {
  const [, pattern, rest] =
    typeof value === 'string'
      ? (/^\[format\('([^']*)'((?:, (?:'[^']*'|environment\(\)\.suffixes\.\w+))+)\)\]$/.exec(value) ?? [])
      : [];
  if (pattern === undefined || rest === undefined) return value;
  const args = [...rest.matchAll(/, (?:'([^']*)'|environment\(\)\.suffixes\.(\w+))/g)].map(
    ([, text, suffix]) => text ?? SUFFIXES[suffix!] ?? '',
  );
  return pattern.replace(/\{(\d)\}/g, (_whole, index: string) => args[Number(index)] ?? '');
}
