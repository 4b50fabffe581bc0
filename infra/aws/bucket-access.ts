/** What the app may do with one bucket, and as whom. Part of `npm run aws`. */
import path from 'node:path';

import { runJson, runTool } from '../command-line.ts';
import { withPrivateFile } from '../private-file.ts';
import type { Environment } from './environment.ts';
import { ensureOidcProvider } from './oidc-provider.ts';
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

const TEMPLATE = path.join(import.meta.dirname, 'cloudformation.json');

export interface AccessOptions {
  readonly bucket: string;
  /** Name by which loads refer to the credentials; `undefined`: as the stack has it, else `default`. */
  readonly credentials: string | undefined;
  /** A role for the managed identity instead of an access key. */
  readonly usesRole: boolean;
  /** Makes another access key, although there is one. */
  readonly newKey: boolean;
  /** Parameters of the template that were given; the others stay as they are. */
  readonly parameters: StackParameters;
}

export async function deployAccess(
  place: StackPlace,
  options: AccessOptions,
  environment: Environment,
): Promise<void> {
  const { bucket, credentials, usesRole } = options;
  const use = {
    BucketName: bucket,
    UseAccessKey: !usesRole,
    UseWebIdentity: usesRole,
    Credentials: credentials,
  };
  const identity = usesRole ? identityOf(environment) : {};
  const present = await describeStack(place);
  expectSameUse(place, present, { kind: 'UseAccessKey', fixed: { ...use, ...identity } });
  const wanted = credentials ?? present?.parameters.get('Credentials') ?? 'default';
  if (!usesRole && rolesOf(environment).has(wanted))
    throw new Error(
      `The credentials "${wanted}" are a role (LOADER_AWS_ROLES): take its stack away first, or name others by --credentials`,
    );
  const provider = usesRole
    ? { ProviderArn: await ensureOidcProvider(identity.TenantId!, identity.Audience!) }
    : {};
  const parameters = { ...use, ...identity, ...provider, ...options.parameters };
  await deployStack(place, present, TEMPLATE, overridesOf(parameters));
  const { outputs } = (await describeStack(place))!;
  const name = outputs.get('Credentials')!;
  if (!usesRole) return storeAccessKey(outputs.get('UserName')!, name, options.newKey, environment);
  const role = outputs.get('RoleArn')!;
  await setRoles(environment, (roles) => roles.set(name, role));
  console.log(`Role ${role} is for the credentials "${name}".`);
  console.log(LET_KNOW);
}

const LET_KNOW = 'Now let the app know it: azd provision';

/** Whom a role trusts. AWS compares the subject with the object id; the client id would fit nobody. */
function identityOf(environment: Environment): Readonly<Record<string, string>> {
  return {
    TenantId: environment.get('LOADER_TENANT_ID'),
    Audience: environment.get('LOADER_AWS_AUDIENCE'),
    PrincipalId: environment.get('LOADER_IDENTITY_PRINCIPAL_ID'),
  };
}

/** ARNs of roles by the names of their credentials: `name=arn`, with commas between them. */
function rolesOf(environment: Environment): Map<string, string> {
  const entries = environment.find('LOADER_AWS_ROLES').split(',');
  return new Map(
    entries
      .filter((entry) => entry.includes('='))
      .map((entry) => [
        entry.slice(0, entry.indexOf('=')).trim(),
        entry.slice(entry.indexOf('=') + 1).trim(),
      ]),
  );
}

async function setRoles(
  environment: Environment,
  change: (roles: Map<string, string>) => unknown,
): Promise<void> {
  const roles = rolesOf(environment);
  change(roles);
  const text = [...roles].map(([name, arn]) => `${name}=${arn}`).join(',');
  await runTool('azd', ['env', 'set', 'LOADER_AWS_ROLES', text]);
}

interface AccessKey {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
}

async function keysOf(user: string): Promise<readonly string[]> {
  const { AccessKeyMetadata } = await runJson<{ readonly AccessKeyMetadata: readonly AccessKey[] }>('aws', [
    ...['iam', 'list-access-keys', '--user-name', user],
  ]);
  return AccessKeyMetadata.map(({ AccessKeyId }) => AccessKeyId);
}

async function deleteKey(user: string, id: string): Promise<void> {
  await runTool('aws', ['iam', 'delete-access-key', '--user-name', user, '--access-key-id', id]);
}

async function storeAccessKey(
  user: string,
  credentials: string,
  newKey: boolean,
  environment: Environment,
): Promise<void> {
  const vault = environment.get('LOADER_KEY_VAULT');
  const subscription = ['--subscription', environment.get('AZURE_SUBSCRIPTION_ID')];
  const old = await keysOf(user);
  if (old.length > 0 && !newKey) {
    console.log(`User ${user} has access key ${old.join(', ')} already; --new-key makes another.`);
    return;
  }
  const { AccessKey: key } = await runJson<{ readonly AccessKey: AccessKey }>('aws', [
    ...['iam', 'create-access-key', '--user-name', user],
  ]);
  const storeSecret = (part: string, value: string) =>
    withPrivateFile(value, (file) =>
      runTool('az', [
        ...['keyvault', 'secret', 'set', '--vault-name', vault, ...subscription],
        ...['--name', `s3-${credentials.toLowerCase().replaceAll('_', '-')}-${part}`],
        ...['--file', file, '--encoding', 'utf-8', '--output', 'none'],
      ]),
    );
  try {
    await storeSecret('access-key-id', key.AccessKeyId);
    await storeSecret('secret-access-key', key.SecretAccessKey);
  } catch (error) {
    // The vault may have the new id beside the old secret. And a key that nobody knows is of no use: a user can have two.
    await Promise.allSettled(old.map((id) => storeSecret('access-key-id', id)));
    await deleteKey(user, key.AccessKeyId).catch(() => {
      console.error(`Access key ${key.AccessKeyId} of ${user} is of no use; delete it in AWS.`);
    });
    throw error;
  }
  // The app resolves references when it starts, else once a day.
  await runTool('az', [
    ...['functionapp', 'restart', '--name', environment.get('LOADER_FUNCTION_APP')],
    ...['--resource-group', environment.get('AZURE_RESOURCE_GROUP'), ...subscription],
  ]);
  console.log(`Access key ${key.AccessKeyId} of ${user} is in ${vault} as credentials "${credentials}".`);
  const known = environment.find('LOADER_S3_CREDENTIALS') || 'default';
  if (!known.split(',').some((one) => one.trim() === credentials)) {
    console.log(`Now let the app know them: azd env set LOADER_S3_CREDENTIALS ${known},${credentials}`);
    console.log('and azd provision');
  }
  for (const id of old) {
    console.log(
      `When no URL that ${id} has signed is needed any more: aws iam delete-access-key --user-name ${user} --access-key-id ${id}`,
    );
  }
}

/** Takes a stack of `deployAccess` away. The stack goes last, so that what was cut off can be done again. */
export async function removeAccess(
  place: StackPlace,
  { outputs }: Stack,
  environment: Environment,
): Promise<void> {
  const user = outputs.get('UserName');
  // A user that has keys can't be deleted.
  if (user !== undefined) for (const id of await keysOf(user)) await deleteKey(user, id);
  const role = outputs.get('RoleArn');
  if (role !== undefined) {
    await setRoles(environment, (roles) => {
      for (const [name, arn] of roles) if (arn === role) roles.delete(name);
    });
  }
  await deleteStack(place);
  if (role === undefined) return;
  console.log(LET_KNOW);
  console.log(
    'The OIDC provider stays: other environments may use it. docs/DEPLOY.md says how to take it away.',
  );
}
