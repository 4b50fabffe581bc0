import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { jsonObjects, type StackUnderTest, startStackUnderTest } from './stack-under-test.ts';

/** A session of the shortest kind, an hour, then lasts for ten seconds. */
const SESSION_TIME_SCALE = 360;
/** Half an hour, which must be left when a URL is signed, then are five seconds. */
const TIME_SCALE = 360;

let under: StackUnderTest;

beforeAll(async () => {
  under = await startStackUnderTest({
    sessionTimeScale: SESSION_TIME_SCALE,
    timeScale: TIME_SCALE,
    settings: {
      S3_CREDENTIALS__DEFAULT__SESSION_DURATION: '1h',
      LOADER_SETTLE_DEADLINE: '12h',
      LOADER_STALE_AFTER: '12h',
    },
  });
  await under.createTable('T');
}, 60_000);
afterAll(() => under?.stop());

/** The test of the connections of a load, as a user asks for it. */
async function testConnections() {
  const { body: load } = await under.app.request('GET', '/api/loads/in');
  const { source, destination, format } = load as Record<string, unknown>;
  const { body } = await under.app.request('POST', '/api/connections/test', { source, destination, format });
  return body;
}

describe('with the managed identity and nothing else', () => {
  test('a run loads while the session in AWS ends again and again', async () => {
    await under.upload(jsonObjects('in', 40));
    await under.putLoad('in', { concurrency: { maxInFlight: 4, objectsPerActivity: 1 } });
    const { summary } = await under.run('in');
    expect([summary?.state, summary?.objects.ingested]).toEqual(['completed', 40]);
    expect(await under.kusto.countRows('T')).toBe(40);
    const { sessions } = under.stack.s3.sts!;
    expect(new Set(sessions.map(({ name }) => name))).toEqual(new Set(['s3-adx-loader-local']));
    // Seven seconds later it would last for less than URLs must: there is another one, and the load still finds its keys.
    const begun = sessions.length;
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    expect((await under.run('in')).summary).toMatchObject({ state: 'completed' });
    expect(sessions.length).toBeGreaterThan(begun);
  });

  test('the connection test says as whom the app signs in, on both sides', async () => {
    const { clientId, objectId } = under.stack.identity.systemAssigned;
    const { tenantId } = under.stack.identity.settings;
    expect(await testConnections()).toMatchObject({
      ok: true,
      source: {
        identity: 'arn:aws:sts::123456789012:assumed-role/s3-adx-loader-local/s3-adx-loader-local',
      },
      destination: { identity: `application ${clientId}, object id ${objectId}, tenant ${tenantId}` },
    });
  });

  test('tokens are asked for once for each audience, not with each request', async () => {
    const { issued } = under.stack.identity;
    const audiences = issued.map(({ audience }) => audience);
    // Tables, blobs and queues may ask for their first token at the same time, and so may host and app.
    expect(audiences.length).toBeLessThan(10);
    expect(new Set(audiences)).toEqual(
      new Set([
        'api://s3-adx-loader-aws-local',
        'https://kusto.kusto.windows.net',
        'https://storage.azure.com',
      ]),
    );
    expect((await under.run('in')).summary).toMatchObject({ state: 'completed' });
    expect(issued.length).toBe(audiences.length);
  });

  test('what STS refuses is told with its remedy', async () => {
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    under.stack.s3.sts!.fail('AccessDenied');
    const body = await testConnections();
    under.stack.s3.sts!.fail(null);
    expect(body).toMatchObject({ ok: false, destination: { ok: true } });
    expect(body.source.steps[1]).toMatchObject({
      step: 'signIn',
      result: 'failed',
      code: 'roleNotAssumed',
      message: expect.stringContaining('object id as subject'),
      remedy: expect.stringContaining('docs/DEPLOY.md'),
    });
    expect(JSON.stringify(body)).not.toMatch(/eyJ/);
  });
});
