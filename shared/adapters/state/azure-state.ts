import { LoaderError } from '../../errors/loader-error.ts';
import { azureDocuments } from './azure-documents.ts';
import { azureEntityTable } from './azure-entity-table.ts';
import { openContainerClient, openTableClient, type StorageAccount } from './azure-storage-clients.ts';
import type { RequestHook } from './entity-table.ts';
import { ledgerTable } from './ledger-table.ts';
import { loadTable } from './load-table.ts';
import { runTable } from './run-table.ts';
import type { State } from './state.ts';

export interface AzureStateOptions {
  readonly storage: StorageAccount;
  /** Name of the container and beginning of the names of the tables: 3 to 50 small letters and digits. */
  readonly namePrefix: string;
  /** For measurements: called for each request to tables, and for each call to blobs. */
  readonly onRequest?: RequestHook;
}

/**
 * State in Azure Table storage (`{prefix}ledger`, `{prefix}runs`, `{prefix}loads`, `{prefix}pending`) and one blob
 * container (`{prefix}`). The SDKs are loaded at the first use, not by importing this file. Nothing is created until
 * `ensureCreated`; without it every call fails with `stateUnavailable`.
 *
 * @throws LoaderError `invalidSettings` when the prefix can't begin the name of a table.
 */
export function createAzureState({ storage, namePrefix, onRequest }: AzureStateOptions): State {
  if (!/^[a-z][a-z0-9]{2,49}$/.test(namePrefix)) {
    throw new LoaderError(
      'invalidSettings',
      'The name prefix of the state must be 3 to 50 small letters and digits.',
      {
        problems: [
          {
            field: 'namePrefix',
            message: `is ${JSON.stringify(namePrefix)}; allowed is ^[a-z][a-z0-9]{2,49}$`,
          },
        ],
      },
    );
  }
  const makeTable = (name: string) =>
    azureEntityTable(
      `${namePrefix}${name}`,
      once(() => openTableClient(storage, `${namePrefix}${name}`, onRequest)),
    );
  const documents = azureDocuments(
    once(() => openContainerClient(storage, namePrefix)),
    onRequest,
  );
  const ledger = makeTable('ledger');
  const runs = makeTable('runs');
  const loads = makeTable('loads');
  const pending = makeTable('pending');
  return {
    documents,
    ledger: ledgerTable(ledger),
    runs: runTable(runs),
    loads: loadTable({ loads, pending }),
    ensureCreated: once(async () => {
      await Promise.all([ledger, runs, loads, pending, documents].map((made) => made.create()));
    }),
  };
}

/** Calls once and gives everybody the same promise; a failure is forgotten. */
function once<Result>(call: () => Promise<Result>): () => Promise<Result> {
  let called: Promise<Result> | null = null;
  return () => {
    called ??= call().catch((error: unknown) => {
      called = null;
      throw error;
    });
    return called;
  };
}
