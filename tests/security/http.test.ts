import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { BlobServiceClient } from '@azure/storage-blob';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type RunningAzurite, startAzurite } from '../../dev/azurite/index.ts';
import { type FunctionsHost, startFunctionsHost } from '../../dev/functions-host/index.ts';
import { PROJECT_FOLDER } from '../../dev/stack.ts';
import { GOOD_DEFINITION, hostileBody, hostileText } from './hostile-inputs.ts';
import { blobsOf } from './written-by-the-stack.ts';

let azurite: RunningAzurite;
let host: FunctionsHost;
let folder: string;
const log: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 's3-adx-loader-http-'));
  azurite = await startAzurite({ folder, inMemory: true });
  host = await startFunctionsHost({
    appFolder: PROJECT_FOLDER,
    stateFile: ':memory:',
    logLevel: 'information',
    logFormat: 'json',
    onLog: (line) => void log.push(line),
    env: {
      FUNCTIONS_WORKER_RUNTIME: 'node',
      AzureWebJobsStorage: azurite.connectionString,
      LOADER_IDENTITY: 'none',
      LOADER_LOADS_FOLDER: 'no-such-folder',
      FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '5242880',
    },
  });
  // Other blobs of the account, outside of what the API shows.
  const account = BlobServiceClient.fromConnectionString(azurite.connectionString);
  const other = account.getContainerClient('other');
  await other.create();
  await other
    .getBlockBlobClient('secret.json')
    .upload('{"deletedAt":null,"definition":{"secret":"other container"}}', 60);
  expect((await send('PUT', '/api/loads/one', JSON.stringify(GOOD_DEFINITION))).status).toBe(201);
  const own = account.getContainerClient('s3adx');
  const planted = '{"deletedAt":null,"definition":{"secret":"other path"}}';
  await own.getBlockBlobClient('planted.json').upload(planted, planted.length);
  await own.getBlockBlobClient('runs/planted.json').upload(planted, planted.length);
}, 180_000);

afterAll(async () => {
  await host?.stop();
  await azurite?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/** A request whose path goes out as it is: other clients would tidy it up. */
function send(
  method: string,
  target: string,
  body?: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const { hostname, port } = new URL(host.url);
  return new Promise((resolve, reject) => {
    const sent = request(
      { hostname, port, method, path: target, headers: { 'x-functions-key': host.functionKey, ...headers } },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            contentType: String(answer.headers['content-type']),
            text,
          }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('paths', () => {
  const escapes = [
    '..%2fplanted',
    '..%2Fruns%2Fplanted',
    '%2e%2e%2fplanted',
    '%2e%2e%2f%2e%2e%2fother%2fsecret',
    '..%2f..%2fother%2fsecret',
    '..%5c..%5cother%5csecret',
    '.%2f.%2fone',
    '%2fone',
    'one%2f..%2fone',
    'one%00',
    'one%00.json',
    'one%0d%0ax-injected:%20yes',
    'one%20',
    'one.',
    'ONE%3Fx',
    'one%23',
    "one'%20or%20'1'%3D'1",
    '%25%32%65%25%32%65%252fplanted',
    '..;%2fplanted',
    'index',
    '.locks',
    '%F0%9F%98%80',
    '%ff%fe',
    'x'.repeat(5000),
  ];
  test.each(escapes)('the name %s leads nowhere', async (name) => {
    for (const [method, target] of [
      ['GET', `/api/loads/${name}`],
      ['DELETE', `/api/loads/${name}`],
      ['POST', `/api/loads/${name}/runs`],
      ['PUT', `/api/loads/${name}`],
      ['GET', `/api/runs/${name}`],
      ['GET', `/api/runs/${name}/objects`],
      ['POST', `/api/runs/${name}/cancel`],
      ['GET', `/api/runs?load=${name}&after=${name}`],
    ] as const) {
      // A good body would be stored under the name `index`.
      const { status, text } = await send(method, target, method === 'PUT' ? '{}' : undefined);
      const isList = target.startsWith('/api/runs?');
      expect([method, target, status]).toEqual([
        method,
        target,
        isList ? 200 : expect.toSatisfy((one) => one === 400 || one === 404),
      ]);
      expect(text).not.toMatch(/other container|other path/);
    }
  });

  test('nothing was written or deleted outside', async () => {
    const names: string[] = [];
    for await (const { where } of blobsOf(azurite.connectionString)) names.push(where);
    expect(names.sort()).toEqual([
      'blob other/secret.json',
      'blob s3adx/loads/one.json',
      'blob s3adx/planted.json',
      'blob s3adx/runs/planted.json',
    ]);
  });
});

test('a body of more than 5 MiB does not reach the app', async () => {
  const sized = (bytes: number) => send('PUT', '/api/loads/large', Buffer.alloc(bytes, ' '));
  expect(await sized(5 * 1024 * 1024)).toMatchObject({
    status: 413,
    text: expect.stringContaining('requestTooLarge'),
  });
  const refused = await sized(5 * 1024 * 1024 + 1);
  expect(refused.status).toBe(413);
  expect(refused.text).not.toContain('requestTooLarge');
});

test('a load that names as many keys as it may is stored, shown, and what its run works by', async () => {
  const keys = Array.from({ length: 10_000 }, (_, index) => `in/${String(index).padStart(206, 'ä')}`);
  const bytesOf = (texts: readonly string[]) => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  let left = 2 * 1024 * 1024 - bytesOf(keys.map((key) => key.replaceAll('ä', 'a')));
  // As many letters of two bytes as there is room for.
  const files = keys.map((key) =>
    key.replaceAll('ä', () => {
      left -= 1;
      return left >= 0 ? 'ä' : 'a';
    }),
  );
  expect(bytesOf(files)).toBe(2 * 1024 * 1024);
  const { prefix: _, wildcard: __, suffix: ___, ...source } = GOOD_DEFINITION.source;
  const body = (named: readonly string[]) =>
    JSON.stringify({ ...GOOD_DEFINITION, schedule: null, source: { ...source, files: named } }, null, 2);
  expect((await send('PUT', '/api/loads/many', body(files))).status).toBe(201);
  const shown = JSON.parse((await send('GET', '/api/loads/many')).text) as { source: { files: string[] } };
  expect(shown.source.files).toEqual(files);
  const refused = await send('PUT', '/api/loads/many', body([...files.slice(1), `${files[0]}a`]));
  expect(refused.status).toBe(400);
  expect(refused.text).toMatch(/at most 2 MiB together.*inventory/);
  const started = await send('POST', '/api/loads/many/runs', '');
  expect(started.status).toBe(202);
  const { runId } = JSON.parse(started.text) as { runId: string };
  const snapshot = BlobServiceClient.fromConnectionString(azurite.connectionString)
    .getContainerClient('s3adx')
    .getBlobClient(`runs/${runId}/snapshot.json`);
  const held = JSON.parse((await snapshot.downloadToBuffer()).toString()) as {
    definition: { source: { files: string[] } };
  };
  expect(held.definition.source.files).toEqual(files);
  await send('POST', `/api/runs/${runId}/cancel`, '');
  expect((await send('DELETE', '/api/loads/many')).status).toBe(204);
}, 60_000);

describe('400 hostile requests over HTTP', () => {
  test('end without a 500', async () => {
    const segment = fc.oneof(
      fc.constant('one'),
      hostileText.map((text) => encodeURIComponent(text.toWellFormed()).slice(0, 3000)),
    );
    const made = fc.record({
      method: fc.constantFrom('GET', 'PUT', 'DELETE', 'POST', 'PATCH', 'OPTIONS', 'HEAD'),
      segments: fc.array(fc.oneof(fc.constantFrom('loads', 'runs', 'objects', 'cancel', 'health'), segment), {
        maxLength: 4,
      }),
      query: fc.array(fc.tuple(fc.constantFrom('limit', 'after', 'state', 'load'), segment), {
        maxLength: 2,
      }),
      contentType: fc.constantFrom(
        'application/json',
        'text/xml',
        'application/x-www-form-urlencoded',
        'x/y; charset=utf-7',
      ),
      body: hostileBody,
    });
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(made, async ({ method, segments, query, contentType, body }) => {
        const search = query.map(([name, value]) => `${name}=${value}`).join('&');
        const target = `/api/${segments.join('/')}?${search}`.slice(0, 12_000);
        const isBodied = method === 'PUT' || method === 'POST';
        const answer = await send(method, target, isBodied ? body : undefined, {
          'content-type': contentType,
        });
        statuses.add(answer.status);
        expect(answer.status).toBeLessThan(500);
        // What the host answers by itself has no body; what the app answers says what is wrong.
        if (answer.status >= 400 && answer.text !== '') {
          expect(answer.contentType).toBe('application/problem+json');
          expect(JSON.parse(answer.text)).toMatchObject({
            code: expect.any(String),
            remedy: expect.any(String),
          });
        }
      }),
      { seed: 6, numRuns: 400, endOnFailure: true },
    );
    expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 404]));
  }, 180_000);

  test('leave a log of whole lines', () => {
    expect(log.length).toBeGreaterThan(0);
    for (const line of log)
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), category: expect.any(String) });
  });

  test('do not get past the key', async () => {
    for (const key of [
      '',
      'x',
      `${host.functionKey}x`,
      host.functionKey.slice(1),
      host.functionKey.toUpperCase(),
    ])
      expect((await send('GET', '/api/loads', undefined, { 'x-functions-key': key })).status).toBe(401);
  });
});
