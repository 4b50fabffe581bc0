/** The events of a bucket: EventBridge sends what S3 announces to the app. Part of `npm run aws`. */
import { randomBytes } from 'node:crypto';
import path from 'node:path';

import { runJson, runTool } from '../command-line.ts';
import type { Environment } from './environment.ts';
import { withPrivateFile } from './private-file.ts';
import { deleteStack, deployStack, type StackPlace } from './stack.ts';

const TEMPLATE = path.join(import.meta.dirname, 'events.json');
const FUNCTION = 'postEvent';

export interface EventOptions {
  readonly bucket: string;
  /** Name of the stack. */
  readonly stack: string;
  /** Parameters of the template that were given; the others stay as they are. */
  readonly parameters: Readonly<Record<string, string | undefined>>;
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
  await sendToEventBridge(bucket);
  // The old key works until EventBridge has the new one.
  const old = await keysOf(stack, environment);
  const { name, value } = await createKey(stack, environment);
  const overrides = Object.entries({
    BucketName: bucket,
    Endpoint: `${environment.get('LOADER_URL')}/api/events`,
    FunctionKey: value,
    ...parameters,
  }).flatMap(([parameter, text]) => (text === undefined ? [] : [`${parameter}=${text}`]));
  try {
    await withPrivateFile(JSON.stringify(overrides), (file) =>
      deployStack({ name: stack, region: ['--region', region] }, TEMPLATE, [`file://${file}`]),
    );
  } catch (error) {
    await deleteKey(name, environment);
    throw error;
  }
  for (const key of old) await deleteKey(key, environment);
  console.log(`New objects of ${bucket} are announced to the app, for loads with "events": true.`);
  console.log(`To take it away: npm run aws -- delete --stack ${stack} --region ${region}`);
}

/** Takes a stack of `deployEvents` away. That the bucket sends its events to EventBridge stays: others may listen. */
export async function removeEvents(place: StackPlace, environment: Environment): Promise<void> {
  await deleteStack(place);
  for (const key of await keysOf(place.name, environment)) await deleteKey(key, environment);
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

const appOf = (environment: Environment): readonly string[] => [
  ...[
    '--name',
    environment.get('LOADER_FUNCTION_APP'),
    '--resource-group',
    environment.get('AZURE_RESOURCE_GROUP'),
  ],
  ...['--subscription', environment.get('AZURE_SUBSCRIPTION_ID'), '--function-name', FUNCTION],
];

/** Names of the function's keys that were made for the stack. The Azure CLI tells no values. */
async function keysOf(stack: string, environment: Environment): Promise<readonly string[]> {
  const keys = await runJson<Readonly<Record<string, unknown>>>('az', [
    ...['functionapp', 'function', 'keys', 'list', ...appOf(environment)],
  ]);
  return Object.keys(keys).filter((name) => new RegExp(`^${stack}-\\d{14}$`).test(name));
}

/**
 * The value is made here, as the Azure CLI does not tell one that Azure has made, and handed over by Azure Resource Manager,
 * as the command of the CLI would take it from the command line.
 */
async function createKey(
  stack: string,
  environment: Environment,
): Promise<{ readonly name: string; readonly value: string }> {
  const name = `${stack}-${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}`;
  const value = randomBytes(40).toString('base64url');
  const site = [
    ...['subscriptions', environment.get('AZURE_SUBSCRIPTION_ID')],
    ...['resourceGroups', environment.get('AZURE_RESOURCE_GROUP'), 'providers', 'Microsoft.Web'],
    ...['sites', environment.get('LOADER_FUNCTION_APP')],
  ].join('/');
  await withPrivateFile(JSON.stringify({ properties: { name, value } }), (file) =>
    runTool('az', [
      ...['rest', '--method', 'put', '--body', `@${file}`, '--output', 'none'],
      ...['--url', `https://management.azure.com/${site}/functions/${FUNCTION}/keys/${name}`],
      ...['--uri-parameters', 'api-version=2024-11-01'],
    ]),
  );
  return { name, value };
}

async function deleteKey(name: string, environment: Environment): Promise<void> {
  await runTool('az', [
    ...['functionapp', 'function', 'keys', 'delete', ...appOf(environment), '--key-name', name],
  ]);
}
