/**
 * The AWS side of a deployment: what the app may do with one bucket, and as whom. That is a role that the managed identity
 * assumes, or a user with an access key, which goes from AWS straight into Key Vault and is never printed.
 *
 *   npm run aws -- deploy --bucket NAME [options]
 *   npm run aws -- events --bucket NAME [options]
 *   npm run aws -- delete [--stack NAME]
 *
 * Takes the rest from the azd environment. Needs the AWS CLI, signed in to the account of the bucket, and for an access key
 * the Azure CLI, signed in as somebody who may write secrets into the vault.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

import { runJson, runScript, runTool } from '../command-line.ts';
import { deployEvents } from './events.ts';

const TEMPLATE = path.join(import.meta.dirname, 'cloudformation.json');

const HELP = `usage: npm run aws -- deploy --bucket NAME [options]
       npm run aws -- events --bucket NAME [--prefix TEXT] [--stack NAME]
       npm run aws -- delete [--stack NAME]

deploy lets the app read a bucket, events has AWS announce new objects to it, delete takes a stack away.

  --prefix TEXT       only keys that begin with this (default: all)
  --region REGION     of the stack (default: that of the AWS CLI); IAM itself has none
  --stack NAME        default s3-adx-loader-<azd environment>; of events, with -events behind it
  --credentials NAME  as in source.credentials of a load (default: default)
  --kms-key ARN       key of the bucket, where it is not S3's own
  --new-key           make another access key, although there is one
  --web-identity      a role for the managed identity instead of an access key: nothing is stored
  --provider ARN      OIDC provider of the issuer, where the account has one
  --tag, --move, --delete-objects
                      further rights; the app does not use them yet`;

type Values = ReturnType<typeof readArguments>['values'];

function readArguments() {
  return parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      bucket: { type: 'string' },
      prefix: { type: 'string', default: '' },
      region: { type: 'string' },
      stack: { type: 'string' },
      credentials: { type: 'string', default: 'default' },
      'kms-key': { type: 'string', default: '' },
      'new-key': { type: 'boolean', default: false },
      'web-identity': { type: 'boolean', default: false },
      provider: { type: 'string', default: '' },
      tag: { type: 'boolean', default: false },
      move: { type: 'boolean', default: false },
      'delete-objects': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
}

/** Values of the azd environment, as `azd env get-values` prints them: NAME="text". */
async function readEnvironment(): Promise<(name: string) => string> {
  const printed = await runTool('azd', ['env', 'get-values']);
  const values = new Map(
    [...printed.matchAll(/^(\w+)=(".*")\r?$/gm)].map(([, name, text]) => [
      name!,
      JSON.parse(text!) as string,
    ]),
  );
  return (name) => {
    const value = values.get(name);
    if (!value) throw new Error(`The azd environment has no ${name}: run azd provision first`);
    return value;
  };
}

async function deploy(values: Values, environment: (name: string) => string): Promise<void> {
  const { bucket } = values;
  if (bucket === undefined) throw new Error(`--bucket is missing\n\n${HELP}`);
  const stack = values.stack ?? `s3-adx-loader-${environment('AZURE_ENV_NAME')}`;
  const region = values.region === undefined ? [] : ['--region', values.region];
  const usesRole = values['web-identity'];
  const parameters = {
    BucketName: bucket,
    Prefix: values.prefix,
    UseAccessKey: !usesRole,
    UseWebIdentity: usesRole,
    TenantId: usesRole ? environment('LOADER_TENANT_ID') : 'none',
    Audience: usesRole ? environment('LOADER_AWS_AUDIENCE') : 'none',
    // AWS compares the subject with the object id; the client id would fit nobody.
    PrincipalId: usesRole ? environment('LOADER_IDENTITY_PRINCIPAL_ID') : 'none',
    ProviderArn: values.provider,
    KmsKeyArn: values['kms-key'],
    AllowTag: values.tag,
    AllowMove: values.move,
    AllowDelete: values['delete-objects'],
  };
  await runTool('aws', [
    ...['cloudformation', 'deploy', '--template-file', TEMPLATE, '--stack-name', stack, ...region],
    ...['--capabilities', 'CAPABILITY_IAM', '--no-fail-on-empty-changeset', '--parameter-overrides'],
    ...Object.entries(parameters).map(([name, value]) => `${name}=${value}`),
  ]);
  const outputs = await outputsOf(stack, region);
  if (usesRole) {
    const role = outputs.get('RoleArn') ?? '';
    await runTool('azd', ['env', 'set', 'LOADER_AWS_ROLE_ARN', role]);
    await runTool('azd', ['env', 'set', 'LOADER_AWS_CREDENTIALS', values.credentials]);
    console.log(`Role ${role} is for the credentials "${values.credentials}".`);
    console.log('Now let the app know it: azd provision');
    return;
  }
  await storeAccessKey(values, environment, outputs.get('UserName') ?? '');
}

async function outputsOf(stack: string, region: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { Stacks } = await runJson<{
    readonly Stacks: readonly {
      readonly Outputs?: readonly { readonly OutputKey: string; readonly OutputValue: string }[];
    }[];
  }>('aws', ['cloudformation', 'describe-stacks', '--stack-name', stack, ...region]);
  return new Map((Stacks[0]?.Outputs ?? []).map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]));
}

interface AccessKey {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
}

async function storeAccessKey(
  values: Values,
  environment: (name: string) => string,
  user: string,
): Promise<void> {
  const vault = environment('LOADER_KEY_VAULT');
  const listed = await runJson<{ readonly AccessKeyMetadata: readonly AccessKey[] }>('aws', [
    ...['iam', 'list-access-keys', '--user-name', user],
  ]);
  const old = listed.AccessKeyMetadata.map(({ AccessKeyId }) => AccessKeyId);
  if (old.length > 0 && !values['new-key']) {
    console.log(`User ${user} has access key ${old.join(', ')} already; --new-key makes another.`);
    return;
  }
  const { AccessKey: key } = await runJson<{ readonly AccessKey: AccessKey }>('aws', [
    ...['iam', 'create-access-key', '--user-name', user],
  ]);
  const name = values.credentials.toLowerCase().replaceAll('_', '-');
  try {
    await storeSecret(vault, `s3-${name}-access-key-id`, key.AccessKeyId);
    await storeSecret(vault, `s3-${name}-secret-access-key`, key.SecretAccessKey);
  } catch (error) {
    // A key that nobody knows is of no use, and a user can have two.
    await runTool('aws', [
      'iam',
      'delete-access-key',
      '--user-name',
      user,
      '--access-key-id',
      key.AccessKeyId,
    ]);
    throw error;
  }
  // The app resolves references when it starts, else once a day.
  await runTool('az', [
    ...['functionapp', 'restart', '--name', environment('LOADER_FUNCTION_APP')],
    ...['--resource-group', environment('AZURE_RESOURCE_GROUP')],
  ]);
  console.log(
    `Access key ${key.AccessKeyId} of ${user} is in ${vault} as credentials "${values.credentials}".`,
  );
  for (const id of old) {
    console.log(
      `When no URL that ${id} has signed is needed any more: aws iam delete-access-key --user-name ${user} --access-key-id ${id}`,
    );
  }
}

/** By a file that only this user can read: a command line can be seen by everybody on the machine. */
async function storeSecret(vault: string, name: string, value: string): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-'));
  const file = path.join(folder, 'secret');
  try {
    await writeFile(file, value, { mode: 0o600 });
    await runTool('az', [
      ...['keyvault', 'secret', 'set', '--vault-name', vault, '--name', name],
      ...['--file', file, '--encoding', 'utf-8', '--output', 'none'],
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function events(values: Values, environment: (name: string) => string): Promise<void> {
  const { bucket, prefix } = values;
  if (bucket === undefined) throw new Error(`--bucket is missing\n\n${HELP}`);
  const stack = values.stack ?? `s3-adx-loader-${environment('AZURE_ENV_NAME')}-events`;
  await deployEvents({ bucket, prefix, stack }, environment);
}

async function remove(values: Values, environment: (name: string) => string): Promise<void> {
  const stack = values.stack ?? `s3-adx-loader-${environment('AZURE_ENV_NAME')}`;
  const region = values.region === undefined ? [] : ['--region', values.region];
  const outputs = await outputsOf(stack, region);
  const user = outputs.get('UserName');
  if (user !== undefined) {
    // A user that has keys can't be deleted.
    const { AccessKeyMetadata } = await runJson<{ readonly AccessKeyMetadata: readonly AccessKey[] }>('aws', [
      ...['iam', 'list-access-keys', '--user-name', user],
    ]);
    for (const { AccessKeyId } of AccessKeyMetadata)
      await runTool('aws', ['iam', 'delete-access-key', '--user-name', user, '--access-key-id', AccessKeyId]);
  }
  await runTool('aws', ['cloudformation', 'delete-stack', '--stack-name', stack, ...region]);
  await runTool('aws', ['cloudformation', 'wait', 'stack-delete-complete', '--stack-name', stack, ...region]);
  if (outputs.has('RoleArn')) await runTool('azd', ['env', 'set', 'LOADER_AWS_ROLE_ARN', '']);
  console.log(`Stack ${stack} is deleted.`);
}

await runScript(async () => {
  const { values, positionals } = readArguments();
  const [command] = positionals;
  if (values.help) return console.log(HELP);
  switch (command) {
    case 'deploy':
      return deploy(values, await readEnvironment());
    case 'events':
      return events(values, await readEnvironment());
    case 'delete':
      return remove(values, await readEnvironment());
    default:
      throw new Error(HELP);
  }
});
