import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { findForeignProgram } from '../../foreign-program.ts';
import { startLocalKusto } from './local-kusto.ts';

const python = findForeignProgram({
  name: 'the Kusto client of Python',
  commands: ['/usr/bin/python3', 'python3'],
  probe: ['-c', 'import azure.kusto.data'],
  debianPackage: 'python3-azure-kusto-data',
});

test.skipIf(python === null)('azure-kusto-data of Python: types, errors, streaming, token', async () => {
  const local = await startLocalKusto({ token: { value: 'right' } });
  try {
    const { stdout } = await promisify(execFile)(python ?? '', [
      fileURLToPath(new URL('python-client.py', import.meta.url)),
      local.kusto.settings.endpoint,
      'right',
    ]);
    const read = JSON.parse(stdout.replaceAll(/"?9007199254740993"?/g, '"9007199254740993"')) as object;
    expect(read).toMatchObject(expected);
    expect(local.kusto.control.stats()).toMatchObject({ streamsLoaded: 2 });
  } finally {
    await local.stop();
  }
});

const guid = '11111111-2222-3333-4444-555555555555';
const expected = {
  types: ['bool', 'int', 'long', 'real', 'decimal', 'datetime', 'timespan', 'guid', 'dynamic', 'string'],
  raw: [
    true,
    1,
    '9007199254740993',
    1.5,
    '1.25',
    '2024-01-02T03:04:05.1234567Z',
    '1.02:03:04.5000000',
    guid,
    { k: [1] },
    'ü',
  ],
  // Python's datetime ends at microseconds.
  values: [
    'True',
    '1',
    '9007199254740993',
    '1.5',
    '1.25',
    '2024-01-02 03:04:05.123456+00:00',
    '1 day, 2:03:04.500000',
    guid,
    "{'k': [1]}",
    'ü',
  ],
  classes: ['bool', 'int', 'int', 'float', 'Decimal', 'datetime', 'timedelta', 'str', 'dict', 'str'],
  nulls: [null, null, 2, null, null, null, null, null, null, ''],
  streamed: [[[2], ['9007199254740993']]],
  version: ['BuildVersion', 'BuildTime', 'ServiceType', 'ProductVersion'],
  mgmt: [{ TableName: 'Closed' }, { TableName: 'Py' }],
  errors: {
    semantic: ['KustoApiError', 400, 'General_BadRequest', true],
    table: ['KustoApiError', 400, 'BadRequest_EntityNotFound', true],
    noMapping: ['KustoApiError', 400, 'BadRequest_MissingMappingtFailure', true],
    tooLarge: ['KustoApiError', 413, 'Stream_InputStreamTooLarge', true],
    policy: ['KustoApiError', 400, 'BadRequest_StreamingIngestionPolicyNotEnabled', true],
    throttled: ['KustoThrottlingError'],
    token: ['KustoApiError', 401, 'Unauthorized', true],
  },
};
