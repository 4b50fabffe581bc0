import { QueueClient } from '@azure/storage-queue';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { EVENT_QUEUE } from '../../shared/contracts/event-queue.ts';
import { jsonObjects, type StackUnderTest, startStackUnderTest, TEST_BUCKET } from './stack-under-test.ts';

let under: StackUnderTest;
let queue: QueueClient;

beforeAll(async () => {
  under = await startStackUnderTest({ settings: { LOADER_TICK_SCHEDULE: '* * * * * *' } });
  queue = new QueueClient(under.stack.storage.connectionString, EVENT_QUEUE);
  await queue.createIfNotExists();
}, 60_000);

afterAll(() => under.stop());

const send = (message: unknown) =>
  queue.sendMessage(
    Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)).toString('base64'),
  );

const s3Event = (key: string) => ({
  Records: [
    {
      eventName: 'ObjectCreated:Put',
      s3: {
        bucket: { name: TEST_BUCKET },
        object: { key: encodeURIComponent(key).replaceAll('%20', '+'), size: 1, eTag: 'x' },
      },
    },
  ],
});
const snsEvent = (key: string) => ({
  Type: 'Notification',
  TopicArn: 'arn:aws:sns:us-east-1:1:t',
  Message: JSON.stringify(s3Event(key)),
});
const eventBridgeEvent = (key: string) => ({
  source: 'aws.s3',
  'detail-type': 'Object Created',
  detail: { bucket: { name: TEST_BUCKET }, object: { key, size: 1, etag: 'x' } },
});

async function eventually(check: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const until = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error('It did not come about in time');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

describe('S3 events', () => {
  test('load what they announce, once, however often and in whatever shape they come', async () => {
    await under.createTable('Announced');
    const objects = jsonObjects('announced', 6).map((object, index) =>
      index === 0 ? { ...object, key: 'announced/a file + 100%.json' } : object,
    );
    await under.upload(objects);
    await under.putLoad('announced', { destination: { table: 'Announced' }, events: true });
    for (const [index, { key }] of objects.entries()) {
      const shape = [s3Event, snsEvent, eventBridgeEvent][index % 3]!;
      await send(shape(key));
      await send(shape(key));
    }
    await send(s3Event('elsewhere/not-ours.json'));
    await send({ Event: 's3:TestEvent', Bucket: TEST_BUCKET });
    await eventually(async () => (await under.kusto.countRows('Announced')) === 6);

    // The same again, and a listing over the same keys: nothing is loaded twice.
    for (const { key } of objects) await send(s3Event(key));
    await send(s3Event('announced/deleted-meanwhile.json'));
    const runs = async () =>
      (await under.app.request('GET', '/api/runs?load=announced')).body.runs as {
        runId: string;
        finalState: string | null;
      }[];
    await eventually(
      async () => (await runs()).length >= 2 && (await runs()).every(({ finalState }) => finalState !== null),
    );
    expect((await under.run('announced')).summary).toMatchObject({
      objects: { ingested: 0 },
      plan: { skipped: { unchanged: 6 } },
    });
    expect(await under.kusto.countRows('Announced')).toBe(6);
    // A burst is not a run per event.
    expect((await runs()).length).toBeLessThanOrEqual(6);
  }, 120_000);

  test('are taken over HTTP, too, and are on their lists when they are answered', async () => {
    await under.createTable('Posted');
    const objects = jsonObjects('posted', 3);
    await under.upload(objects);
    await under.putLoad('posted', { destination: { table: 'Posted' }, events: true });
    const post = (body: unknown) => under.app.request('POST', '/api/events', body);
    for (const { key } of [...objects, ...objects])
      expect(await post(eventBridgeEvent(key))).toMatchObject({ status: 200, body: { loads: ['posted'] } });
    expect(await post(s3Event('elsewhere/not-ours.json'))).toMatchObject({
      status: 200,
      body: { loads: [] },
    });
    await eventually(async () => (await under.kusto.countRows('Posted')) === 3);
    expect(await post({ no: 'event' })).toMatchObject({ status: 400, body: { code: 'unreadableEvent' } });
    const unsigned = await fetch(`${under.stack.host.url}/api/events`, {
      method: 'POST',
      body: JSON.stringify(s3Event('posted/a.json')),
    });
    expect(unsigned.status).toBe(401);
  });

  test('that can not be read end in the poison queue', async () => {
    await send('this is no event');
    const poison = new QueueClient(under.stack.storage.connectionString, `${EVENT_QUEUE}-poison`);
    await eventually(
      async () =>
        (await poison.exists()) && ((await poison.getProperties()).approximateMessagesCount ?? 0) === 1,
      90_000,
    );
  }, 120_000);
});

describe('a schedule', () => {
  test('starts the load when it is due, and each instant once', async () => {
    await under.createTable('Scheduled');
    await under.upload(jsonObjects('scheduled', 3));
    await under.putLoad('scheduled', {
      destination: { table: 'Scheduled' },
      schedule: { cron: '*/5 * * * * *' },
    });
    const runs = async () =>
      (await under.app.request('GET', '/api/runs?load=scheduled')).body.runs as {
        runId: string;
        trigger: string;
        finalState: string | null;
      }[];
    await eventually(async () => (await runs()).filter(({ finalState }) => finalState !== null).length >= 3);
    await under.app.request('DELETE', '/api/loads/scheduled');
    const started = await runs();
    expect(new Set(started.map(({ runId }) => runId)).size).toBe(started.length);
    for (const { runId, trigger } of started) {
      expect(trigger).toBe('schedule');
      expect(runId).toMatch(/^scheduled-\d{8}T\d{4}[0-5][05]Z-cron$/);
    }
    await eventually(async () => (await runs()).every(({ finalState }) => finalState !== null));
    expect(await under.kusto.countRows('Scheduled')).toBe(3);
  }, 120_000);
});
