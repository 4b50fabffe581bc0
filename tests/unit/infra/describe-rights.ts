import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import {
  at,
  CLUSTER,
  type CompiledView,
  type Deployment,
  definitionOf,
  moduleOf,
  OPERATOR,
  OWN_CLUSTER,
  ofType,
  type Resource,
  ROOT,
  SENDER,
  settingsOf,
  single,
  TENANT,
} from './compiled.ts';

const KUSTO_RIGHT = 'Microsoft.Kusto/clusters/databases/principalAssignments';
const SCHEDULER = 'Microsoft.DurableTask/schedulers';
const ROLE = 'Microsoft.Authorization/roleAssignments';

interface HostJson {
  readonly extensions: { readonly durableTask: { readonly hubName: string } };
}

/** Promises about who may do what, in Azure, in Azure Data Explorer and at the Durable Task Scheduler. */
export function describeRights({ compiled, deployments, inEach }: CompiledView): void {
  describe('role assignments', () => {
    const NAMES: Readonly<Record<string, string>> = {
      'b7e6dc6d-f1e8-4753-8033-0f276bb0955b': 'Storage Blob Data Owner',
      '974c5e8b-45b9-4653-ba55-5f855dd0fb88': 'Storage Queue Data Contributor',
      '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3': 'Storage Table Data Contributor',
      'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a': 'Storage Queue Data Message Sender',
      '4633458b-17de-408a-b874-0445c86b69e6': 'Key Vault Secrets User',
      'b86a8fe4-44ce-4948-aee5-eccb2c155cd7': 'Key Vault Secrets Officer',
      '3913510d-42f4-4e42-8a64-420c390055eb': 'Monitoring Metrics Publisher',
      '0ad04412-c4d5-4796-b79c-f76d14c8d402': 'Durable Task Data Contributor',
    };
    const APP = [
      'app: Storage Blob Data Owner on storageAccounts',
      'app: Storage Queue Data Contributor on storageAccounts',
      'app: Storage Table Data Contributor on storageAccounts',
      'app: Key Vault Secrets User on vaults',
      'app: Monitoring Metrics Publisher on components',
    ];
    const shown = (role: Resource) => {
      const principal = String(at(role, 'principalId'));
      const who =
        { [OPERATOR]: 'operator', [SENDER]: 'sender' }[principal] ??
        (principal.endsWith('.outputs.principalId.value]') ? 'app' : principal);
      const id = String(at(role, 'roleDefinitionId')).split('/').at(-1)!;
      // The innermost type of what it is assigned on.
      const on = /'?(\/subscriptions\/[^']*?)(?:\/providers\/Microsoft\.Authorization|')/.exec(role.id)?.[1];
      return `${who}: ${NAMES[id] ?? id} on ${on?.split('/').at(-2)}`;
    };

    test('are these and no others', () => {
      expect(inEach((deployment) => ofType(deployment, ROLE).map(shown).sort())).toEqual({
        azd: [...APP, 'operator: Key Vault Secrets Officer on vaults'].sort(),
        dev: [...APP, 'operator: Key Vault Secrets Officer on vaults'].sort(),
        production: [...APP, 'operator: Key Vault Secrets Officer on vaults'].sort(),
        everything: [
          ...APP,
          'app: Durable Task Data Contributor on taskHubs',
          'operator: Key Vault Secrets Officer on vaults',
          'sender: Storage Queue Data Message Sender on queues',
        ].sort(),
      });
    });

    test('of the app are for its object id, which may not be known to the directory yet', () => {
      for (const [, deployment] of deployments())
        for (const role of ofType(deployment, ROLE).filter((one) => shown(one).startsWith('app:'))) {
          expect(at(role, 'principalId')).toMatch(/\.outputs\.principalId\.value\]$/);
          expect(at(role, 'principalType')).toBe('ServicePrincipal');
        }
    });
  });

  describe('Azure Data Explorer', () => {
    const rights = (deployment: Deployment) =>
      ofType(deployment, KUSTO_RIGHT).map((right) => {
        const principal = String(at(right, 'principalId'));
        const who =
          principal === OPERATOR ? 'operator' : principal.replace(/^\[.*\.outputs\.(\w+)\.value\]$/, '$1');
        return `${at(right, 'principalType')} ${who}: ${at(right, 'role')}`;
      });

    test('knows the app as an application by its client id, as ingestor and viewer and no more', () => {
      const app = ['App clientId: Ingestor', 'App clientId: Viewer'];
      const trial = [...app, 'User operator: Admin'];
      expect(inEach((deployment) => rights(deployment).sort())).toEqual({
        azd: [],
        dev: trial,
        everything: trial,
        production: app,
      });
      for (const [, deployment] of deployments())
        for (const right of ofType(deployment, KUSTO_RIGHT)) expect(at(right, 'tenantId')).toBe(TENANT);
    });

    test('rights have names of their own, by role', () => {
      for (const deployment of [compiled().dev, compiled().production]) {
        const names = ofType(deployment, KUSTO_RIGHT).map(({ name }) => name);
        expect(new Set(names).size).toBe(names.length);
      }
    });

    test('rights go to the cluster that was named, in its own subscription and group', () => {
      const [, , subscription, , group, , , , cluster] = OWN_CLUSTER.split('/');
      const own = ofType(compiled().production, KUSTO_RIGHT);
      expect(own).toHaveLength(2);
      for (const { id } of own) {
        expect(id).toMatch(new RegExp(`^\\[resourceId\\('${subscription}', '${group}', '${KUSTO_RIGHT}', `));
        expect(id).toContain(`format('{0}/{1}/{2}', '${cluster}', 'telemetry', `);
      }
      expect(ofType(compiled().production, CLUSTER)).toEqual([]);
    });

    test('more than that takes a parameter, which is off', () => {
      const { parameters = {} } = compiled().template;
      expect(parameters['adxTableCreation']?.defaultValue).toBe(false);
      expect(parameters['adxAdminOfTables']?.defaultValue).toEqual([]);
      expect(definitionOf(compiled().template, 'databaseRole').allowedValues).toEqual([
        'Admin',
        'Ingestor',
        'User',
        'Viewer',
      ]);
      const access = moduleOf(compiled().template, 'kustoAccess');
      const script = Object.values(access.resources).find(({ type }) => type.endsWith('/scripts'));
      expect(script).toMatchObject({ condition: "[not(empty(parameters('adminOfTables')))]" });
      expect(JSON.stringify(access)).toContain('.add table [');
      expect(JSON.stringify(access)).toContain("admins (''aadapp={1};{2}'')");
      expect(JSON.stringify(access)).not.toContain('forceUpdateTag');
    });

    test('has for a trial the one SKU that is cheap, and its tier', () => {
      const cluster = single(compiled().dev, CLUSTER);
      expect(cluster.sku).toEqual({ name: 'Dev(No SLA)_Standard_E2a_v4', tier: 'Basic', capacity: 1 });
      expect(cluster.name.length).toBeLessThanOrEqual(22);
      expect(cluster.name).toMatch(/^[a-z][a-z0-9]+$/);
      expect(at(cluster, 'enableAutoStop')).toBe(true);
      expect(at(single(compiled().dev, `${CLUSTER}/databases`), 'softDeletePeriod')).toBe('P31D');
    });

    test('scripts are commands that are allowed there, with a blank line between them', () => {
      const script = String(at(single(compiled().dev, `${CLUSTER}/databases/scripts`), 'scriptContent'));
      const blocks = script.trim().split(/\n{2,}/);
      expect(blocks.length).toBeGreaterThan(1);
      for (const block of blocks) {
        const commands = block.split('\n').filter((line) => !line.startsWith('//'));
        expect(commands).toHaveLength(1);
        expect(commands[0]).toMatch(/^\.(create|create-or-alter|create-merge|alter|alter-merge|add) /);
      }
    });
  });

  describe('the Durable Task Scheduler', () => {
    test('is made only when asked for, lets its callers in, and has the hub of host.json', () => {
      expect(inEach((deployment) => ofType(deployment, SCHEDULER).length)).toEqual({
        azd: 0,
        dev: 0,
        production: 0,
        everything: 1,
      });
      const scheduler = single(compiled().everything, SCHEDULER);
      expect(at(scheduler, 'ipAllowlist')).toEqual(['0.0.0.0/0']);
      expect(at(scheduler, 'sku')).toEqual({ name: 'Dedicated', capacity: 1 });
      expect(scheduler.name).toMatch(/^[a-zA-Z0-9-]{3,64}$/);
      const host = JSON.parse(readFileSync(path.join(ROOT, 'host.json'), 'utf8')) as HostJson;
      expect(single(compiled().everything, `${SCHEDULER}/taskHubs`).name).toBe(
        `${scheduler.name}/${host.extensions.durableTask.hubName}`,
      );
    });

    test('is found by its endpoint as the service gives it, as the identity by its client id', () => {
      const connection = settingsOf(compiled().everything)['DURABLE_TASK_SCHEDULER_CONNECTION_STRING'];
      expect(connection).toMatch(
        /^\[format\('Endpoint=\{0\};Authentication=ManagedIdentity;ClientID=\{1\}', .*\.outputs\.endpoint\.value, .*\.outputs\.clientId\.value\)\]$/,
      );
      const { outputs } = moduleOf(compiled().template, 'scheduler');
      expect(outputs?.['endpoint']?.value).toMatch(/^\[reference\('scheduler'\)\.endpoint\]$/);
    });
  });
}
