import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { QueueServiceClient } from '@azure/storage-queue';
import { Client, KustoConnectionStringBuilder } from 'azure-kusto-data';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type RunningS3, startS3 } from '../../dev/s3/index.ts';
import {
  jsonObjects,
  type LoadChanges,
  type StackUnderTest,
  startStackUnderTest,
  TEST_BUCKET,
} from '../e2e/stack-under-test.ts';
import { findLeaks, formsOf, type Secret, type Written } from './secret-forms.ts';
import { blobsOf, entitiesOf, messagesOf, rowsOf } from './written-by-the-stack.ts';

/**
 * Secrets planted in every input of the app, and a scan over everything that it wrote. They have the characters that
 * URLs, JSON and base64 treat each in their own way.
 */
const canary = (name: string): Secret => ({
  name,
  value: `cAn4ry/${createHash('sha256').update(name).digest('base64').slice(0, 24)}+${name}`,
});
const SECRETS = {
  secretKey: canary('secretKey'),
  wrongSecret: canary('wrongSecret'),
  temporarySecret: canary('temporarySecret'),
  sessionToken: canary('sessionToken'),
  functionKey: { name: 'functionKey', value: 'canary-function-key-0123456789abcdef' },
  masterKey: { name: 'masterKey', value: 'canary-master-key-0123456789abcdef' },
  systemKey: { name: 'systemKey', value: 'canary-system-key-0123456789abcdef' },
  clientSecret: canary('clientSecret'),
  idempotencyKey: canary('idempotencyKey'),
  query: canary('query'),
  inDefinition: canary('inDefinition'),
  inEvent: canary('inEvent'),
  inHeader: canary('inHeader'),
  collectorKey: canary('collectorKey'),
} as const;

let under: StackUnderTest;
let s3: RunningS3;
let hostile: Server;
let collector: Server;
let folder: string;
const stateFile = () => path.join(folder, 'state.sqlite');
const log: string[] = [];
const answers: Written[] = [];
/** What an OpenTelemetry collector was sent. */
const told: Written[] = [];
const runIds: string[] = [];
/** Runs that end while queues and storage are well. */
const recordedRunIds: string[] = [];

/** A service that sends everything it was sent back in its error, as some do to help; over several lines. */
function startHostileEndpoint(): Promise<Server> {
  const server = createServer((request, response) => {
    const said = [`${request.method} ${request.url}`, ...request.rawHeaders].join('\r\n');
    response.writeHead(403, { 'content-type': 'application/xml', 'x-amz-bucket-region': 'us-east-1' });
    response.end(
      `<Error><Code>AccessDenied</Code><Message>${said.replaceAll('&', '&amp;')}</Message></Error>`,
    );
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

/** A collector that keeps what it is sent. It refuses the first request, and sends that back. */
function startCollector(): Promise<Server> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const isIts = request.headers['x-key'] === SECRETS.collectorKey.value;
    told.push({ where: `request ${told.length} to ${request.url}`, text: body });
    response.writeHead(isIts && told.length > 1 ? 200 : 401);
    response.end(told.length > 1 ? '{}' : `${request.rawHeaders.join('\r\n')}\r\n${body}`);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const originOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-canaries-'));
  const loads = path.join(folder, 'loads');
  await mkdir(loads);
  // A file that would take a secret of the settings into a definition, and one that holds one where it does not belong.
  const asFile = (file: string, json: unknown) => writeFile(path.join(loads, file), JSON.stringify(json));
  await asFile('takes-secret.json', { description: '%S3_CREDENTIALS__CANARIES__SECRET_ACCESS_KEY%' });
  await asFile('takes-storage.json', { description: '%AzureWebJobsStorage%' });
  await asFile('holds-secret.json', {
    events: SECRETS.inDefinition.value,
    source: SECRETS.inDefinition.value,
  });
  const temporary = {
    accessKeyId: 'ASIATEMPORARY',
    secretAccessKey: SECRETS.temporarySecret.value,
    sessionToken: SECRETS.sessionToken.value,
  };
  s3 = await startS3({
    folder: path.join(folder, 's3'),
    buckets: ['canaries'],
    accessKeyId: 'AKIACANARIES',
    secretAccessKey: SECRETS.secretKey.value,
    extraCredentials: [temporary],
  });
  await s3.seedObjects('canaries', [
    ...['good', 'temporary', 'refused', 'ambiguous'].flatMap((name) => jsonObjects(name, 3)),
    { key: 'good/packed.json.gz', body: gzipSync('{"line":"x","n":1}\n') },
    { key: 'good/broken.json.gz', body: Buffer.from('this is not gzip') },
  ]);
  hostile = await startHostileEndpoint();
  collector = await startCollector();
  under = await startStackUnderTest({
    settings: {
      LOADER_LOADS_FOLDER: loads,
      S3_CREDENTIALS__CANARIES__ACCESS_KEY_ID: 'AKIACANARIES',
      S3_CREDENTIALS__CANARIES__SECRET_ACCESS_KEY: SECRETS.secretKey.value,
      S3_CREDENTIALS__WRONG__ACCESS_KEY_ID: 'AKIACANARIES',
      S3_CREDENTIALS__WRONG__SECRET_ACCESS_KEY: SECRETS.wrongSecret.value,
      S3_CREDENTIALS__TEMPORARY__ACCESS_KEY_ID: temporary.accessKeyId,
      S3_CREDENTIALS__TEMPORARY__SECRET_ACCESS_KEY: temporary.secretAccessKey,
      S3_CREDENTIALS__TEMPORARY__SESSION_TOKEN: temporary.sessionToken,
      AZURE_CLIENT_SECRET: SECRETS.clientSecret.value,
      OTEL_EXPORTER_OTLP_ENDPOINT: originOf(collector),
      OTEL_EXPORTER_OTLP_HEADERS: `x-key=${encodeURIComponent(SECRETS.collectorKey.value)}`,
    },
    history: true,
    host: {
      stateFile: stateFile(),
      logLevel: 'trace',
      onLog: (line) => void log.push(line),
      functionKey: SECRETS.functionKey.value,
      masterKey: SECRETS.masterKey.value,
      systemKey: SECRETS.systemKey.value,
    },
  });
  await under.createTable('T');
  await under.createHistoryTables();
  await refuseSecrets();
  await runWithRefusedPosts();
  await runLoads();
  await sendEvents();
}, 180_000);

afterAll(async () => {
  await under?.stop();
  await s3?.stop();
  for (const server of [hostile, collector]) {
    server?.closeAllConnections();
    await new Promise((resolve) => (server === undefined ? resolve(null) : server.close(resolve)));
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function waitUntil(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 30_000; !(await holds()); ) {
    if (Date.now() > until) throw new Error(`Not within 30 s: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Sends a request and keeps the whole answer. */
async function send(method: string, url: string, body?: unknown, headers: Record<string, string> = {}) {
  const answer = await under.app.request(method, url, body, headers);
  answers.push({
    where: `answer to ${method} ${url.split('?')[0]}`,
    text: `${JSON.stringify([...answer.headers])}\n${JSON.stringify(answer.body)}`,
  });
  return answer;
}

async function putLoad(name: string, { source, ...changes }: LoadChanges = {}) {
  await under.putLoad(name, {
    source: { bucket: 'canaries', endpoint: s3.settings.endpoint, credentials: 'canaries', ...source },
    ...changes,
  });
  await send('GET', `/api/loads/${name}`);
}

async function start(name: string): Promise<string> {
  const { value } = SECRETS.idempotencyKey;
  const answer = await send(
    'POST',
    `/api/loads/${name}/runs?token=${encodeURIComponent(SECRETS.query.value)}`,
    {},
    {
      'idempotency-key': value,
      'x-secret': SECRETS.inHeader.value,
    },
  );
  expect(answer.status).toBe(202);
  runIds.push(answer.body.runId);
  return answer.body.runId;
}

/** The end of a run, with everything that can be read about it kept. */
async function end(runId: string) {
  const status = await under.waitForEnd(runId, 60_000);
  await send('GET', `/api/runs/${runId}?code=${SECRETS.functionKey.value}`);
  await send('GET', `/api/runs/${runId}/objects`);
  return status;
}

/** Requests that hold a secret where none belongs: none may be taken. */
async function refuseSecrets() {
  const { value } = SECRETS.inDefinition;
  const endpoint = s3.settings.endpoint;
  const good = {
    source: { bucket: 'canaries', endpoint, pathStyle: true },
    format: { type: 'json' },
    destination: { cluster: 'https://help.kusto.windows.net', database: 'db', table: 'T' },
  };
  const escaped = encodeURIComponent(value);
  const bad: unknown[] = [
    { ...good, source: { ...good.source, credentials: value } },
    { ...good, source: { ...good.source, secretAccessKey: value } },
    { ...good, source: { ...good.source, endpoint: `https://user:${escaped}@s3.amazonaws.com` } },
    { ...good, source: { ...good.source, endpoint: `${endpoint}?X-Amz-Signature=${escaped}` } },
    { ...good, source: { ...good.source, bucket: value, region: `${value} ` } },
    { ...good, source: value, events: value, path: value, format: value, onError: value, schedule: value },
    { ...good, concurrency: { lanes: value }, schedule: { cron: value, timeZone: value } },
    {
      ...good,
      destination: { ...good.destination, cluster: `https://help.kusto.windows.net;AppKey=${value}` },
    },
    {
      ...good,
      destination: { ...good.destination, cluster: `https://help.kusto.windows.net/?code=${escaped}` },
    },
    `{"secret": "${value}"`,
    value,
    [value],
  ];
  for (const body of bad) {
    const answer = await send('PUT', '/api/loads/refused-definition', body);
    expect([answer.status, body]).toEqual([400, body]);
    expect((await send('POST', '/api/connections/test', body)).status).toBe(400);
  }
  // Taken, and asked of services that refuse: what they say must not hold what they were sent.
  await send('POST', '/api/connections/test', {
    source: { ...good.source, prefix: `?X-Amz-Signature=${escaped}` },
  });
  await send('GET', '/api/loads', undefined, { 'x-functions-key': value });
  await send('GET', `/api/runs?limit=${escaped}`);
  await send('GET', `/api/runs/nothing/objects?after=${escaped}&state=${escaped}`);
  await send('POST', '/api/loads/nothing/runs', { prefix: value, [value]: value });
}

/** Posts that every queue refuses, and posts without an answer. */
async function runWithRefusedPosts() {
  const post = { service: 'queue', method: 'POST', path: '/messages' } as const;
  const proxy = under.stack.storage;
  for (const [name, action] of [
    ['refused', { kind: 'error', code: 'AuthenticationFailed', status: 403 }],
    ['ambiguous', { kind: 'error', code: null, status: 500 }],
  ] as const) {
    await putLoad(name, { source: { prefix: `${name}/` } });
    const fault = proxy.injectFault({ ...post, count: 1000, action });
    const runId = await start(name);
    // An ambiguous post waits for ADX's report until the settle deadline: that is not what is looked for here.
    if (name === 'ambiguous') await waitUntil(() => log.some((line) => line.includes('postsAmbiguous')));
    else expect((await end(runId)).summary!.objects.ingested).toBe(0);
    proxy.removeFault(fault);
    if (name === 'ambiguous') await send('POST', `/api/runs/${runId}/cancel`);
  }
}

async function runLoads() {
  const echo = originOf(hostile);
  // The stack's own bucket, by the session of a role.
  await under.upload(jsonObjects('role', 3));
  const own = { bucket: TEST_BUCKET, endpoint: under.stack.s3.settings.endpoint, credentials: 'default' };
  const loads: readonly (readonly [string, LoadChanges, string])[] = [
    ['role', { source: own }, 'completed'],
    ['good', {}, 'completedWithFailures'],
    ['temporary', { source: { credentials: 'temporary' } }, 'completed'],
    ['wrong-secret', { source: { credentials: 'wrong' } }, 'failed'],
    ['missing-bucket', { source: { bucket: 'no-such-bucket' } }, 'failed'],
    ['missing-table', { destination: { table: 'NoSuchTable' } }, 'failed'],
    ['missing-credentials', { source: { credentials: 'nobody' } }, 'failed'],
    ['hostile', { source: { endpoint: echo } }, 'failed'],
    ['hostile-temporary', { source: { endpoint: echo, credentials: 'temporary' } }, 'failed'],
  ];
  for (const [name, { source, ...changes }] of loads)
    await putLoad(name, { source: { prefix: `${name}/`, ...source }, ...changes });
  const started = await Promise.all(loads.map(async ([name]) => start(name)));
  recordedRunIds.push(...started);
  const ended = await Promise.all(started.map(end));
  expect(ended.map(({ load, state }) => [load, state])).toEqual(
    loads.map(([name, , state]) => [name, state]),
  );
}

/** An event that can't be read, with a secret in it: the message goes to the poison queue as it is, its text nowhere else. */
async function sendEvents() {
  const account = QueueServiceClient.fromConnectionString(under.stack.storage.connectionString);
  await account.createQueue('s3-events').catch(() => undefined);
  const queue = account.getQueueClient('s3-events');
  for (const message of [
    `no JSON: ${SECRETS.inEvent.value}`,
    JSON.stringify({ Message: SECRETS.inEvent.value, Type: 'x' }),
  ])
    await queue.sendMessage(Buffer.from(message).toString('base64'));
  const poison = account.getQueueClient('s3-events-poison');
  await waitUntil(
    async () => (await poison.getProperties().catch(() => null))?.approximateMessagesCount === 2,
  );
}

describe('no secret and no signature', () => {
  const secrets = (): readonly Secret[] => [
    ...Object.values(SECRETS),
    { name: 'account key', value: under.stack.storage.settings.accountKey },
    ...under.stack.s3.sts!.sessions.flatMap(({ role, secretAccessKey, sessionToken }) => [
      { name: `secret key of ${role}`, value: secretAccessKey },
      { name: `session token of ${role}`, value: sessionToken },
    ]),
    { name: 'identity header', value: under.stack.identity.settings.header },
    ...under.stack.identity.issued.map(({ audience, token }) => ({
      name: `token for ${audience}`,
      value: token,
    })),
  ];

  test('is in an answer of the API', () => {
    expect(answers.length).toBeGreaterThan(40);
    expect(under.stack.identity.issued.length).toBeGreaterThan(1);
    expect(under.stack.s3.sts!.sessions.length).toBeGreaterThan(0);
    expect(findLeaks(answers, secrets())).toEqual([]);
  });

  test('is in the log of the host at level trace', () => {
    expect(log.some((line) => / information /.test(line))).toBe(true);
    expect(log.some((line) => line.includes('loadFileInvalid'))).toBe(true);
    expect(log.some((line) => line.includes('eventUnreadable'))).toBe(true);
    const lines = log.map((text, index) => ({ where: `log line ${index}: ${text.slice(0, 80)}`, text }));
    expect(findLeaks(lines, secrets())).toEqual([]);
  });

  test("is in a blob, a table or a queue but ADX's own ingestion queues", async () => {
    const { connectionString } = under.stack.storage;
    const { endpoint, token } = under.stack.kusto.settings;
    const cluster = new Client(KustoConnectionStringBuilder.withAccessToken(endpoint, token));
    const { primaryResults } = await cluster.executeMgmt('NetDefaultDB', '.get ingestion resources');
    cluster.close();
    const ingestionQueues = [...primaryResults[0]!.rows()]
      .map((row) => row.toJSON<{ ResourceTypeName: string; StorageRoot: string }>())
      .filter(({ ResourceTypeName }) => ResourceTypeName === 'SecuredReadyForAggregationQueue')
      .map(({ StorageRoot }) => new URL(StorageRoot).pathname.split('/').at(-1)!);
    expect(ingestionQueues.length).toBeGreaterThan(0);
    const written: Written[] = [];
    for await (const one of blobsOf(connectionString)) written.push(one);
    for await (const one of entitiesOf(connectionString)) written.push(one);
    // The poison queue holds what was sent, as it was sent.
    for await (const one of messagesOf(connectionString, new Set([...ingestionQueues, 's3-events-poison'])))
      written.push(one);
    const places = new Set(written.map(({ where }) => where.split(/[ /]/).slice(0, 2).join(' ')));
    for (const place of ['blob s3adx', 'table s3adxruns', 'table s3adxledger', 'table s3adxloads'])
      expect(places).toContain(place);
    expect(written.filter(({ where }) => where.endsWith('/summary.json')).length).toBeGreaterThanOrEqual(8);
    expect(findLeaks(written, secrets())).toEqual([]);
  });

  test('is in what an OpenTelemetry collector is told', () => {
    expect(log.some((line) => line.includes('notRecorded') && line.includes('OpenTelemetry'))).toBe(true);
    const spans = ['"run good"', '"run hostile"', '"shard"', '"object"', '"loader.objects"'];
    for (const span of spans) expect(told.some(({ text }) => text.includes(span))).toBe(true);
    expect(findLeaks(told, secrets())).toEqual([]);
  });

  test('is in the tables of the history', async () => {
    const isAny = async (query: string) => (await under.kusto.query(query)).length > 0;
    for (const runId of recordedRunIds)
      await waitUntil(() => isAny(`LoaderRuns | where RunId == '${runId}'`));
    await waitUntil(() => isAny("LoaderObjects | where State == 'failed'"));
    const written: Written[] = [];
    for (const table of ['LoaderRuns', 'LoaderObjects']) {
      const rows = await under.kusto.query(table);
      written.push(...rows.map((row) => ({ where: `table ${table}`, text: JSON.stringify(row) })));
    }
    expect(findLeaks(written, secrets())).toEqual([]);
  });

  test('is in the state and the histories of the orchestrations', async () => {
    await under.stack.host.kill('SIGKILL');
    const rows = [...rowsOf(stateFile())];
    expect(new Set(rows.map(({ where }) => where)).size).toBeGreaterThan(1);
    expect(rows.some(({ text }) => text.includes(runIds[0]!))).toBe(true);
    expect(findLeaks(rows, secrets())).toEqual([]);
  });
});

describe('the scan', () => {
  const secret = SECRETS.sessionToken;
  const inBase64 = (before: string) => Buffer.from(`${before}${secret.value} behind`).toString('base64');
  test.each<[string, string]>([
    ['as it is', secret.value],
    ['in a URL', `?a=${encodeURIComponent(secret.value)}&b`],
    ['in a URL in a URL', encodeURIComponent(`?a=${encodeURIComponent(secret.value)}`)],
    ['in JSON in JSON', JSON.stringify(JSON.stringify({ secret: `"${secret.value}"` }))],
    ['in base64', inBase64('')],
    ['in base64, a byte later', inBase64('x')],
    ['in base64, two bytes later', inBase64('xy')],
    ['in base64url', inBase64('').replaceAll('+', '-').replaceAll('/', '_')],
  ])('finds a secret %s', (_, text) => {
    expect(findLeaks([{ where: 'here', text: `before ${text} behind` }], [secret])).toEqual([
      'sessionToken in here',
    ]);
    expect(formsOf(secret.value).length).toBeGreaterThan(5);
  });

  test.each([
    'https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0123',
    encodeURIComponent('https://b.s3.amazonaws.com/k?X-Amz-Security-Token=0123'),
    Buffer.from('xhttps://b.s3.amazonaws.com/k?X-Amz-Signature=0123').toString('base64'),
    'https://a.queue.core.windows.net/q?sv=2018-03-28&sig=abc%3D',
    encodeURIComponent('https://a.queue.core.windows.net/q?sv=2018-03-28&sig=abc%3D'),
    `AWS4-HMAC-SHA256 Credential=x, Signature=${'0'.repeat(64)}`,
  ])('finds a signature: %s', (text) => {
    expect(findLeaks([{ where: 'here', text }], [])).toHaveLength(1);
  });

  test('takes what redacting leaves for none', () => {
    expect(
      findLeaks([{ where: 'here', text: 'https://a/q?sig=*** X-Amz-Signature=*** Bearer ***' }], []),
    ).toEqual([]);
  });
});
