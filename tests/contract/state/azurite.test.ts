import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type RunningAzurite, startAzurite } from '../../../dev/azurite/index.ts';
import { createAzureState } from '../../../shared/adapters/state/azure-state.ts';
import { documentsSuite } from './documents-suite.ts';
import { ledgerSuite } from './ledger-suite.ts';
import { loadStateSuite } from './load-state-suite.ts';
import { runStoreSuite } from './run-store-suite.ts';
import type { MakeState } from './state-under-test.ts';

let folder: string;
let azurite: RunningAzurite;
let states = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'state-contract-'));
  azurite = await startAzurite({ folder, inMemory: true });
});
afterAll(async () => {
  await azurite?.stop();
  await rm(folder, { recursive: true, force: true });
});

const makeState: MakeState = async (options) => {
  const { connectionString } = azurite;
  const state = createAzureState({
    storage: { connectionString },
    namePrefix: `state${++states}`,
    ...options,
  });
  await state.ensureCreated();
  return state;
};

documentsSuite(makeState);
ledgerSuite(makeState);
runStoreSuite(makeState);
loadStateSuite(makeState);
