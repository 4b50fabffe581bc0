/**
 * Run by azd before `azd down` (azure.yaml):
 *
 *   node scripts/set-up.mjs infra/hooks/before-down.ts
 *
 * `azd down` deletes every resource group that the last deployment has put something into: with rights in a cluster that
 * was there before, that is the group of that cluster, with all that is in it.
 */
import process from 'node:process';

import { runScript } from '../command-line.ts';

await runScript(async () => {
  const cluster = process.env['LOADER_ADX_CLUSTER_ID'] ?? '';
  const group = process.env['LOADER_ADX_ACCESS_GROUP'] ?? '';
  if (cluster === '' && group === '') return;
  throw new Error(
    [
      `Nothing is deleted: azd down would delete the resource group of your cluster, too${group && `, ${group}`}.`,
      'Let the last deployment know nothing of it, then go on:',
      "  azd env set LOADER_ADX_CLUSTER_ID ''",
      '  azd provision',
      '  azd down --purge',
      'See that the groups that azd down lists before it asks are those of the loader alone.',
    ].join('\n'),
  );
});
