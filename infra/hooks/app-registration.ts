import process from 'node:process';

import { CommandFailed, runJson, runScript, runTool } from '../command-line.ts';

/** An app registration, as `az ad app` shows it. */
export interface AppRegistration {
  /** Object id, by which Microsoft Graph knows it. */
  readonly id: string;
  /** Client id. */
  readonly appId: string;
  readonly displayName: string;
  readonly identifierUris: readonly string[];
  readonly api?: { readonly requestedAccessTokenVersion: number | null } | null;
}

/** The registration of this name, made if there is none. */
export async function ensureRegistration(name: string): Promise<AppRegistration> {
  return (await findRegistration(name)) ?? (await create(name));
}

/** `--display-name` finds names that begin with it. */
async function findRegistration(name: string): Promise<AppRegistration | null> {
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

/** Without one in the tenant nobody gets a token for the application (AADSTS500011), and no role can be given. */
export async function ensureServicePrincipal(appId: string): Promise<void> {
  try {
    await runTool('az', ['ad', 'sp', 'show', '--id', appId]);
  } catch (error) {
    if (!(error instanceof CommandFailed) || !/does not exist|not found/i.test(error.output)) throw error;
    await runTool('az', ['ad', 'sp', 'create', '--id', appId]);
  }
}

async function removeRegistration(name: string): Promise<void> {
  const app = await findRegistration(name);
  if (app === null) return;
  await runTool('az', ['ad', 'app', 'delete', '--id', app.appId]);
  console.log(`Deleted app registration ${name} (${app.appId})`);
}

/**
 * The Azure CLI may be signed in elsewhere than azd: the registration would be made in another directory, where nobody looks
 * for it. Before the first provision azd may not have a subscription yet.
 */
async function expectSameTenant(subscription: string | undefined): Promise<void> {
  if (!subscription) return;
  const show = (...args: readonly string[]) =>
    runJson<{ readonly tenantId: string }>('az', ['account', 'show', ...args]);
  const remedy = `az login, with --tenant where you have several, then az account set --subscription ${subscription}`;
  const wanted = await show('--subscription', subscription).catch((error: unknown) => {
    throw new Error(`The Azure CLI can't see the subscription of this environment: ${remedy}`, {
      cause: error,
    });
  });
  const { tenantId } = await show();
  if (tenantId !== wanted.tenantId)
    throw new Error(`The Azure CLI is signed in to tenant ${tenantId}, azd to ${wanted.tenantId}: ${remedy}`);
}

/** Runs a hook of azd: `register` or `remove`, as the command line says; nothing unless it is switched on. */
export function runHook(hook: {
  readonly isOn: boolean;
  /** Part of the registration's name. */
  readonly purpose: 'api' | 'aws';
  readonly register: (name: string) => Promise<void>;
}): Promise<void> {
  return runScript(async () => {
    if (!hook.isOn) return;
    const environment = process.env['AZURE_ENV_NAME'];
    if (!environment) throw new Error('AZURE_ENV_NAME is not set: azd runs this script');
    await expectSameTenant(process.env['AZURE_SUBSCRIPTION_ID']);
    const name = `s3-adx-loader-${hook.purpose}-${environment}`;
    switch (process.argv[2]) {
      case 'register':
        return hook.register(name);
      case 'remove':
        return removeRegistration(name);
      default:
        throw new Error('say register or remove');
    }
  });
}
