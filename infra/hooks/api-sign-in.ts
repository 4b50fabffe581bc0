/**
 * The Entra app registration with which callers sign in to the HTTP API, and its app roles. Run by azd (azure.yaml):
 *
 *   node scripts/set-up.mjs infra/hooks/api-sign-in.ts register|remove
 *
 * Does nothing unless the azd environment has LOADER_HTTP_AUTH=entra. `register` makes what is missing and writes
 * LOADER_API_CLIENT_ID into the azd environment; it may be run again, and changes nothing then.
 */
import process from 'node:process';

import { runJson, runTool } from '../command-line.ts';
import { withPrivateFile } from '../private-file.ts';
import { ensureRegistration, ensureServicePrincipal, runHook } from './app-registration.ts';

/** Ids are of this script's making: they are the same in every tenant, so that it may run again. */
const SCOPE_ID = 'c9b4ae0d-6a0b-4c1e-9a52-0d4b8f1d7e01';
const ROLES = [
  {
    id: 'c9b4ae0d-6a0b-4c1e-9a52-0d4b8f1d7e02',
    value: 'reader',
    description: 'Sees loads, runs and fates of objects.',
  },
  {
    id: 'c9b4ae0d-6a0b-4c1e-9a52-0d4b8f1d7e03',
    value: 'operator',
    description: 'Also starts, cancels, suspends, resumes and reruns, and tests connections.',
  },
  {
    id: 'c9b4ae0d-6a0b-4c1e-9a52-0d4b8f1d7e04',
    value: 'admin',
    description: 'Also puts and deletes loads, undoes and resets.',
  },
] as const;

/** The Azure CLI, as every tenant knows it: people get their tokens by `az account get-access-token`. */
const AZURE_CLI = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

const SCOPE = {
  id: SCOPE_ID,
  value: 'user_impersonation',
  type: 'User',
  isEnabled: true,
  adminConsentDisplayName: 'Call the loader',
  adminConsentDescription: 'Calls the loader as whoever is signed in.',
  userConsentDisplayName: 'Call the loader',
  userConsentDescription: 'Calls the loader as you.',
};

/** An application, as Microsoft Graph has it. */
interface Application {
  readonly identifierUris?: readonly string[];
  readonly appRoles?: readonly { readonly id: string }[];
  readonly api?: {
    readonly requestedAccessTokenVersion?: number | null;
    readonly oauth2PermissionScopes?: readonly { readonly id: string }[];
    readonly preAuthorizedApplications?: readonly {
      readonly appId: string;
      readonly delegatedPermissionIds: readonly string[];
    }[];
  };
}

/** Ours beside what others have added: Graph replaces a list as a whole. */
function withOurs<Item>(
  present: readonly Item[] = [],
  ours: readonly Item[],
  idOf: (item: Item) => string,
): readonly Item[] {
  const ids = new Set(ours.map(idOf));
  return [...present.filter((item) => !ids.has(idOf(item))), ...ours];
}

async function register(name: string): Promise<void> {
  const { id, appId } = await ensureRegistration(name);
  const present = await readApplication(id);
  // Who provisions later need not own the registration, as long as nothing is to be changed.
  if (!isComplete(present, appId)) await complete(id, appId, present);
  await ensureServicePrincipal(appId);
  await runTool('azd', ['env', 'set', 'LOADER_API_CLIENT_ID', appId]);
  console.log(`Sign-in to the API: api://${appId}. Give its app roles to people; docs/DEPLOY.md says how.`);
}

function isComplete({ identifierUris, appRoles, api }: Application, appId: string): boolean {
  const roles = new Set(appRoles?.map(({ id }) => id));
  return (
    identifierUris?.includes(`api://${appId}`) === true &&
    ROLES.every(({ id }) => roles.has(id)) &&
    api?.requestedAccessTokenVersion === 2 &&
    api.oauth2PermissionScopes?.some(({ id }) => id === SCOPE_ID) === true &&
    api.preAuthorizedApplications?.some(({ appId: allowed }) => allowed === AZURE_CLI) === true
  );
}

async function complete(id: string, appId: string, present: Application): Promise<void> {
  const api = {
    // The issuer that the templates name is that of version 2.
    requestedAccessTokenVersion: 2,
    oauth2PermissionScopes: withOurs(present.api?.oauth2PermissionScopes, [SCOPE], (one) => one.id),
  };
  const uri = `api://${appId}`;
  await patch(id, {
    identifierUris: withOurs(present.identifierUris, [uri], (one) => one),
    api,
    appRoles: withOurs(
      present.appRoles,
      ROLES.map((role) => ({
        ...role,
        displayName: `Loader ${role.value}`,
        isEnabled: true,
        allowedMemberTypes: ['User', 'Application'],
      })),
      (one) => one.id,
    ),
  });
  // A scope can be referred to only when it is there.
  const allowed = { appId: AZURE_CLI, delegatedPermissionIds: [SCOPE_ID] };
  const preAuthorizedApplications = withOurs(
    present.api?.preAuthorizedApplications,
    [allowed],
    (one) => one.appId,
  );
  await patch(id, { api: { ...api, preAuthorizedApplications } });
}

const urlOf = (objectId: string) => `https://graph.microsoft.com/v1.0/applications/${objectId}`;

function readApplication(objectId: string): Promise<Application> {
  return runJson('az', ['rest', '--method', 'get', '--url', urlOf(objectId)]);
}

/** By Microsoft Graph: `az ad app` knows neither scopes nor who is allowed to use them without being asked. */
function patch(objectId: string, change: object): Promise<string> {
  return withPrivateFile(JSON.stringify(change), (file) =>
    runTool('az', ['rest', '--method', 'patch', '--body', `@${file}`, '--url', urlOf(objectId)]),
  );
}

await runHook({ isOn: process.env['LOADER_HTTP_AUTH'] === 'entra', purpose: 'api', register });
