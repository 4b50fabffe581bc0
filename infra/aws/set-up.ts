/**
 * The AWS side of a deployment: what the app may do with one bucket, and as whom. That is a role that the managed identity
 * assumes, or a user with an access key, which goes from AWS straight into Key Vault and is never printed.
 *
 *   npm run aws -- deploy --bucket NAME [options]
 *   npm run aws -- events --bucket NAME [options]
 *   npm run aws -- delete [options]
 *
 * Takes the rest from the azd environment. Needs the AWS CLI, signed in to the account of the bucket, and but for roles the
 * Azure CLI, signed in as somebody who may write secrets into the vault, or keys of the function app.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';

import { runScript } from '../command-line.ts';
import { deployAccess, removeAccess } from './bucket-access.ts';
import { type Environment, readEnvironment } from './environment.ts';
import { deployEvents, isEventStack, removeEvents } from './events.ts';
import { describeStack, stackName } from './stack.ts';

const HELP = `usage: npm run aws -- deploy --bucket NAME [options]
       npm run aws -- events --bucket NAME [--prefix TEXT] [--alarm-topic ARN] [--stack NAME]
       npm run aws -- delete [--credentials NAME | --stack NAME] [--region REGION]

deploy lets the app read a bucket, events has AWS announce new objects to it, delete takes a stack away. Done again, a command
changes what is named and leaves the rest as it is.

  --prefix TEXT        only keys that begin with this (default: all)
  --region REGION      of the stack (default: that of the AWS CLI); IAM itself has none, events are in that of their bucket
  --stack NAME         default s3-adx-loader-<azd environment>, for other credentials than "default" with -credentials-<name>;
                       of events s3-adx-loader-<azd environment>-events-<bucket>
  --credentials NAME   as in source.credentials of a load (default: default)
  --kms-key ARN        key of the bucket, where it is not S3's own
  --new-key            make another access key, although there is one
  --web-identity       a role for the managed identity instead of an access key: nothing is stored
  --chained-role ARN   a role, such as one of another account, that the role or the user may assume
  --inventory-bucket NAME, --inventory-prefix TEXT
                       where S3 Inventory writes its lists, for loads with source.inventory
  --alarm-topic ARN    SNS topic that is told when an event could not be delivered
  --versions           versions of objects may be listed and read, for loads with source.pinVersions; --no-versions takes
                       that back
  --tag, --move, --delete-objects
                       further rights, taken back by --no-tag and so on; the app does not use them yet`;

type Values = ReturnType<typeof readArguments>['values'];

function readArguments() {
  return parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    allowNegative: true,
    options: {
      bucket: { type: 'string' },
      prefix: { type: 'string' },
      region: { type: 'string' },
      stack: { type: 'string' },
      credentials: { type: 'string' },
      'kms-key': { type: 'string' },
      'new-key': { type: 'boolean', default: false },
      'web-identity': { type: 'boolean', default: false },
      'chained-role': { type: 'string' },
      'inventory-bucket': { type: 'string' },
      'inventory-prefix': { type: 'string' },
      'alarm-topic': { type: 'string' },
      versions: { type: 'boolean' },
      tag: { type: 'boolean' },
      move: { type: 'boolean' },
      'delete-objects': { type: 'boolean' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
}

function bucketOf({ bucket }: Values): string {
  if (bucket === undefined) throw new Error(`--bucket is missing\n\n${HELP}`);
  return bucket;
}

function accessStackOf({ stack, region, credentials = 'default' }: Values, environment: Environment) {
  const suffix = credentials === 'default' ? [] : ['credentials', credentials];
  return {
    name: stack ?? stackName(environment.get('AZURE_ENV_NAME'), ...suffix),
    region: region === undefined ? [] : ['--region', region],
  };
}

async function deploy(values: Values, environment: Environment): Promise<void> {
  const options = {
    bucket: bucketOf(values),
    // A stack that is named may be for other credentials.
    credentials: values.credentials ?? (values.stack === undefined ? 'default' : undefined),
    usesRole: values['web-identity'],
    newKey: values['new-key'],
    parameters: {
      Prefix: values.prefix,
      KmsKeyArn: values['kms-key'],
      ChainedRoleArn: values['chained-role'],
      InventoryBucket: values['inventory-bucket'],
      InventoryPrefix: values['inventory-prefix'],
      AllowVersions: values.versions,
      AllowTag: values.tag,
      AllowMove: values.move,
      AllowDelete: values['delete-objects'],
    },
  };
  await deployAccess(accessStackOf(values, environment), options, environment);
}

async function events(values: Values, environment: Environment): Promise<void> {
  const bucket = bucketOf(values);
  const stack = values.stack ?? stackName(environment.get('AZURE_ENV_NAME'), 'events', bucket);
  const parameters = { Prefix: values.prefix, AlarmTopicArn: values['alarm-topic'] };
  await deployEvents({ bucket, stack, parameters }, environment);
}

async function remove(values: Values, environment: Environment): Promise<void> {
  const place = accessStackOf(values, environment);
  const stack = await describeStack(place);
  if (stack === null) return console.log(`There is no stack ${place.name} in this region.`);
  if (isEventStack(stack)) await removeEvents(place, environment);
  else await removeAccess(place, stack, environment);
  console.log(`Stack ${place.name} is deleted.`);
}

const COMMANDS = new Map([
  ['deploy', deploy],
  ['events', events],
  ['delete', remove],
]);

await runScript(async () => {
  const { values, positionals } = readArguments();
  if (values.help) return console.log(HELP);
  const command = COMMANDS.get(positionals[0] ?? '');
  if (command === undefined || positionals.length > 1) throw new Error(HELP);
  await command(values, await readEnvironment());
});
