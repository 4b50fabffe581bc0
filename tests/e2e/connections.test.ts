import { afterAll, beforeAll, expect, test } from 'vitest';

import { type StackUnderTest, startStackUnderTest, TEST_BUCKET } from './stack-under-test.ts';

const SECRET = 'not-the-right-secret';

let running: StackUnderTest;
let source: Record<string, unknown>;
let destination: Record<string, unknown>;

beforeAll(async () => {
  running = await startStackUnderTest({
    settings: {
      S3_CREDENTIALS__STRANGER__ACCESS_KEY_ID: 'local-access-key',
      S3_CREDENTIALS__STRANGER__SECRET_ACCESS_KEY: SECRET,
    },
  });
  await running.createTable('Connected');
  await running.upload([{ key: 'in/a.json', body: Buffer.from('{"line":"a","n":1}\n') }]);
  // The same way as a load's.
  await running.putLoad('like', { destination: { table: 'Connected' } });
  const { body } = await running.app.request('GET', '/api/loads/like');
  source = { ...body.source, prefix: 'in/' };
  destination = body.destination;
}, 60_000);

afterAll(() => running?.stop());

const send = (body: unknown) => running.app.request('POST', '/api/connections/test', body);

test('the ways to bucket and table of the stack are tested step by step', async () => {
  const { status, body } = await send({ source, destination, format: { type: 'json' } });
  expect(status).toBe(200);
  expect(body).toMatchObject({ ok: true, source: { ok: true }, destination: { ok: true } });
  expect(body.source.identity).toContain(':assumed-role/');
  const withKey = await send({ source: { ...source, credentials: 'keys' } });
  expect(withKey.body.source).toMatchObject({
    ok: true,
    identity: expect.stringMatching(/^access key that ends with .{4}$/),
  });
  const words = (steps: readonly { step: string; result: string }[]) =>
    steps.map(({ step, result }) => `${step} ${result}`);
  expect(words(body.source.steps)).toEqual(['resolve ok', 'signIn ok', 'list ok', 'read ok']);
  expect(words(body.destination.steps)).toEqual([
    'resolve ok',
    'signIn ok',
    'database ok',
    'table ok',
    'mapping skipped',
    'ingestion ok',
    'permission ok',
  ]);
});

test('what is wrong is told with its remedy, and no secret', async () => {
  const { body } = await send({
    source: { ...source, credentials: 'stranger' },
    destination: { ...destination, table: 'Conected' },
  });
  expect(body.ok).toBe(false);
  expect(body.source.steps[2]).toMatchObject({
    step: 'list',
    result: 'failed',
    code: 'sourceAccessDenied',
    remedy: expect.stringContaining('s3:ListBucket'),
  });
  expect(body.destination.steps[3]).toMatchObject({
    step: 'table',
    result: 'failed',
    code: 'tableNotFound',
    message: expect.stringContaining('Is it "Connected"?'),
  });
  expect(JSON.stringify(body)).not.toMatch(new RegExp(`${SECRET}|Signature=|sig=`));
});

test('a bucket that is not there, and credentials that are not', async () => {
  expect(
    (await send({ source: { ...source, bucket: `${TEST_BUCKET}-not` } })).body.source.steps[2],
  ).toMatchObject({
    code: 'bucketNotFound',
  });
  expect((await send({ source: { ...source, credentials: 'nobody' } })).body.source.steps[0]).toMatchObject({
    code: 'credentialsNotFound',
    result: 'failed',
  });
});

test('bad input is 400 with its fields', async () => {
  expect(await send({})).toMatchObject({ status: 400, body: { code: 'invalidRequest' } });
  expect(await send({ source: { ...source, endpoint: 'http://169.254.169.254/' } })).toMatchObject({
    status: 400,
    body: { problems: [{ field: 'source.endpoint' }] },
  });
});
