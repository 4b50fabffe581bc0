import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LoaderError } from '../../../shared/errors/loader-error.ts';
import type { Ingestion, IngestionRequest } from '../../../shared/ports/ingestion.ts';

/** A cluster with database `db` that has table `Events`, which has the csv mapping `events` and a window of 10 s. */
export interface IngestionUnderTest {
  readonly ingestion: Ingestion;
  stop(): Promise<void>;
}

export function makeRequest(change: Partial<IngestionRequest> = {}): IngestionRequest {
  return {
    sourceId: randomUUID(),
    url: 'https://bucket.s3.us-east-1.amazonaws.com/folder/a.csv?X-Amz-Signature=secretsignature',
    rawSizeBytes: 1234,
    database: 'db',
    table: 'Events',
    format: 'csv',
    mapping: null,
    ignoreFirstRecord: false,
    tags: ['drop-by:loader/x.1/run'],
    ...change,
  };
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return error instanceof LoaderError ? error.code : `no LoaderError but ${String(error)}`;
}

/** What every `Ingestion` does. */
export function testIngestion(name: string, start: () => Promise<IngestionUnderTest>): void {
  describe(`${name} as an Ingestion`, () => {
    let part: IngestionUnderTest;
    beforeAll(async () => {
      part = await start();
    });
    afterAll(() => part?.stop());
    const table = { database: 'db', table: 'Events', mapping: null, format: 'csv' };

    test('it can be warmed up by many callers and again', async () => {
      await Promise.all(Array.from({ length: 5 }, () => part.ingestion.warmUp()));
      await part.ingestion.warmUp();
    });

    test('its hosts have addresses, it says as whom it signs in, and which roles that one has', async () => {
      expect((await part.ingestion.resolve()).length).toBeGreaterThan(0);
      expect(await part.ingestion.signIn()).toMatch(/^(nobody|application|an identity)/);
      expect((await part.ingestion.readRoles('db'))?.length).toBeGreaterThan(0);
    });

    test('a post is accepted and has a status that is not final', async () => {
      const request = makeRequest();
      expect(await part.ingestion.post(request)).toEqual({ result: 'accepted' });
      const statuses = await part.ingestion.readStatuses([request.sourceId]);
      expect(['Pending', 'Queued']).toContain(statuses.get(request.sourceId)?.status);
      expect(Date.parse(statuses.get(request.sourceId)?.updatedAt ?? '')).toBeGreaterThan(
        Date.now() - 60_000,
      );
    });

    test('a source id is posted once, however often it is tried', async () => {
      const request = makeRequest();
      const results = await Promise.all(Array.from({ length: 4 }, () => part.ingestion.post(request)));
      expect(results.map(({ result }) => result).sort()).toEqual([
        'accepted',
        'ambiguous',
        'ambiguous',
        'ambiguous',
      ]);
    });

    test('statuses: nothing for nothing, null for an unknown id, each id once', async () => {
      expect((await part.ingestion.readStatuses([])).size).toBe(0);
      const ids = Array.from({ length: 40 }, () => randomUUID());
      const statuses = await part.ingestion.readStatuses([...ids, ...ids]);
      expect([...statuses.keys()].sort()).toEqual([...ids].sort());
      expect(new Set(statuses.values())).toEqual(new Set([null]));
    });

    test('statuses that are removed are gone, the others stay, and what is not there is passed over', async () => {
      const requests = Array.from({ length: 3 }, () => makeRequest());
      for (const request of requests) await part.ingestion.post(request);
      const ids = requests.map(({ sourceId }) => sourceId);
      expect(await part.ingestion.removeStatuses([])).toBe(0);
      expect(await part.ingestion.removeStatuses([...ids.slice(1), randomUUID(), ids[1]!])).toBe(2);
      const left = await part.ingestion.readStatuses(ids);
      expect(ids.map((id) => left.get(id) === null)).toEqual([false, true, true]);
    });

    test('a table that is there has a batching window', async () => {
      expect((await part.ingestion.describeTable(table)).batchingWindowMs).toBe(10_000);
      expect((await part.ingestion.describeTable({ ...table, mapping: 'events' })).batchingWindowMs).toBe(
        10_000,
      );
    });

    test('what is missing is named', async () => {
      const { ingestion } = part;
      expect(await codeOf(ingestion.describeTable({ ...table, database: 'nosuch' }))).toBe(
        'databaseNotFound',
      );
      expect(await codeOf(ingestion.describeTable({ ...table, table: 'NoSuch' }))).toBe('tableNotFound');
      expect(await codeOf(ingestion.describeTable({ ...table, mapping: 'nosuch' }))).toBe('mappingNotFound');
    });

    test('a tag that no extent carries counts no rows', async () => {
      expect(await part.ingestion.countRowsByTag({ ...table, tag: "drop-by:it's/none" })).toBe(0);
    });

    test('a tag that no extent carries counts no paths', async () => {
      const question = { ...table, tag: "drop-by:it's/none", column: 'Name' };
      expect(await part.ingestion.countRowsByPath({ ...question, md5Prefix: '' })).toEqual(new Map());
      expect(await part.ingestion.countRowsByPath({ ...question, md5Prefix: 'c' })).toEqual(new Map());
    });

    test('a tag that no extent carries has none to list, and dropping what is not there is no error', async () => {
      const question = { ...table, tag: "drop-by:it's/none" };
      expect(await part.ingestion.listExtents(question)).toEqual([]);
      await part.ingestion.dropExtents({ ...question, extentIds: [] });
      await part.ingestion.dropExtents({ ...question, extentIds: ['00000000-0000-0000-0000-000000000000'] });
      expect(await part.ingestion.listDependents(table)).toEqual([]);
    });
  });
}
