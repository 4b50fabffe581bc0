import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { readS3Credentials } from '../../../shared/config/s3-credentials.ts';
import { readSettings } from '../../../shared/config/settings.ts';
import {
  at,
  type CompiledView,
  type Deployment,
  definitionOf,
  dependenciesOf,
  ofType,
  ROOT,
  SITE,
  STORAGE,
  settingsOf,
  single,
  VAULT,
} from './compiled.ts';

interface FunctionAppConfig {
  readonly runtime: { readonly name: string; readonly version: string };
  readonly deployment: { readonly storage: { readonly type: string; readonly authentication: object } };
  readonly scaleAndConcurrency: {
    readonly instanceMemoryMB: number;
    readonly maximumInstanceCount: number;
    readonly alwaysReady: readonly { readonly name: string; readonly instanceCount: number }[];
  };
}

interface Subnet {
  readonly properties: {
    readonly addressPrefix: string;
    readonly natGateway?: object;
    readonly delegations?: readonly { readonly properties: { readonly serviceName: string } }[];
  };
}

const site = (deployment: Deployment) => single(deployment, SITE);

/** Promises about the function app and its settings. */
export function describeApp({ compiled, deployments, inEach }: CompiledView): void {
  describe('the function app', () => {
    test('is Flex Consumption for Linux, with a runtime and sizes that exist', () => {
      for (const [, deployment] of deployments()) {
        const plan = single(deployment, 'Microsoft.Web/serverfarms');
        expect(plan.sku).toEqual({ name: 'FC1', tier: 'FlexConsumption' });
        expect(at(plan, 'reserved')).toBe(true);
        expect(site(deployment).kind).toBe('functionapp,linux');
        const config = at(site(deployment), 'functionAppConfig') as unknown as FunctionAppConfig;
        expect(config.runtime.name).toBe('node');
        expect(['22', '24']).toContain(config.runtime.version);
        expect([512, 2048, 4096]).toContain(config.scaleAndConcurrency.instanceMemoryMB);
        expect(config.scaleAndConcurrency.maximumInstanceCount).toBeGreaterThanOrEqual(40);
        expect(config.scaleAndConcurrency.maximumInstanceCount).toBeLessThanOrEqual(1000);
        for (const { name } of config.scaleAndConcurrency.alwaysReady) expect(name).toBe('durable');
        expect(config.deployment.storage.type).toBe('blobContainer');
        expect(config.deployment.storage.authentication).toEqual({
          type: 'UserAssignedIdentity',
          userAssignedIdentityResourceId: single(
            deployment,
            'Microsoft.ManagedIdentity/userAssignedIdentities',
          ).id,
        });
      }
      expect(
        inEach((deployment) => at(site(deployment), 'functionAppConfig.scaleAndConcurrency.alwaysReady')),
      ).toEqual({
        azd: [],
        dev: [],
        production: [{ name: 'durable', instanceCount: 1 }],
        everything: [{ name: 'durable', instanceCount: 1 }],
      });
    });

    test('can be given only sizes that Flex Consumption has', () => {
      const { properties = {} } = definitionOf(compiled().template, 'scaleSettings');
      expect(properties['instanceMemoryMB']?.allowedValues).toEqual([2048, 4096, 512]);
      const { minValue, maxValue } = properties['maximumInstanceCount'] ?? {};
      expect([minValue, maxValue]).toEqual([40, 1000]);
      const { parameters = {} } = compiled().template;
      expect(parameters['nodeVersion']).toMatchObject({ allowedValues: ['22', '24'] });
    });

    test('speaks HTTPS with TLS 1.2, and has no passwords', () => {
      for (const [, deployment] of deployments()) {
        expect(at(site(deployment), 'httpsOnly')).toBe(true);
        expect(at(site(deployment), 'siteConfig.minTlsVersion')).toBe('1.2');
        expect(at(site(deployment), 'siteConfig.scmMinTlsVersion')).toBe('1.2');
        const policies = ofType(deployment, `${SITE}/basicPublishingCredentialsPolicies`);
        expect(policies.map(({ name, properties }) => [name.split('/')[1], properties?.['allow']])).toEqual([
          ['scm', false],
          ['ftp', false],
        ]);
      }
    });

    test('has the identity that is assigned, and reads references as it', () => {
      for (const [, deployment] of deployments()) {
        const { id } = single(deployment, 'Microsoft.ManagedIdentity/userAssignedIdentities');
        expect(site(deployment).identity).toEqual({
          type: 'UserAssigned',
          userAssignedIdentities: { [id]: {} },
        });
        expect(at(site(deployment), 'keyVaultReferenceIdentity')).toBe(id);
      }
    });

    test('has none of the properties that Flex Consumption does not take', () => {
      const refused =
        /^(alwaysOn|containerSize|isReserved|isXenon|functionsRuntimeScaleMonitoringEnabled|linuxFxVersion|windowsFxVersion|netFrameworkVersion|javaVersion|nodeVersion|powerShellVersion|preWarmedInstanceCount|use32BitWorkerProcess|vnet\w+Enabled|functionAppScaleLimit|minimumElasticInstanceCount)$/i;
      for (const [, deployment] of deployments()) {
        const { siteConfig, ...properties } = site(deployment).properties ?? {};
        const names = [...Object.keys(properties), ...Object.keys(siteConfig as object)];
        expect(names.filter((name) => refused.test(name))).toEqual([]);
      }
    });

    test('starts only when its rights are there', () => {
      expect(dependenciesOf(compiled().template, 'app')).toEqual(
        expect.arrayContaining(['roles', 'privateEndpoints', 'scheduler']),
      );
    });

    test('is found by azd', () => {
      const azureYaml = readFileSync(path.join(ROOT, 'azure.yaml'), 'utf8');
      for (const [, deployment] of deployments()) {
        const tag = site(deployment).tags?.['azd-service-name'];
        expect(azureYaml).toMatch(new RegExp(`^ {2}${tag}:$`, 'm'));
        expect(single(deployment, 'Microsoft.Resources/resourceGroups').tags?.['azd-env-name']).toBeTruthy();
      }
    });

    test('sends from a subnet that is given to Functions, apart from the private endpoints', () => {
      expect(inEach((deployment) => at(site(deployment), 'virtualNetworkSubnetId') != null)).toEqual({
        azd: false,
        dev: false,
        production: true,
        everything: true,
      });
      for (const deployment of [compiled().production, compiled().everything]) {
        const subnets = at(
          single(deployment, 'Microsoft.Network/virtualNetworks'),
          'subnets',
        ) as unknown as readonly Subnet[];
        const [app, endpoints] = subnets;
        expect(app!.properties.delegations?.[0]?.properties.serviceName).toBe('Microsoft.App/environments');
        expect(app!.properties.natGateway).toBeDefined();
        expect(endpoints!.properties.delegations).toBeUndefined();
        // 40 instances and more; 13 addresses for a cluster, twice that for a busy one.
        const prefixes = [app!.properties.addressPrefix, endpoints!.properties.addressPrefix];
        expect(prefixes).toEqual(['10.80.0.0/25', '10.80.0.128/25']);
      }
    });
  });

  describe('sign-in', () => {
    const AUTH = 'Microsoft.Web/sites/config';
    test('is off where there are function keys, also when it was on before', () => {
      const config = single(compiled().azd, AUTH);
      expect(config.name).toMatch(/\/authsettingsV2$/);
      expect(config.properties).toEqual({ platform: { enabled: false } });
      expect(settingsOf(compiled().azd)['LOADER_HTTP_AUTH']).toBe('keys');
    });

    test('where it is switched on, is asked of every request but for liveness, for one application of one tenant', () => {
      const deployment = compiled().everything;
      expect(settingsOf(deployment)['LOADER_HTTP_AUTH']).toBe('entra');
      const config = single(deployment, AUTH);
      expect(config.name).toMatch(/\/authsettingsV2$/);
      const clientId = 'aaaaaaaa-0000-0000-0000-00000000000a';
      expect(at(config, 'platform')).toMatchObject({ enabled: true });
      expect(at(config, 'globalValidation')).toEqual({
        requireAuthentication: true,
        unauthenticatedClientAction: 'Return401',
        excludedPaths: ['/api/health'],
      });
      expect(at(config, 'httpSettings')).toEqual({ requireHttps: true });
      expect(at(config, 'identityProviders')).toEqual({
        azureActiveDirectory: {
          enabled: true,
          registration: {
            clientId,
            openIdIssuer: expect.stringMatching(
              /^\[uri\(environment\(\)\.authentication\.loginEndpoint, '[0-9a-f-]{36}\/v2\.0'\)\]$/,
            ),
          },
          validation: { allowedAudiences: [clientId, `api://${clientId}`] },
        },
      });
    });
  });

  describe('app settings', () => {
    /** Read by the host, its extensions and the platform, not by the app. */
    const BY_THE_HOST = [
      'APPLICATIONINSIGHTS_AUTHENTICATION_STRING',
      'APPLICATIONINSIGHTS_CONNECTION_STRING',
      'AzureWebJobsStorage__credential',
    ];
    /** Of the platform, of tests, or secrets: never set on Flex Consumption by these templates. */
    const FORBIDDEN =
      /^(FUNCTIONS_WORKER_RUNTIME|FUNCTIONS_EXTENSION_VERSION|WEBSITE_RUN_FROM_PACKAGE|WEBSITE_CONTENT.*|SCM_DO_BUILD_DURING_DEPLOYMENT|ENABLE_ORYX_BUILD|WEBSITE_NODE_DEFAULT_VERSION|WEBSITE_TIME_ZONE|TZ|WEBSITE_LOAD_CERTIFICATES|AzureWebJobsStorage|AZURE_CLIENT_SECRET|LOADER_TIME_SCALE|LOADER_TICK_SCHEDULE|LOADER_CLEAN_UP_SCHEDULE)$/;

    const general = (name: string) =>
      name.replace(/^S3_CREDENTIALS__[A-Z0-9_]+?__(?=[A-Z])/, 'S3_CREDENTIALS__<NAME>__');

    test('are those that the app reads, and those of the host that are listed here', () => {
      const reference = readFileSync(path.join(ROOT, 'docs', 'REFERENCE.md'), 'utf8');
      const documented = [...reference.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name!);
      for (const [name, deployment] of deployments()) {
        const names = Object.keys(settingsOf(deployment));
        const known = [
          ...documented,
          ...BY_THE_HOST,
          ...(name === 'everything' ? ['DURABLE_TASK_SCHEDULER_CONNECTION_STRING'] : []),
        ];
        expect(names.filter((setting) => !known.includes(general(setting)))).toEqual([]);
        expect(names.filter((setting) => FORBIDDEN.test(setting))).toEqual([]);
        expect(BY_THE_HOST.filter((setting) => !names.includes(setting))).toEqual([]);
      }
    });

    test('can be given all that the app reads and that is not decided here', () => {
      const { properties = {} } = definitionOf(compiled().template, 'loaderSettings');
      const reference = readFileSync(path.join(ROOT, 'docs', 'REFERENCE.md'), 'utf8');
      const documented = [...reference.matchAll(/^\| `((?:LOADER|OTEL)_\w+)` \|/gm)].map(([, name]) => name!);
      const decided = [
        ...Object.keys(settingsOf(compiled().azd)),
        // Of tests only.
        ...['LOADER_CLEAN_UP_SCHEDULE', 'LOADER_TICK_SCHEDULE', 'LOADER_TIME_SCALE'],
      ];
      const open = documented.filter((name) => !decided.includes(name));
      expect(Object.keys(properties).sort()).toEqual(open.sort());
    });

    test('are what the app takes: it signs in as the identity, at all three endpoints of the storage', () => {
      for (const [, deployment] of deployments()) {
        const account = single(deployment, STORAGE).name;
        const settings = settingsOf(deployment);
        const endpoint = (service: string) => `https://${account}.${service}.core.windows.net`;
        const platform = { WEBSITE_SITE_NAME: site(deployment).name, WEBSITE_AUTH_ENABLED: 'true' };
        expect(readSettings({ ...settings, ...platform })).toMatchObject({
          appId: site(deployment).name,
          identity: { kind: 'managedIdentity', clientId: settings['AzureWebJobsStorage__clientId'] },
          storage: {
            blobEndpoint: endpoint('blob'),
            queueEndpoint: endpoint('queue'),
            tableEndpoint: endpoint('table'),
          },
        });
        expect(settings['AzureWebJobsStorage__credential']).toBe('managedidentity');
      }
    });

    test('name the client id, never the object id', () => {
      for (const [, deployment] of deployments()) {
        const settings = settingsOf(deployment);
        expect(settings['AzureWebJobsStorage__clientId']).toMatch(/\.outputs\.clientId\.value\]$/);
        expect(settings['APPLICATIONINSIGHTS_AUTHENTICATION_STRING']).toMatch(
          /^\[format\('ClientId=\{0\};Authorization=AAD', .*\.outputs\.clientId\.value\)\]$/,
        );
        expect(JSON.stringify(settings)).not.toContain('principalId');
      }
    });

    test('name the role of AWS that the identity assumes, as the app reads it, and no key beside it', () => {
      const settings = settingsOf(compiled().everything);
      expect(readS3Credentials(settings, 'partner-eu', 'app')).toMatchObject({
        signIn: {
          kind: 'webIdentity',
          roleArn: 'arn:aws:iam::123456789012:role/loader',
          audience: 'api://app',
          durationMs: 6 * 3_600_000,
        },
        chained: null,
      });
      expect(Object.keys(settings).filter((name) => name.includes('PARTNER_EU')).length).toBe(3);
      expect(readS3Credentials(settings, 'second', 'app')).toMatchObject({
        signIn: { kind: 'webIdentity', roleArn: 'arn:aws:iam::123456789012:role/second' },
      });
      const withoutAny = Object.keys(settingsOf(compiled().publicBuckets));
      expect(withoutAny.filter((name) => name.startsWith('S3_CREDENTIALS__'))).toEqual([]);
      expect(JSON.stringify(settingsOf(compiled().azd))).not.toContain('ROLE_ARN');
    });

    test('name the further role, from an access key as well', () => {
      expect(settingsOf(compiled().chained)).toMatchObject({
        S3_CREDENTIALS__DEFAULT__CHAINED_ROLE_ARN: 'arn:aws:iam::210987654321:role/reader',
        S3_CREDENTIALS__DEFAULT__EXTERNAL_ID: 'x',
        S3_CREDENTIALS__DEFAULT__ACCESS_KEY_ID: expect.stringContaining('@Microsoft.KeyVault('),
      });
      expect(JSON.stringify(settingsOf(compiled().everything))).not.toContain('CHAINED');
    });

    test('hold keys of S3 as references to the vault only', () => {
      const keys = (deployment: Deployment) =>
        Object.entries(settingsOf(deployment)).filter(([name]) =>
          /^S3_CREDENTIALS__\w+_(KEY_ID|ACCESS_KEY|TOKEN)$/.test(name),
        );
      expect(keys(compiled().azd).map(([name]) => name)).toEqual([
        'S3_CREDENTIALS__DEFAULT__ACCESS_KEY_ID',
        'S3_CREDENTIALS__DEFAULT__SECRET_ACCESS_KEY',
      ]);
      expect(keys(compiled().everything).map(([name]) => name)).toEqual(
        ['DEFAULT', 'OTHER_ONE'].flatMap((name) => [
          `S3_CREDENTIALS__${name}__ACCESS_KEY_ID`,
          `S3_CREDENTIALS__${name}__SECRET_ACCESS_KEY`,
        ]),
      );
      for (const [, deployment] of deployments()) {
        for (const [name, value] of keys(deployment)) {
          const secret = name.replace('S3_CREDENTIALS__', 's3-').replaceAll(/_+/g, '-').toLowerCase();
          expect(value).toBe(
            `@Microsoft.KeyVault(SecretUri=https://${single(deployment, VAULT).name}.vault.azure.net/secrets/${secret})`,
          );
        }
      }
    });
  });
}
