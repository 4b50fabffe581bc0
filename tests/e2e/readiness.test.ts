import { afterAll, beforeAll, expect, test } from 'vitest';

import { type StackUnderTest, startStackUnderTest, TEST_BUCKET } from './stack-under-test.ts';

const SECRET = 'not-the-right-secret';
const SETTINGS = {
  S3_CREDENTIALS__STRANGER__ACCESS_KEY_ID: 'local-access-key',
  S3_CREDENTIALS__STRANGER__SECRET_ACCESS_KEY: SECRET,
};

let running: StackUnderTest;

beforeAll(async () => {
  running = await startStackUnderTest({ settings: SETTINGS });
}, 60_000);

afterAll(() => running.stop());

const ready = () => running.app.request('GET', '/api/ready');

test('a running stack is ready; a load with wrong credentials makes it 503, and no secret is told', async () => {
  await running.putLoad('right');
  const { status, body, headers } = await ready();
  expect({ status, body }).toMatchObject({ status: 200, body: { ready: true, notAsked: 0 } });
  const { host } = new URL(String(running.stack.kusto.settings.endpoint));
  expect(body.dependencies).toMatchObject([
    { kind: 'storage', name: 'state', load: null, ok: true, code: null },
    { kind: 'cluster', name: host, load: 'right', ok: true },
    { kind: 'bucket', name: TEST_BUCKET, load: 'right', ok: true },
  ]);
  expect(headers.get('cache-control')).toBe('no-store');

  await running.putLoad('wrong', { source: { credentials: 'stranger' } });
  const again = await ready();
  expect(again.body.checkedAt).toBe(body.checkedAt);
  const until = Date.parse(body.checkedAt) + 10_100;
  await new Promise((resolve) => setTimeout(resolve, until - Date.now()));
  const refused = await ready();
  expect(refused).toMatchObject({ status: 503, body: { ready: false } });
  expect(refused.headers.get('retry-after')).toBe('10');
  expect(refused.body.dependencies).toHaveLength(4);
  expect(refused.body.dependencies[3]).toMatchObject({
    kind: 'bucket',
    name: TEST_BUCKET,
    load: 'wrong',
    ok: false,
    code: 'sourceAccessDenied',
    remedy: expect.stringContaining('s3:ListBucket'),
  });
  expect(JSON.stringify(refused.body)).not.toMatch(new RegExp(`${SECRET}|Signature=|sig=`));
}, 60_000);
