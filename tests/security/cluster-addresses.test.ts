import { isIP } from 'node:net';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import {
  createKustoIngestion,
  type KustoIngestionOptions,
} from '../../shared/adapters/kusto/kusto-ingestion.ts';
import { codeOf, makeRequest } from '../contract/kusto/ingestion-contract.ts';
import { type ScriptedCluster, startScriptedCluster } from '../contract/kusto/scripted-cluster.ts';

/** A name server whose answers are these, one after the other; the last one stays. An address is its own answer. */
function answering(...answers: readonly string[]): KustoIngestionOptions['resolve'] {
  const left = [...answers];
  return ((name: string, _options: object, callback: (...result: unknown[]) => void) => {
    const address = isIP(name) !== 0 ? name : left.length > 1 ? left.shift()! : left[0]!;
    callback(null, [{ address, family: address.includes(':') ? 6 : 4 }]);
  }) as never;
}

const METADATA = '169.254.169.254';
const QUESTION = { database: 'db', table: 'T', mapping: null, format: 'csv' } as const;

describe('a cluster', () => {
  let cluster: ScriptedCluster;
  beforeAll(async () => {
    cluster = await startScriptedCluster();
  });
  afterAll(() => cluster.stop());
  afterEach(() => {
    cluster.offer({ queueUrls: cluster.queueUrls, tableUrls: [cluster.tableUrl] });
  });
  const connect = (options: Partial<KustoIngestionOptions>) =>
    createKustoIngestion({
      cluster: cluster.url,
      credential: async () => null,
      retryDelayMs: 1,
      ...options,
    });
  /** By name, so that an address must be found. */
  const named = () => cluster.url.replace('127.0.0.1', 'localhost');

  test.each([
    ['this machine', '127.0.0.1', { private: true, loopback: false }],
    ['a private network', '10.0.0.4', { private: false, loopback: false }],
    ['a metadata service', METADATA, { private: true, loopback: true }],
  ])('whose name leads to %s is asked nothing', async (_, address, reach) => {
    const before = cluster.commands.length;
    const ingestion = connect({ cluster: named(), reach, resolve: answering(address) });
    expect(await codeOf(ingestion.resolve())).toBe('endpointNotAllowed');
    expect(await codeOf(ingestion.describeTable(QUESTION))).toBe('endpointNotAllowed');
    expect(await codeOf(ingestion.warmUp())).toBe('endpointNotAllowed');
    expect(cluster.commands).toHaveLength(before);
  });

  test('whose name server changes its mind is asked at addresses that were checked, and at no others', async () => {
    const before = cluster.commands.length;
    const ingestion = connect({ cluster: named(), resolve: answering('127.0.0.1', METADATA) });
    expect(await codeOf(ingestion.describeTable(QUESTION))).toBe('endpointNotAllowed');
    expect(cluster.commands).toHaveLength(before);
  });

  test.each([
    ['queue', (url: string) => ({ queueUrls: [url] })],
    ['status table', (url: string) => ({ tableUrls: [url] })],
  ])('that hands out a %s at an address of the platform gets no message', async (_, offer) => {
    cluster.offer(offer(`http://${METADATA}/account/latest?sig=x`));
    const ingestion = connect({});
    expect(await codeOf(ingestion.warmUp())).toBe('endpointNotAllowed');
    expect(await ingestion.post(makeRequest())).toMatchObject({
      result: 'refused',
      message: expect.stringContaining('may not connect'),
    });
  });

  test('that hands out a queue whose name leads to an address of the platform gets no message', async () => {
    cluster.offer({ queueUrls: ['https://account.queue.invalid/ready?sig=x'] });
    const ingestion = connect({ resolve: answering(METADATA) });
    expect(await ingestion.post(makeRequest())).toMatchObject({
      result: 'refused',
      message: expect.stringContaining('may not connect'),
    });
  });

  test('that hands out a status table whose name leads there is not asked for reports', async () => {
    cluster.offer({ tableUrls: ['https://account.table.invalid/status?sig=x'] });
    const ingestion = connect({ resolve: answering(METADATA) });
    const id = makeRequest().sourceId;
    expect(await codeOf(ingestion.readStatuses([id]))).toBe('clusterUnavailable');
    expect(await ingestion.post(makeRequest())).toMatchObject({ result: 'refused' });
  });
});
