import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { type Rule, runWithFakeTools } from './fake-tools.ts';

const HOOK = path.join('infra', 'hooks', 'api-sign-in.ts');
const ON = { AZURE_ENV_NAME: 'test', LOADER_HTTP_AUTH: 'entra' };
const NAME = 's3-adx-loader-api-test';
const APP = { id: 'object-1', appId: 'app-1', displayName: NAME, identifierUris: [] };
const rulesFor = (found: readonly object[], change: readonly Rule[] = []): readonly Rule[] => [
  ...change,
  { call: `az ad app list --display-name ${NAME}`, stdout: JSON.stringify(found) },
  { call: 'az ad app create', stdout: JSON.stringify(APP) },
  { call: 'az ad app delete' },
  { call: 'az rest --method get', stdout: '{"identifierUris": [], "appRoles": [], "api": {}}' },
  { call: 'az rest --method patch' },
  { call: 'az ad sp show', stderr: "Resource 'app-1' does not exist" },
  { call: 'az ad sp create' },
  { call: 'azd env set' },
];

interface Change {
  readonly identifierUris?: readonly string[];
  readonly appRoles?: readonly { readonly id: string; readonly value: string; readonly isEnabled: boolean }[];
  readonly api: {
    readonly requestedAccessTokenVersion: number;
    readonly oauth2PermissionScopes: readonly { readonly id: string; readonly value: string }[];
    readonly preAuthorizedApplications?: readonly {
      readonly appId: string;
      readonly delegatedPermissionIds: readonly string[];
    }[];
  };
}

// The stand-ins are shell scripts.
describe.skipIf(process.platform === 'win32')(
  'the hook for the sign-in to the API',
  { timeout: 60_000 },
  () => {
    test('does nothing as long as callers have keys', async () => {
      for (const LOADER_HTTP_AUTH of ['', 'keys']) {
        const { code, output, lines } = await runWithFakeTools(HOOK, ['register'], {
          rules: [],
          env: { AZURE_ENV_NAME: 'test', LOADER_HTTP_AUTH },
        });
        expect([code, output, lines]).toEqual([0, '', []]);
      }
    });

    test('registers the application with the roles that the app knows, and tells azd', async () => {
      const { code, files, lines } = await runWithFakeTools(HOOK, ['register'], {
        rules: rulesFor([]),
        env: ON,
      });
      expect(code).toBe(0);
      expect(lines.map((line) => line.replace(/ --body \S+/, ''))).toEqual([
        `az ad app list --display-name ${NAME} --output json`,
        `az ad app create --display-name ${NAME} --sign-in-audience AzureADMyOrg --output json`,
        'az rest --method get --url https://graph.microsoft.com/v1.0/applications/object-1 --output json',
        'az rest --method patch --url https://graph.microsoft.com/v1.0/applications/object-1',
        'az rest --method patch --url https://graph.microsoft.com/v1.0/applications/object-1',
        'az ad sp show --id app-1',
        'az ad sp create --id app-1',
        'azd env set LOADER_API_CLIENT_ID app-1',
      ]);
      const [first, second] = files.map((text) => JSON.parse(text) as Change);
      expect(first!.identifierUris).toEqual(['api://app-1']);
      expect(first!.appRoles!.map(({ value, isEnabled }) => [value, isEnabled])).toEqual([
        ['reader', true],
        ['operator', true],
        ['admin', true],
      ]);
      const ids = [...first!.appRoles!, ...first!.api.oauth2PermissionScopes].map(({ id }) => id);
      expect(new Set(ids).size).toBe(4);
      for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      // As the issuer in infra/modules/function-app.bicep wants it.
      expect(first!.api.requestedAccessTokenVersion).toBe(2);
      const [scope] = first!.api.oauth2PermissionScopes;
      expect(second).toEqual({
        api: {
          ...first!.api,
          preAuthorizedApplications: [
            { appId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', delegatedPermissionIds: [scope!.id] },
          ],
        },
      });
    });

    test('changes nothing that is as it should be, and keeps what others have added', async () => {
      const theirs = {
        identifierUris: ['api://theirs'],
        appRoles: [{ id: 'their-role', value: 'auditor' }],
        api: {
          oauth2PermissionScopes: [{ id: 'their-scope' }],
          preAuthorizedApplications: [{ appId: 'their-app', delegatedPermissionIds: ['their-scope'] }],
        },
      };
      const added = await runWithFakeTools(HOOK, ['register'], {
        rules: rulesFor([APP], [{ call: 'az rest --method get', stdout: JSON.stringify(theirs) }]),
        env: ON,
      });
      const [first, second] = added.files.map((text) => JSON.parse(text) as Change);
      expect(first!.identifierUris).toEqual(['api://theirs', 'api://app-1']);
      expect(first!.appRoles!.map(({ value }) => value)).toEqual(['auditor', 'reader', 'operator', 'admin']);
      expect(first!.api.oauth2PermissionScopes).toHaveLength(2);
      expect(second!.api.preAuthorizedApplications).toHaveLength(2);
      const complete = JSON.stringify({ ...first, ...second });
      const again = await runWithFakeTools(HOOK, ['register'], {
        // Somebody who may read the registration, and not change it.
        rules: rulesFor(
          [APP],
          [
            { call: 'az rest --method get', stdout: complete },
            { call: 'az rest --method patch', stderr: 'Insufficient privileges' },
          ],
        ),
        env: ON,
      });
      expect([again.code, again.lines.some((line) => line.includes('patch'))]).toEqual([0, false]);
    });

    test('does nothing in a directory that is not that of the subscription', async () => {
      const account = (tenantId: string) => JSON.stringify({ tenantId });
      const run = (here: string, wanted: Partial<Rule>) =>
        runWithFakeTools(HOOK, ['register'], {
          rules: [
            { call: 'az account show --subscription sub-1', ...wanted },
            { call: 'az account show', stdout: account(here) },
            ...rulesFor([APP]),
          ],
          env: { ...ON, AZURE_SUBSCRIPTION_ID: 'sub-1' },
        });
      const elsewhere = await run('tenant-2', { stdout: account('tenant-1') });
      expect([elsewhere.code, elsewhere.output]).toEqual([1, expect.stringContaining('az login')]);
      expect(elsewhere.lines.some((line) => line.startsWith('az ad'))).toBe(false);
      const unseen = await run('tenant-2', { stderr: 'The subscription does not exist' });
      expect([unseen.code, unseen.output]).toEqual([1, expect.stringContaining('az account set')]);
      expect((await run('tenant-1', { stdout: account('tenant-1') })).code).toBe(0);
    });

    test('takes the registration that there is, and removes it at the end', async () => {
      const again = await runWithFakeTools(HOOK, ['register'], {
        rules: rulesFor([APP], [{ call: 'az ad sp show', stdout: '{}' }]),
        env: ON,
      });
      expect(again.lines.filter((line) => line.includes('create'))).toEqual([]);
      expect(again.lines.at(-1)).toBe('azd env set LOADER_API_CLIENT_ID app-1');
      const { code, lines } = await runWithFakeTools(HOOK, ['remove'], { rules: rulesFor([APP]), env: ON });
      expect([code, lines.at(-1)]).toEqual([0, 'az ad app delete --id app-1']);
    });

    test('says what Graph said when it refuses', async () => {
      const { code, output, lines } = await runWithFakeTools(HOOK, ['register'], {
        rules: rulesFor(
          [APP],
          [{ call: 'az rest', stderr: 'Insufficient privileges to complete the operation.' }],
        ),
        env: ON,
      });
      expect([code, output]).toEqual([1, expect.stringContaining('Insufficient privileges')]);
      expect(lines.some((line) => line.startsWith('azd env set'))).toBe(false);
    });
  },
);
