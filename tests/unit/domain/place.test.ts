import { describe, expect, test } from 'vitest';

import { isSameBucket, isSameTable } from '../../../shared/domain/place.ts';

const cluster = 'https://c.westeurope.kusto.windows.net';
const table = { cluster, database: 'db', table: 'T' };
const aws = { bucket: 'data', endpoint: null };

describe('a table is the same', () => {
  test.each([
    `${cluster}/`,
    `${cluster}:443`,
    'https://C.WestEurope.kusto.windows.net',
    'https://ingest-c.westeurope.kusto.windows.net',
    'https://ingest-c.westeurope.kusto.windows.net/',
  ])('with its cluster written as %s', (other) => {
    expect(isSameTable(table, { ...table, cluster: other })).toBe(true);
    expect(isSameTable({ ...table, cluster: other }, table)).toBe(true);
  });

  test('with its database in other capitals, which mean nothing there', () => {
    expect(isSameTable(table, { ...table, database: 'Db' })).toBe(true);
    expect(isSameTable({ ...table, database: 'Db' }, table)).toBe(true);
  });

  test.each([
    { ...table, cluster: 'https://d.westeurope.kusto.windows.net' },
    { ...table, cluster: 'http://127.0.0.1:8082' },
    { ...table, database: 'db2' },
    { ...table, table: 't' },
  ])('and is not as %o', (other) => {
    expect(isSameTable(table, other)).toBe(false);
  });

  test('but on another port', () => {
    const local = { ...table, cluster: 'http://127.0.0.1:8082' };
    expect(isSameTable(local, { ...local, cluster: 'http://127.0.0.1:8083' })).toBe(false);
  });
});

describe('a bucket is the same', () => {
  test.each([
    'https://s3.amazonaws.com',
    'https://s3.eu-central-1.amazonaws.com/',
    'https://s3.dualstack.eu-central-1.amazonaws.com',
    'https://s3-accelerate.amazonaws.com',
    'https://s3.dualstack.us-east-1.api.aws',
    'https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com',
  ])("by AWS's own endpoint %s", (endpoint) => {
    expect(isSameBucket(aws, { ...aws, endpoint })).toBe(true);
  });

  test.each([
    'https://minio.example.com',
    'https://s3.cn-north-1.amazonaws.com.cn',
    'https://s3.amazonaws.com.example.com',
    'http://localhost:9000',
  ])('and is not at %s', (endpoint) => {
    expect(isSameBucket(aws, { ...aws, endpoint })).toBe(false);
    expect(isSameBucket({ ...aws, endpoint }, { ...aws, endpoint: `${endpoint}/` })).toBe(true);
  });

  test('but of another name', () => {
    expect(isSameBucket(aws, { ...aws, bucket: 'data2' })).toBe(false);
  });
});
