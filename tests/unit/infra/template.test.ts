import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { beforeAll, describe, expect, test } from 'vitest';

import { EVENT_QUEUE } from '../../../shared/contracts/event-queue.ts';
import {
  at,
  BICEP,
  CLUSTER,
  type Compiled,
  compile,
  type Deployment,
  dependenciesOf,
  ofType,
  ROOT,
  SITE,
  STORAGE,
  single,
  VAULT,
  viewOf,
} from './compiled.ts';
import { describeApp } from './describe-app.ts';
import { describeRights } from './describe-rights.ts';

const DIAGNOSTICS = 'Microsoft.Insights/diagnosticSettings';

describe.skipIf(BICEP === null)('the Bicep templates (need the Bicep CLI)', () => {
  let result: Compiled;
  beforeAll(async () => {
    result = await compile(BICEP!);
  }, 120_000);
  const view = viewOf(() => result);
  const { compiled, deployments, inEach } = view;
  const each = <Value>(value: Value) => ({ azd: value, everything: value, dev: value, production: value });

  describeApp(view);
  describeRights(view);

  test('compile without a warning, from this repository alone', () => {
    expect(compiled().diagnostics).toEqual([]);
    const bicep = templateFiles();
    expect(bicep.length).toBeGreaterThan(10);
    for (const [file, text] of bicep)
      expect(text, file).not.toMatch(/\bbr(\/\w+)?:|\bts(\/\w+)?:|^extension /m);
  });

  test('use one version of each API, none a preview where there is another', () => {
    const versions = new Map<string, Set<string>>();
    for (const [, deployment] of deployments())
      for (const { type, apiVersion } of deployment)
        versions.set(type, (versions.get(type) ?? new Set()).add(apiVersion));
    const several = [...versions].filter(([, found]) => found.size > 1);
    expect(several).toEqual([]);
    const previews = [...versions].filter(([, found]) =>
      [...found].some((version) => version.includes('preview')),
    );
    expect(previews.map(([type]) => type)).toEqual([DIAGNOSTICS]);
    // Flex Consumption's settings, and the scheduler's list of addresses, are in these and newer ones.
    const isAtLeast = (type: string, least: string) =>
      [...versions.get(type)!].every((version) => version >= least);
    expect(isAtLeast(SITE, '2023-12-01')).toBe(true);
    expect(isAtLeast('Microsoft.Web/serverfarms', '2023-12-01')).toBe(true);
    expect(isAtLeast('Microsoft.DurableTask/schedulers', '2025-11-01')).toBe(true);
  });

  describe('storage', () => {
    test('takes identities only, over TLS 1.2, and shows nothing to the public', () => {
      expect(
        inEach((deployment) => {
          const account = single(deployment, STORAGE);
          return [
            at(account, 'allowSharedKeyAccess'),
            at(account, 'allowBlobPublicAccess'),
            at(account, 'minimumTlsVersion'),
            at(account, 'supportsHttpsTrafficOnly'),
            at(account, 'allowCrossTenantReplication'),
          ];
        }),
      ).toEqual(each([false, false, 'TLS1_2', true, false]));
      for (const [, deployment] of deployments())
        for (const container of ofType(deployment, `${STORAGE}/blobServices/containers`))
          expect(at(container, 'publicAccess')).toBe('None');
    });

    test('has the container of the package before the app, and the queues of the events', () => {
      for (const [, deployment] of deployments()) {
        const account = single(deployment, STORAGE).name;
        const container = single(deployment, `${STORAGE}/blobServices/containers`).name.split('/')[2];
        expect(at(single(deployment, SITE), 'functionAppConfig.deployment.storage.value')).toBe(
          `https://${account}.blob.core.windows.net/${container}`,
        );
        expect(ofType(deployment, `${STORAGE}/queueServices/queues`).map(({ name }) => name)).toEqual(
          [EVENT_QUEUE, `${EVENT_QUEUE}-poison`].map((queue) => `${account}/default/${queue}`),
        );
      }
      // The rights wait for the storage, and the app for the rights.
      expect(dependenciesOf(compiled().template, 'roles')).toContain('storage');
      expect(dependenciesOf(compiled().template, 'app')).toContain('roles');
    });

    test('and vault are closed to the public when there is a network, and open to no one without a role', () => {
      const access = inEach((deployment) =>
        [single(deployment, STORAGE), single(deployment, VAULT)].map((one) => [
          at(one, 'publicNetworkAccess'),
          at(one, 'networkAcls.defaultAction'),
        ]),
      );
      const open = ['Enabled', 'Allow'];
      const closed = ['Disabled', 'Deny'];
      // People reach the vault from the addresses that were named, and from no other.
      const named = ['Enabled', 'Deny'];
      expect(access).toEqual({
        azd: [open, open],
        dev: [open, open],
        production: [closed, named],
        everything: [closed, named],
      });
      for (const deployment of [compiled().production, compiled().everything])
        expect(at(single(deployment, VAULT), 'networkAcls.ipRules')).toEqual([{ value: '203.0.113.7' }]);
    });
  });

  describe('the vault', () => {
    test('goes by roles, keeps what is deleted, and in production can not be purged', () => {
      expect(
        inEach((deployment) => {
          const vault = single(deployment, VAULT);
          return [
            at(vault, 'enableRbacAuthorization'),
            at(vault, 'enableSoftDelete'),
            at(vault, 'enablePurgeProtection') ?? null,
            at(vault, 'accessPolicies') ?? null,
          ];
        }),
      ).toEqual({
        azd: [true, true, null, null],
        dev: [true, true, null, null],
        production: [true, true, true, null],
        everything: [true, true, true, null],
      });
    });
  });

  test('hold no secret in any parameter, setting or output', () => {
    const secretive = /secret|password|key(?!VaultReferenceIdentity)|sas|connectionstring/i;
    const { parameters = {}, outputs = {} } = compiled().template;
    expect(Object.entries(parameters).filter(([, { type }]) => /secure/i.test(type ?? ''))).toEqual([]);
    expect(Object.keys(parameters).filter((name) => secretive.test(name))).toEqual([]);
    expect(Object.keys(outputs).filter((name) => secretive.test(name))).toEqual(['LOADER_KEY_VAULT']);
    // With local sign-in off, the connection string of Application Insights is an address.
    for (const [, deployment] of deployments())
      expect(at(single(deployment, 'Microsoft.Insights/components'), 'DisableLocalAuth')).toBe(true);
    const text = JSON.stringify([compiled().template, deployments()]);
    expect(text).not.toMatch(
      /listKeys\(|listAccountSas\(|listServiceSas\(|AccountKey=|SharedAccess|getSecret\(/i,
    );
  });

  describe('the network', () => {
    test('has private endpoints for all that the app stores, and for the cluster if asked', () => {
      const groups = (deployment: Deployment) =>
        ofType(deployment, 'Microsoft.Network/privateEndpoints').map((endpoint) => {
          const [connection] = at(
            endpoint,
            'privateLinkServiceConnections',
          ) as unknown as readonly Connection[];
          return connection!.properties.groupIds[0];
        });
      expect(inEach(groups)).toEqual({
        azd: [],
        dev: [],
        production: ['blob', 'queue', 'table', 'vault'],
        everything: ['blob', 'queue', 'table', 'vault', 'cluster'],
      });
    });

    test('resolves names of the cluster and of the storage behind it', () => {
      const names = ofType(compiled().everything, 'Microsoft.Network/privateDnsZones').map(
        ({ name }) => name,
      );
      expect(names).toEqual([
        'privatelink.blob.core.windows.net',
        'privatelink.queue.core.windows.net',
        'privatelink.table.core.windows.net',
        'privatelink.vaultcore.azure.net',
        'privatelink.westeurope.kusto.windows.net',
      ]);
      for (const link of ofType(
        compiled().everything,
        'Microsoft.Network/privateDnsZones/virtualNetworkLinks',
      ))
        expect(at(link, 'resolutionPolicy')).toBe('NxDomainRedirect');
      const groups = ofType(compiled().everything, 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups');
      const zones = groups.map(
        (group) => (at(group, 'privateDnsZoneConfigs') as unknown as readonly unknown[]).length,
      );
      expect(zones).toEqual([1, 1, 1, 1, 4]);
    });
  });

  test('send diagnostics of all that has state or traffic to the workspace', () => {
    const scopes = (deployment: Deployment) =>
      ofType(deployment, DIAGNOSTICS)
        // The type of what the setting is for: every other part of its id.
        .map(({ id }) =>
          id
            .split('/providers/')[1]!
            .split('/')
            .filter((_, index) => index === 0 || index % 2 === 1),
        )
        .map((parts) => parts.join('/'))
        .sort();
    const always = [
      `${STORAGE}/blobServices`,
      `${STORAGE}/queueServices`,
      `${STORAGE}/tableServices`,
      VAULT,
      SITE,
    ];
    const withCluster = [...always, CLUSTER].sort();
    expect(inEach(scopes)).toEqual({
      azd: [...always].sort(),
      production: [...always].sort(),
      dev: withCluster,
      everything: withCluster,
    });
    for (const [, deployment] of deployments()) {
      const workspace = single(deployment, 'Microsoft.OperationalInsights/workspaces').id;
      for (const setting of ofType(deployment, DIAGNOSTICS)) {
        expect(at(setting, 'workspaceId')).toBe(workspace);
        const sent = [at(setting, 'logs') ?? [], at(setting, 'metrics') ?? []].flat();
        expect(sent.length).toBeGreaterThan(0);
      }
    }
  });
});

interface Connection {
  readonly properties: { readonly groupIds: readonly string[] };
}

/** Names and texts of all Bicep files. */
function templateFiles(): readonly (readonly [string, string])[] {
  return readdirSync(path.join(ROOT, 'infra'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.bicep(param)?$/.test(file))
    .map((file) => [file, readFileSync(path.join(ROOT, 'infra', file), 'utf8')] as const);
}
