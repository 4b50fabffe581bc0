/** The events of a bucket: EventBridge sends what S3 announces to the app. Part of `npm run aws`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { runJson, runTool } from '../command-line.ts';

const TEMPLATE = path.join(import.meta.dirname, 'events.json');

export interface EventOptions {
  readonly bucket: string;
  readonly prefix: string;
  readonly stack: string;
}

/** Makes what is missing, and a new key for the function: done again, it rotates the key. */
export async function deployEvents(
  { bucket, prefix, stack }: EventOptions,
  environment: (name: string) => string,
): Promise<void> {
  // Events stay in the region of their bucket.
  const { LocationConstraint } = await runJson<{ readonly LocationConstraint: string | null }>('aws', [
    ...['s3api', 'get-bucket-location', '--bucket', bucket],
  ]);
  const region = ['--region', LocationConstraint ?? 'us-east-1'];
  await sendToEventBridge(bucket);
  const { value: key } = await runJson<{ readonly value: string }>('az', [
    ...['functionapp', 'function', 'keys', 'set', '--name', environment('LOADER_FUNCTION_APP')],
    ...['--resource-group', environment('AZURE_RESOURCE_GROUP')],
    ...['--function-name', 'postEvent', '--key-name', 'aws-events'],
  ]);
  const parameters = {
    BucketName: bucket,
    Prefix: prefix,
    Endpoint: `${environment('LOADER_URL')}/api/events`,
    FunctionKey: key,
  };
  const overrides = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  await withFile(JSON.stringify(overrides), (file) =>
    runTool('aws', [
      ...['cloudformation', 'deploy', '--template-file', TEMPLATE, '--stack-name', stack, ...region],
      ...['--capabilities', 'CAPABILITY_IAM', '--no-fail-on-empty-changeset'],
      ...['--parameter-overrides', `file://${file}`],
    ]),
  );
  console.log(`New objects of ${bucket}/${prefix} are announced to the app, for loads with "events": true.`);
}

/** A configuration is put as a whole: what the bucket has stays in it. */
async function sendToEventBridge(bucket: string): Promise<void> {
  const printed = await runTool('aws', [
    ...['s3api', 'get-bucket-notification-configuration', '--bucket', bucket, '--output', 'json'],
  ]);
  // Nothing is printed for a bucket without one.
  const present = (printed.trim() === '' ? {} : JSON.parse(printed)) as Record<string, unknown>;
  if (present['EventBridgeConfiguration'] !== undefined) return;
  await withFile(JSON.stringify({ ...present, EventBridgeConfiguration: {} }), (file) =>
    runTool('aws', [
      ...['s3api', 'put-bucket-notification-configuration', '--bucket', bucket],
      ...['--notification-configuration', `file://${file}`],
    ]),
  );
}

/** A file that only this user can read: a command line can be seen by everybody on the machine. */
async function withFile<Result>(text: string, use: (file: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-'));
  const file = path.join(folder, 'values.json');
  try {
    await writeFile(file, text, { mode: 0o600 });
    return await use(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
