import { createMemoryState } from '../../../shared/adapters/state/memory-state.ts';
import { documentsSuite } from './documents-suite.ts';
import { ledgerSuite } from './ledger-suite.ts';
import { loadStateSuite } from './load-state-suite.ts';
import { runStoreSuite } from './run-store-suite.ts';
import type { MakeState } from './state-under-test.ts';

const makeState: MakeState = async (options) => createMemoryState(options);

documentsSuite(makeState);
ledgerSuite(makeState);
runStoreSuite(makeState);
loadStateSuite(makeState);
