import { batchingTimeMs } from '../ingest/batching.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { KustoError, makeNotSupported } from '../kusto-error.ts';
import {
  type BatchingPolicy,
  databaseChange,
  type Policies,
  type StoredDatabase,
  type StoredTable,
  tableChange,
} from '../storage/catalog.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandText } from './command-text.ts';
import { makeTable } from './make-table.ts';
import type { MappingOwner } from './mapping-commands.ts';

const POLICY_COLUMNS = 'PolicyName, EntityName, Policy, ChildEntities, EntityType';

type PolicyName = 'ingestionbatching' | 'streamingingestion';

const policyTitles: Readonly<Record<PolicyName, string>> = {
  ingestionbatching: 'IngestionBatchingPolicy',
  streamingingestion: 'StreamingIngestionPolicy',
};

function readPolicyName(text: CommandText): PolicyName {
  const name = text.name('a policy name').toLowerCase();
  if (name !== 'ingestionbatching' && name !== 'streamingingestion')
    throw makeNotSupported(`the policy '${name}'`);
  return name;
}

export function showPolicy(owner: MappingOwner, text: CommandText): ResultTable {
  const name = readPolicyName(text);
  text.end();
  return makePolicyTable(owner, name);
}

/** No table has one: they can't be set here. */
export function showUpdatePolicies(text: CommandText, { store, database }: CommandContext): ResultTable {
  text.end();
  return makeTable(
    POLICY_COLUMNS,
    store.catalog
      .tablesOf(database)
      .map(({ database: of, name }) => ['UpdatePolicy', `[${of}].[${name}]`, 'null', '', 'Table']),
  );
}

/** `.alter` sets every field (a missing one falls back to its default), `.alter-merge` keeps what is not named. */
export async function alterPolicy(
  mode: 'alter' | 'alter-merge',
  owner: MappingOwner,
  text: CommandText,
  context: CommandContext,
): Promise<ResultTable> {
  const name = readPolicyName(text);
  const target = ownerOf(owner);
  let value: Record<string, unknown>;
  if (name === 'streamingingestion' && text.take('enable')) value = { IsEnabled: true };
  else if (name === 'streamingingestion' && text.take('disable')) value = { IsEnabled: false };
  else value = parsePolicy(text.string('a policy'), name);
  text.end();
  const policies: Policies = target.policies;
  if (name === 'ingestionbatching') {
    const base =
      mode === 'alter-merge'
        ? (policies.ingestionbatching ?? context.batchingDefaults)
        : context.batchingDefaults;
    target.policies = { ...policies, ingestionbatching: checkBatching({ ...base, ...value }) };
  } else {
    const base = mode === 'alter-merge' ? policies.streamingingestion : undefined;
    target.policies = {
      ...policies,
      streamingingestion: {
        IsEnabled:
          value['IsEnabled'] === undefined ? (base?.IsEnabled ?? false) : value['IsEnabled'] === true,
        HintAllocatedRate:
          typeof value['HintAllocatedRate'] === 'number'
            ? value['HintAllocatedRate']
            : (base?.HintAllocatedRate ?? null),
      },
    };
  }
  await save(owner, context);
  return makePolicyTable(owner, name);
}

export async function deletePolicy(
  owner: MappingOwner,
  text: CommandText,
  context: CommandContext,
): Promise<ResultTable> {
  const name = readPolicyName(text);
  text.end();
  const { [name]: _deleted, ...rest } = ownerOf(owner).policies;
  ownerOf(owner).policies = rest;
  await save(owner, context);
  return makePolicyTable(owner, name);
}

function ownerOf(owner: MappingOwner): StoredTable | StoredDatabase {
  return 'table' in owner ? owner.table : owner.database;
}

function save(owner: MappingOwner, context: CommandContext): Promise<void> {
  return context.store.write((transaction) =>
    transaction.saveCatalog('table' in owner ? tableChange(owner.table) : databaseChange(owner.database)),
  );
}

function makePolicyTable(owner: MappingOwner, name: PolicyName): ResultTable {
  const entity =
    'table' in owner ? `[${owner.table.database}].[${owner.table.name}]` : `[${owner.database.name}]`;
  const policy = ownerOf(owner).policies[name];
  return makeTable(POLICY_COLUMNS, [
    [
      policyTitles[name],
      entity,
      policy === undefined ? 'null' : JSON.stringify(policy),
      '',
      'table' in owner ? 'Table' : 'Database',
    ],
  ]);
}

function parsePolicy(text: string, name: PolicyName): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new KustoError('BadRequest_InvalidPolicy', `The ${policyTitles[name]} must be a JSON object.`);
  }
  return value as Record<string, unknown>;
}

/** The service's ranges: 10 s to 30 min, 1 to 25,000 items, 100 to 4,096 MB. */
function checkBatching(policy: BatchingPolicy & Record<string, unknown>): BatchingPolicy {
  const { MaximumBatchingTimeSpan, MaximumNumberOfItems, MaximumRawDataSizeMB } = policy;
  const ms = batchingTimeMs(policy);
  const fail = (field: string, range: string) => {
    throw new KustoError(
      'BadRequest_InvalidPolicy',
      `${field} of the IngestionBatchingPolicy must be between ${range}.`,
    );
  };
  if (
    !/^(\d+\.)?\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$/.test(String(MaximumBatchingTimeSpan)) ||
    ms < 10_000 ||
    ms > 1_800_000
  ) {
    fail('MaximumBatchingTimeSpan', '00:00:10 and 00:30:00');
  }
  if (!(MaximumNumberOfItems >= 1 && MaximumNumberOfItems <= 25_000))
    fail('MaximumNumberOfItems', '1 and 25000');
  if (!(MaximumRawDataSizeMB >= 100 && MaximumRawDataSizeMB <= 4_096))
    fail('MaximumRawDataSizeMB', '100 and 4096');
  return { MaximumBatchingTimeSpan, MaximumNumberOfItems, MaximumRawDataSizeMB };
}
