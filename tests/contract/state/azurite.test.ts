import { afterAll, beforeAll, describe } from 'vitest';
import { createAzureCredential } from '../../../shared/adapters/identity/azure-credential.ts';
import { createAzureState } from '../../../shared/adapters/state/azure-state.ts';
import type { StorageAccount } from '../../../shared/adapters/state/azure-storage-clients.ts';
import { type StorageByIdentity, startStorageByIdentity } from '../../storage-by-identity.ts';
import { documentsSuite } from './documents-suite.ts';
import { ledgerSuite } from './ledger-suite.ts';
import { loadStateSuite } from './load-state-suite.ts';
import { runStoreSuite } from './run-store-suite.ts';
import type { MakeState } from './state-under-test.ts';

let under: StorageByIdentity;
let states = 0;

beforeAll(async () => {
  under = await startStorageByIdentity([['Storage Blob Data Owner', 'Storage Table Data Contributor']]);
});
afterAll(() => under?.stop());

const accounts: readonly (readonly [string, () => Promise<StorageAccount>])[] = [
  ['a connection string', async () => ({ connectionString: under.storage.connectionString })],
  [
    'the managed identity, over TLS',
    async () => {
      const credential = await createAzureCredential({ kind: 'managedIdentity', clientId: null });
      return { endpoints: under.storage.identityEndpoints, credential: credential! };
    },
  ],
];

describe.each(accounts)('with %s', (_name, account) => {
  const makeState: MakeState = async (options) => {
    const state = createAzureState({
      storage: await account(),
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
});
