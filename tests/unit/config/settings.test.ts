import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { readSettings } from '../../../shared/config/settings.ts';
import { LoaderError } from '../../../shared/errors/loader-error.ts';

type Env = Record<string, string | undefined>;
const STORAGE = { AzureWebJobsStorage: 'UseDevelopmentStorage=true' };
const read = (env: Env = {}) => readSettings({ ...STORAGE, ...env });

/** Names of the settings that are refused. */
function refused(env: Env): readonly string[] {
  try {
    readSettings(env);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(LoaderError);
    const { code, problems, message } = thrown as LoaderError;
    expect(code).toBe('invalidSettings');
    for (const problem of problems) expect(message).toContain(problem.field);
    return problems.map(({ field }) => field);
  }
  return [];
}

describe('readSettings', () => {
  test('has a default for all but storage', () => {
    expect(read()).toMatchObject({
      appId: 'local',
      statePrefix: 's3adx',
      loadsFolder: 'loads',
      identity: { kind: 'azureCli' },
      timeScale: 1,
      takeoverAfterMs: 180_000,
      timing: {
        urlLifetimeMs: 21_600_000,
        downloadGraceMs: 3_600_000,
        settleDeadlineMs: 1_800_000,
        staleAfterMs: 600_000,
        firstLookMs: 10_000,
        lookEveryMs: 30_000,
        lookAtMostEveryMs: 300_000,
        longestTimerMs: 60_000,
      },
    });
  });

  test('takes what is set', () => {
    const settings = read({
      LOADER_APP_ID: 'my-app',
      LOADER_STATE_PREFIX: 'other1',
      LOADER_LOADS_FOLDER: 'definitions',
      LOADER_URL_LIFETIME: '7d',
      LOADER_DOWNLOAD_GRACE: '90m',
      LOADER_SETTLE_DEADLINE: '1.5h',
      LOADER_STALE_AFTER: '45s',
    });
    expect(settings).toMatchObject({
      appId: 'my-app',
      statePrefix: 'other1',
      loadsFolder: 'definitions',
      timing: {
        urlLifetimeMs: 604_800_000,
        downloadGraceMs: 5_400_000,
        settleDeadlineMs: 5_400_000,
        staleAfterMs: 45_000,
      },
    });
  });

  test('takes an empty setting as one that is not there', () => {
    expect(
      read({ LOADER_APP_ID: '', LOADER_URL_LIFETIME: '', LOADER_IDENTITY: '', LOADER_TIME_SCALE: '' }),
    ).toEqual(read());
  });

  test('names the app after its site unless it has a name', () => {
    expect(read({ WEBSITE_SITE_NAME: 'site' }).appId).toBe('site');
    expect(read({ WEBSITE_SITE_NAME: 'site', LOADER_APP_ID: 'mine' }).appId).toBe('mine');
  });

  test('reports all problems at once', () => {
    expect(
      refused({
        LOADER_APP_ID: 'a b',
        LOADER_STATE_PREFIX: 'UPPER',
        LOADER_IDENTITY: 'password',
        LOADER_URL_LIFETIME: '8d',
        LOADER_DOWNLOAD_GRACE: 'soon',
        LOADER_SETTLE_DEADLINE: '-5m',
        LOADER_STALE_AFTER: '0s',
        LOADER_TIME_SCALE: 'fast',
      }),
    ).toEqual([
      'LOADER_STATE_PREFIX',
      'LOADER_APP_ID',
      'LOADER_TIME_SCALE',
      'LOADER_URL_LIFETIME',
      'LOADER_DOWNLOAD_GRACE',
      'LOADER_SETTLE_DEADLINE',
      'LOADER_STALE_AFTER',
      'LOADER_IDENTITY',
      'AzureWebJobsStorage',
    ]);
  });

  test.each([
    ['LOADER_URL_LIFETIME', ['0s', '7.01d', '6', '6 hours', '-1h', 'NaN', 'Infinity']],
    ['LOADER_DOWNLOAD_GRACE', ['0', '1', 'x']],
    ['LOADER_RETENTION_RUNS', ['0d', '50s', '47h', '1.99d', 'x']],
    ['LOADER_TIME_SCALE', ['0', '0.5', '-1', 'x', 'NaN', ' ', 'Infinity']],
    ['LOADER_STATE_PREFIX', ['ab', '1abc', 'a-b', 'A', 'a'.repeat(32)]],
    ['LOADER_APP_ID', ['a.b', 'ä', 'a'.repeat(61)]],
    ['LOADER_IDENTITY', ['ManagedIdentity', 'key']],
  ])('never replaces a bad value of %s', (name, values) => {
    for (const value of values)
      expect([value, ...refused({ ...STORAGE, [name]: value })]).toEqual([value, name]);
  });

  test('takes a duration exactly, or refuses it', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.nat(100_000).map((seconds) => `${seconds}s`),
        ),
        (text) => {
          fc.pre(text !== '');
          if (refused({ ...STORAGE, LOADER_STALE_AFTER: text }).length > 0) return;
          expect(text.trim()).toMatch(/^\d+(\.\d+)?(ms|s|m|h|d)$/);
          if (text.endsWith('s') && !text.includes('m'))
            expect(read({ LOADER_STALE_AFTER: text }).timing.staleAfterMs).toBe(
              Math.round(Number.parseFloat(text) * 1000),
            );
        },
      ),
    );
  });

  test('keeps runs for two days at least, but in tests, whose time goes faster', () => {
    expect(read({ LOADER_RETENTION_RUNS: '2d' }).retention.runsMs).toBe(172_800_000);
    expect(() => read({ LOADER_RETENTION_RUNS: '1d' })).toThrow(/LOADER_RETENTION_RUNS .*at least 2d/);
    expect(read({ LOADER_RETENTION_RUNS: '50s', LOADER_TIME_SCALE: '10' }).retention.runsMs).toBe(5000);
  });

  test('divides every waiting time by the time scale of tests', () => {
    const [slow, fast] = [read(), read({ LOADER_TIME_SCALE: '100' })];
    for (const [name, ms] of Object.entries(slow.timing))
      expect(fast.timing).toMatchObject({ [name]: ms / 100 });
    expect(fast.takeoverAfterMs).toBe(1800);
    expect(Math.min(...Object.values(read({ LOADER_TIME_SCALE: '1000000000' }).timing))).toBe(1);
  });

  test('knows the ways to sign in', () => {
    expect(read({ IDENTITY_ENDPOINT: 'http://localhost/token' }).identity).toEqual({
      kind: 'managedIdentity',
      clientId: null,
    });
    expect(read({ LOADER_IDENTITY: 'managedIdentity', AZURE_CLIENT_ID: 'id' }).identity).toEqual({
      kind: 'managedIdentity',
      clientId: 'id',
    });
    expect(read({ LOADER_IDENTITY: 'none' }).identity).toEqual({ kind: 'none' });
    const principal = {
      LOADER_IDENTITY: 'servicePrincipal',
      AZURE_TENANT_ID: 't',
      AZURE_CLIENT_ID: 'c',
      AZURE_CLIENT_SECRET: 's',
    };
    expect(read(principal).identity).toEqual({
      kind: 'servicePrincipal',
      tenantId: 't',
      clientId: 'c',
      proof: { secret: 's' },
    });
    const { AZURE_CLIENT_SECRET: _secret, ...application } = principal;
    const file = { AZURE_CLIENT_CERTIFICATE_PATH: '/a.pem' };
    expect(read({ ...application, ...file }).identity).toMatchObject({
      proof: { certificateFile: '/a.pem' },
    });
    const pem = '-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nB';
    for (const value of [pem, pem.replaceAll('\n', '\\n')])
      expect(read({ ...application, AZURE_CLIENT_CERTIFICATE: value }).identity).toMatchObject({
        proof: { certificate: pem },
      });
    expect(refused({ ...STORAGE, ...application, AZURE_CLIENT_CERTIFICATE: 'AAAA' })).toEqual([
      'AZURE_CLIENT_CERTIFICATE',
    ]);
    expect(refused({ ...STORAGE, ...principal, ...file })).toEqual(['AZURE_CLIENT_SECRET']);
    expect(refused({ ...STORAGE, LOADER_IDENTITY: 'servicePrincipal' }).toSorted()).toEqual([
      'AZURE_CLIENT_ID',
      'AZURE_CLIENT_SECRET',
      'AZURE_TENANT_ID',
    ]);
    const workload = { ...application, LOADER_IDENTITY: 'workloadIdentity' };
    expect(read({ ...workload, AZURE_FEDERATED_TOKEN_FILE: '/token' }).identity).toEqual({
      kind: 'workloadIdentity',
      tenantId: 't',
      clientId: 'c',
      tokenFile: '/token',
    });
    expect(refused({ ...STORAGE, ...workload })).toEqual(['AZURE_FEDERATED_TOKEN_FILE']);
  });

  test('knows the ways to name the storage', () => {
    const storage = (env: Env) => readSettings(env).storage;
    expect(storage({ AzureWebJobsStorage: 'AccountName=a;AccountKey=b' })).toEqual({
      connectionString: 'AccountName=a;AccountKey=b',
    });
    expect(storage(STORAGE)).toEqual({ connectionString: expect.stringContaining('devstoreaccount1') });
    const endpoints = {
      blobEndpoint: 'https://acc.blob.core.windows.net',
      queueEndpoint: 'https://acc.queue.core.windows.net',
      tableEndpoint: 'https://acc.table.core.windows.net',
    };
    expect(storage({ AzureWebJobsStorage__accountName: 'acc' })).toEqual(endpoints);
    const uris = {
      AzureWebJobsStorage__blobServiceUri: endpoints.blobEndpoint,
      AzureWebJobsStorage__queueServiceUri: endpoints.queueEndpoint,
      AzureWebJobsStorage__tableServiceUri: endpoints.tableEndpoint,
    };
    expect(storage(uris)).toEqual(endpoints);
    expect(refused({ ...uris, AzureWebJobsStorage__tableServiceUri: undefined })).toEqual([
      'AzureWebJobsStorage',
    ]);
    expect(refused({})).toEqual(['AzureWebJobsStorage']);
  });

  test('says nothing of secrets in its problems', () => {
    try {
      readSettings({
        AzureWebJobsStorage: 'AccountKey=topsecret',
        AZURE_CLIENT_SECRET: 'topsecret',
        LOADER_IDENTITY: 'x',
        LOADER_APP_ID: 'top secret',
      });
      expect.unreachable();
    } catch (thrown) {
      expect(JSON.stringify([(thrown as LoaderError).message, (thrown as LoaderError).problems])).not.toMatch(
        /top ?secret/,
      );
    }
  });
});
