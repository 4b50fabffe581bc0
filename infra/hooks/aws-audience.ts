/**
 * The Entra app registration whose Application ID URI is the audience of tokens for AWS. Run by azd (azure.yaml):
 *
 *   node scripts/set-up.mjs infra/hooks/aws-audience.ts register|remove
 *
 * Does nothing unless the azd environment has LOADER_AWS_WEB_IDENTITY=true. `register` makes what is missing and writes
 * LOADER_AWS_APP_ID and LOADER_AWS_AUDIENCE into the azd environment; it may be run again.
 */
import process from 'node:process';

import { CommandFailed, runJson, runScript, runTool } from '../command-line.ts';

interface AppRegistration {
  readonly appId: string;
  readonly displayName: string;
  readonly identifierUris: readonly string[];
  readonly api?: { readonly requestedAccessTokenVersion: number | null } | null;
}

async function register(name: string): Promise<void> {
  const app = (await find(name)) ?? (await create(name));
  const audience = `api://${app.appId}`;
  // AWS was seen to refuse v2 tokens of managed identities, whose audience is another one than their `azp`.
  const version = app.api?.requestedAccessTokenVersion ?? 1;
  if (version !== 1) {
    throw new Error(
      `App registration ${app.appId} issues access tokens of version ${version}; AWS needs version 1: set requestedAccessTokenVersion to null in its manifest.`,
    );
  }
  if (!app.identifierUris.includes(audience))
    await runTool('az', ['ad', 'app', 'update', '--id', app.appId, '--identifier-uris', audience]);
  await ensureServicePrincipal(app.appId);
  await runTool('azd', ['env', 'set', 'LOADER_AWS_APP_ID', app.appId]);
  await runTool('azd', ['env', 'set', 'LOADER_AWS_AUDIENCE', audience]);
  console.log(`Audience for AWS: ${audience}`);
}

/** `--display-name` finds names that begin with it. */
async function find(name: string): Promise<AppRegistration | null> {
  const found = (
    await runJson<readonly AppRegistration[]>('az', ['ad', 'app', 'list', '--display-name', name])
  ).filter(({ displayName }) => displayName === name);
  if (found.length > 1)
    throw new Error(`There are ${found.length} app registrations "${name}"; delete all but one.`);
  return found[0] ?? null;
}

function create(name: string): Promise<AppRegistration> {
  return runJson('az', ['ad', 'app', 'create', '--display-name', name, '--sign-in-audience', 'AzureADMyOrg']);
}

/** Without one in the tenant nobody gets a token for the audience (AADSTS500011). */
async function ensureServicePrincipal(appId: string): Promise<void> {
  try {
    await runTool('az', ['ad', 'sp', 'show', '--id', appId]);
  } catch (error) {
    if (!(error instanceof CommandFailed) || !/does not exist|not found/i.test(error.output)) throw error;
    await runTool('az', ['ad', 'sp', 'create', '--id', appId]);
  }
}

async function remove(name: string): Promise<void> {
  const app = await find(name);
  if (app === null) return;
  await runTool('az', ['ad', 'app', 'delete', '--id', app.appId]);
  console.log(`Deleted app registration ${name} (${app.appId})`);
}

await runScript(async () => {
  if (process.env['LOADER_AWS_WEB_IDENTITY'] !== 'true') return;
  const environment = process.env['AZURE_ENV_NAME'];
  if (!environment) throw new Error('AZURE_ENV_NAME is not set: azd runs this script');
  const name = `s3-adx-loader-aws-${environment}`;
  switch (process.argv[2]) {
    case 'register':
      return register(name);
    case 'remove':
      return remove(name);
    default:
      throw new Error('usage: aws-audience.ts register|remove');
  }
});
