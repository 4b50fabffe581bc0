/**
 * The Entra app registration whose Application ID URI is the audience of tokens for AWS. Run by azd (azure.yaml):
 *
 *   node scripts/set-up.mjs infra/hooks/aws-audience.ts register|remove
 *
 * Does nothing unless the azd environment has LOADER_AWS_WEB_IDENTITY=true. `register` makes what is missing and writes
 * LOADER_AWS_APP_ID and LOADER_AWS_AUDIENCE into the azd environment; it may be run again.
 */
import process from 'node:process';

import { runTool } from '../command-line.ts';
import { ensureRegistration, ensureServicePrincipal, runHook } from './app-registration.ts';

async function register(name: string): Promise<void> {
  const app = await ensureRegistration(name);
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

await runHook({ isOn: process.env['LOADER_AWS_WEB_IDENTITY'] === 'true', purpose: 'aws', register });
