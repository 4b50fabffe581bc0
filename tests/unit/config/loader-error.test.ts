import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  ERROR_KINDS,
  type ErrorCode,
  LoaderError,
  redact,
  toLoaderError,
} from '../../../shared/errors/loader-error.ts';

/** Both ends can be told from any other text, so that half of it is noticed too. */
const SECRET = fc.stringMatching(/^S3CR3T[A-Za-z0-9+/=._~-]{8,40}T3RC3S$/);
const expectNoSecret = (text: string) => expect(text).not.toMatch(/S3CR3T|T3RC3S/);
const schemes = fc.constantFrom('https://', 'http://', 'HTTPS://');
const hosts = fc.constantFrom(
  'bucket.s3.eu-central-1.amazonaws.com',
  'account.blob.core.windows.net',
  '127.0.0.1:9000',
  'account.queue.core.windows.net',
);
const paths = fc
  .array(fc.constantFrom('in', 'a.csv', 'date=2026-01-01', '%20', 'é', "it's", '(1)'), { maxLength: 3 })
  .map((parts) => parts.map((part) => `/${part}`).join(''));
const surroundings = fc.constantFrom(
  ['', ''],
  ['Failed to read ', ' after 3 attempts'],
  ['"', '"'],
  ['(', ')'],
  ['Download: <', '>, gave up'],
  ['source=', ''],
  ["url: '", "'"],
) as fc.Arbitrary<[string, string]>;

/** Ways in which a secret comes along with an address or a connection string. */
const texts = fc
  .record({ secret: SECRET, scheme: schemes, host: hosts, path: paths, around: surroundings })
  .chain(({ secret, scheme, host, path, around: [before, behind] }) =>
    fc
      .constantFrom(
        `${scheme}${host}${path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260301&X-Amz-Signature=${secret}`,
        `${scheme}${host}${path}?sv=2026-01-01&sp=r&sig=${secret}`,
        `${scheme}${host}${path}?sig=${secret}&sv=2026-01-01`,
        `${scheme}${host}${path};AwsCredentials=AKIAEXAMPLE,${secret}`,
        `${scheme}${host}${path};${secret}`,
        `${scheme}user:${encodeURIComponent(secret)}@${host}${path}`,
        `DefaultEndpointsProtocol=https;AccountName=account;AccountKey=${secret};EndpointSuffix=core.windows.net`,
        `BlobEndpoint=${scheme}${host};SharedAccessSignature=sv=2026-01-01&sig=${secret}`,
        `Endpoint=sb://account.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=${secret}`,
        `Authorization: Bearer ${secret}`,
        `authorization: bearer ${secret}`,
        `s3://bucket${path};AwsCredentials=AKIAEXAMPLE,${secret}`,
        `X-Amz-Signature=${secret}`,
      )
      .map((text) => `${before}${text}${behind}`),
  );

describe('redact', () => {
  test('lets no secret through, however it is written', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(text).toMatch(/S3CR3T.*T3RC3S/);
        expectNoSecret(redact(text));
        expectNoSecret(new LoaderError('internal', text).message);
        expectNoSecret(toLoaderError(new Error(text)).message);
      }),
      { numRuns: 3000 },
    );
  });

  test('lets no secret through among other texts', () => {
    fc.assert(
      fc.property(
        fc.array(texts, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(' ', '\n', ', '),
        (list, between) => {
          expectNoSecret(redact(list.join(between)));
        },
      ),
    );
  });

  test('changes nothing on second sight', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(redact(redact(text))).toBe(redact(text));
      }),
    );
  });

  test.each([
    ['https://h/in/a.csv?X-Amz-Signature=abc', 'https://h/in/a.csv'],
    ['GET https://h/in/a.csv?sig=abc failed: 403', 'GET https://h/in/a.csv failed: 403'],
    ['"https://h/c;key", next', '"https://h/c", next'],
    ['https://h/in/a.csv is gone', 'https://h/in/a.csv is gone'],
    ['The table "T" does not exist; what now?', 'The table "T" does not exist; what now?'],
    ['AccountKey=abc==;EndpointSuffix=x', 'AccountKey=***;EndpointSuffix=x'],
    ['the token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln_X is wrong', 'the token *** is wrong'],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected);
  });
});

describe('the error codes', () => {
  test.each(Object.entries(ERROR_KINDS))('%s says what, and what to do', (_, kind) => {
    expect(kind.httpStatus).toBeGreaterThanOrEqual(400);
    expect(kind.httpStatus).toBeLessThan(600);
    expect(kind.title).toMatch(/^[A-Z][^.]+$/);
    expect(kind.remedy).toMatch(/^[A-Z].+\.$/);
    // What a person must put right is not cured by trying again, but for having asked too often.
    if (kind.owner === 'user' && kind.httpStatus !== 429) expect(kind.permanent).toBe(true);
  });

  test('an error carries its code, its facts and whether it is permanent', () => {
    for (const code of Object.keys(ERROR_KINDS) as ErrorCode[]) {
      const error = new LoaderError(code, 'm', {
        facts: { runId: 'r' },
        problems: [{ field: 'f', message: 'm' }],
      });
      expect(error).toMatchObject({
        code,
        permanent: ERROR_KINDS[code].permanent,
        facts: { runId: 'r' },
        problems: [{ field: 'f', message: 'm' }],
      });
    }
  });

  test('anything thrown becomes an error with a code', () => {
    const own = new LoaderError('loadNotFound', 'm');
    expect(toLoaderError(own)).toBe(own);
    const cause = new Error('reset');
    expect(toLoaderError(cause)).toMatchObject({ code: 'internal', message: 'reset', cause });
    expect(toLoaderError(cause, 'stateUnavailable').code).toBe('stateUnavailable');
    expect(toLoaderError('text')).toMatchObject({ code: 'internal', message: 'text' });
    expect(toLoaderError(undefined).message).toBe('undefined');
  });
});
