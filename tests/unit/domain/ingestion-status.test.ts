import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { type IngestionStatus, settleStatus } from '../../../shared/domain/ingestion-status.ts';
import { ERROR_KINDS } from '../../../shared/errors/loader-error.ts';

const URL_EXPIRES_AT = new Date('2026-03-01T06:00:00.000Z');
const statusOf = (changes: Partial<IngestionStatus>): IngestionStatus => ({
  status: 'Failed',
  errorCode: null,
  failureStatus: 'Permanent',
  details: null,
  updatedAt: '2026-03-01T01:00:00.000Z',
  ...changes,
});

/** In a word: `no`, `ingested` or the error code. */
function said(changes: Partial<IngestionStatus>): string {
  const settled = settleStatus(statusOf(changes), URL_EXPIRES_AT);
  return settled.settled === 'failed' ? settled.code : settled.settled;
}

describe('settleStatus', () => {
  test('settles nothing as long as there is no entity', () => {
    expect(settleStatus(null, URL_EXPIRES_AT)).toEqual({ settled: 'no' });
  });

  test.each([
    ['Pending', 'no'],
    ['Queued', 'no'],
    ['SomethingNew', 'no'],
    ['', 'no'],
    ['Succeeded', 'ingested'],
    ['PartiallySucceeded', 'partlyIngested'],
    ['Skipped', 'ingestionSkipped'],
  ])('status %s: %s, whatever the error code', (status, expected) => {
    for (const errorCode of [null, 'Stream_WrongNumberOfFields'])
      expect(said({ status, errorCode })).toBe(expected);
  });

  test.each([
    ['Stream_WrongNumberOfFields', 'formatMismatch'],
    ['Stream_ClosingQuoteMissing', 'formatMismatch'],
    ['BadRequest_NoRecordsOrWrongFormat', 'formatMismatch'],
    ['BadRequest_EmptyBlob', 'formatMismatch'],
    ['BadRequest_InvalidArchive', 'formatMismatch'],
    ['BadRequest_MappingReferenceWasNotFound', 'mappingNotFound'],
    ['BadRequest_MissingMappingtFailure', 'mappingNotFound'],
    ['BadRequest_TableNotExist', 'tableNotFound'],
    ['BadRequest_DatabaseNotExist', 'databaseNotFound'],
    ['BadRequest_TableAccessDenied', 'clusterAccessDenied'],
    ['Stream_InputStreamTooLarge', 'objectTooLarge'],
    ['BadRequest_FileTooLarge', 'objectTooLarge'],
    ['Download_SourceNotFound', 'objectGone'],
    ['Download_NotTransient', 'objectAccessDenied'],
    ['General_RetryAttemptsExceeded', 'ingestionExhausted'],
    ['General_InternalServerError', 'ingestionExhausted'],
    ['General_TransientSchemaMismatch', 'ingestionExhausted'],
    ['Download_UnknownError', 'ingestionExhausted'],
    ['Download_TransientNameResolutionFailure', 'ingestionExhausted'],
    ['Timeout', 'ingestionExhausted'],
    ['OutOfMemory', 'ingestionExhausted'],
    ['Unknown', 'ingestionExhausted'],
    ['Something_Else', 'ingestionRejected'],
    [null, 'ingestionRejected'],
    ['', 'ingestionRejected'],
  ])('failed with %s: %s', (errorCode, expected) => {
    for (const failureStatus of ['Permanent', 'Unknown', null])
      expect(said({ errorCode, failureStatus })).toBe(expected);
    expect(said({ errorCode, failureStatus: 'Transient' })).toBe('no');
    expect(said({ errorCode, failureStatus: 'Exhausted' })).toBe(
      expected === 'ingestionRejected' ? 'ingestionExhausted' : expected,
    );
  });

  test('a refused download is an expired URL from its expiry on, as clocks may differ, and a refusal before', () => {
    const forbidden = (updatedAt: string | null) => said({ errorCode: 'Download_Forbidden', updatedAt });
    expect(forbidden('2026-03-01T05:59:49.999Z')).toBe('objectAccessDenied');
    expect(forbidden('2026-03-01T05:59:50.000Z')).toBe('urlExpired');
    expect(forbidden('2026-03-01T05:59:59.000Z')).toBe('urlExpired');
    expect(forbidden('2026-03-01T06:00:00.000Z')).toBe('urlExpired');
    expect(forbidden(null)).toBe('objectAccessDenied');
  });

  test('the second copy of a message in a batch leaves the word to the first', () => {
    for (const failureStatus of ['Permanent', 'Transient'])
      expect(said({ errorCode: 'BlobAlreadyReceived_BlobAlreadyFoundInBatch', failureStatus })).toBe(
        'ingested',
      );
  });

  test('the message says what ADX said, cut at 500 characters', () => {
    expect(
      settleStatus(statusOf({ errorCode: 'Stream_X', details: 'line 7' }), URL_EXPIRES_AT),
    ).toMatchObject({ message: 'Stream_X: line 7' });
    expect(settleStatus(statusOf({ errorCode: null, details: 'line 7' }), URL_EXPIRES_AT)).toMatchObject({
      message: 'line 7',
    });
    expect(settleStatus(statusOf({ details: 'x'.repeat(900) }), URL_EXPIRES_AT)).toMatchObject({
      message: 'x'.repeat(500),
    });
  });

  test('any answer settles as one of the known outcomes', () => {
    const maybe = fc.option(
      fc.oneof(
        fc.string(),
        fc.constantFrom(
          'Permanent',
          'Transient',
          'Exhausted',
          'Download_Forbidden',
          'constructor',
          '__proto__',
          'toString',
        ),
      ),
    );
    fc.assert(
      fc.property(
        fc.constantFrom('Failed', 'Succeeded', 'Queued'),
        maybe,
        maybe,
        maybe,
        (status, errorCode, failureStatus, details) => {
          const settled = settleStatus(
            { status, errorCode, failureStatus, details, updatedAt: null },
            URL_EXPIRES_AT,
          );
          if (settled.settled === 'failed') expect(Object.keys(ERROR_KINDS)).toContain(settled.code);
        },
      ),
      { numRuns: 500 },
    );
  });
});
