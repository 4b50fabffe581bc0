/** The events of a bucket: EventBridge sends what S3 announces to the app. Part of `npm run aws`. */
import { randomBytes } from 'node:crypto';
import path from 'node:path';

import { runJson, runTool } from '../command-line.ts';
import { withPrivateFile } from '../private-file.ts';
import type { Environment } from './environment.ts';
import {
  deleteStack,
  deployStack,
  describeStack,
  expectSameUse,
  overridesOf,
  type Stack,
  type StackParameters,
  type StackPlace,
} from './stack.ts';

const TEMPLATE = path.join(import.meta.dirname, 'events.json');
const FUNCTION = 'postEvent';
/** A parameter that only this template has. */
const KIND = 'FunctionKey';

export interface EventOptions {
  readonly bucket: string;
  /** Name of the stack. */
  readonly stack: string;
  /** Parameters of the template that were given; the others stay as they are. */
  readonly parameters: StackParameters;
}

/** Makes what is missing, and a new key for the function: done again, it rotates the key. */
export async function deployEvents(options: EventOptions, environment: Environment): Promise<void> {
  const { bucket, stack, parameters } = options;
  if (environment.find('LOADER_HTTP_AUTH') === 'entra') {
    throw new Error(
      'With LOADER_HTTP_AUTH=entra the app takes no keys, so EventBridge can\'t call it: docs/DEPLOY.md, "S3 events", has the other ways.',
    );
  }
  const region = await regionOf(bucket);
  const place = { name: stack, region: ['--region', region] };
  const present = await describeStack(place);
  expectSameUse(place, present, { kind: KIND, fixed: { BucketName: bucket } });
  await sendToEventBridge(bucket);
  // The old key works until EventBridge has the new one. Should what follows fail, which of them it has is not known here:
  // both stay, and the next time deletes them.
  const old = await keysOf(stack, environment);
  const value = await createKey(stack, environment);
  const overrides = overridesOf({
    BucketName: bucket,
    Endpoint: `${environment.get('LOADER_URL')}/api/events`,
    FunctionKey: value,
    ...parameters,
  });
  await withPrivateFile(JSON.stringify(overrides), (file) =>
    deployStack(place, present, TEMPLATE, [`file://${file}`]),
  );
  for (const key of old) await deleteKey(key, environment);
  console.log(`New objects of ${bucket} are announced to the app, for loads with "events": true.`);
  console.log(`To take it away: npm run aws -- delete --stack ${stack} --region ${region}`);
}

/** Whether `deployEvents` has made the stack. */
export function isEventStack({ parameters }: Stack): boolean {
  return parameters.has(KIND);
}

/**
 * Takes a stack of `deployEvents` away. That the bucket sends its events to EventBridge stays: others may listen. The stack
 * goes last, so that what was cut off can be done again.
 */
export async function removeEvents(place: StackPlace, environment: Environment): Promise<void> {
  for (const key of await keysOf(place.name, environment)) await deleteKey(key, environment);
  await deleteStack(place);
}

/** Events stay in the region of their bucket. */
async function regionOf(bucket: string): Promise<string> {
  const { LocationConstraint } = await runJson<{ readonly LocationConstraint: string | null }>('aws', [
    ...['s3api', 'get-bucket-location', '--bucket', bucket],
  ]);
  // What S3 says of its first region, and of old buckets in Ireland.
  if (LocationConstraint === null) return 'us-east-1';
  return LocationConstraint === 'EU' ? 'eu-west-1' : LocationConstraint;
}

/** A configuration is put as a whole: what the bucket has stays in it. */
async function sendToEventBridge(bucket: string): Promise<void> {
  const printed = await runTool('aws', [
    ...['s3api', 'get-bucket-notification-configuration', '--bucket', bucket, '--output', 'json'],
  ]);
  // Nothing is printed for a bucket without one.
  const present = (printed.trim() === '' ? {} : JSON.parse(printed)) as Record<string, unknown>;
  if (present['EventBridgeConfiguration'] !== undefined) return;
  await withPrivateFile(JSON.stringify({ ...present, EventBridgeConfiguration: {} }), (file) =>
    runTool('aws', [
      ...['s3api', 'put-bucket-notification-configuration', '--bucket', bucket],
      ...['--notification-configuration', `file://${file}`],
    ]),
  );
}

/** Azure Resource Manager's address of the function. The commands of the Azure CLI hide values, and some versions names, too. */
function functionUrl(environment: Environment): string {
  const site = [
    ...['subscriptions', environment.get('AZURE_SUBSCRIPTION_ID')],
    ...['resourceGroups', environment.get('AZURE_RESOURCE_GROUP'), 'providers', 'Microsoft.Web'],
    ...['sites', environment.get('LOADER_FUNCTION_APP'), 'functions', FUNCTION],
  ].join('/');
  return `https://management.azure.com/${site}`;
}

const API_VERSION = ['--uri-parameters', 'api-version=2024-11-01'];

/** Names of the function's keys that were made for the stack; values stay with the Azure CLI. */
async function keysOf(stack: string, environment: Environment): Promise<readonly string[]> {
  const names = await runJson<readonly string[]>('az', [
    ...['rest', '--method', 'post', '--url', `${functionUrl(environment)}/listkeys`, ...API_VERSION],
    ...['--query', 'keys(@)'],
  ]);
  return names.filter((name) => new RegExp(`^${stack}-\\d{14}$`).test(name));
}

/** @returns the key: made here, for nobody would tell one that Azure has made */
async function createKey(stack: string, environment: Environment): Promise<string> {
  const name = `${stack}-${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}`;
  const value = randomBytes(40).toString('base64url');
  await withPrivateFile(JSON.stringify({ properties: { name, value } }), (file) =>
    runTool('az', [
      ...['rest', '--method', 'put', '--body', `@${file}`, '--output', 'none'],
      ...['--url', `${functionUrl(environment)}/keys/${name}`, ...API_VERSION],
    ]),
  );
  return value;
}

async function deleteKey(name: string, environment: Environment): Promise<void> {
  await runTool('az', [
    ...['rest', '--method', 'delete', '--url', `${functionUrl(environment)}/keys/${name}`, ...API_VERSION],
  ]);
}
