import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { runWithFakeTools } from './fake-tools.ts';

const HOOK = path.join('infra', 'hooks', 'before-down.ts');
const run = (env: Readonly<Record<string, string>>) => runWithFakeTools(HOOK, [], { rules: [], env });

describe.skipIf(process.platform === 'win32')('the hook before azd down', { timeout: 60_000 }, () => {
  test("lets it delete what is the loader's alone", async () => {
    const { code, output } = await run({ LOADER_ADX_CLUSTER_ID: '', LOADER_ADX_ACCESS_GROUP: '' });
    expect([code, output]).toEqual([0, '']);
    expect((await run({})).code).toBe(0);
  });

  test('stops it as long as the last deployment knows a cluster that was there before', async () => {
    const named = await run({
      LOADER_ADX_CLUSTER_ID: '/subscriptions/s/x',
      LOADER_ADX_ACCESS_GROUP: 'rg-data',
    });
    expect(named.code).toBe(1);
    expect(named.output).toContain('rg-data');
    expect(named.output).toContain('azd provision');
    // Taken out of the environment, and not provisioned since.
    expect((await run({ LOADER_ADX_CLUSTER_ID: '', LOADER_ADX_ACCESS_GROUP: 'rg-data' })).code).toBe(1);
    expect((await run({ LOADER_ADX_CLUSTER_ID: '/subscriptions/s/x' })).code).toBe(1);
  });
});
