import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { objectRowKey } from '../../shared/adapters/state/object-row-key.ts';
import { manualRunId, partInstanceId } from '../../shared/domain/run-id.ts';
import { LoaderError } from '../../shared/errors/loader-error.ts';
import { hostileText } from './hostile-inputs.ts';

describe('names from outside', () => {
  test('any key of an object is a row key that tables take, and stays within its own', () => {
    const key = fc
      .oneof(hostileText, fc.string({ unit: 'binary', minLength: 1, maxLength: 1024 }))
      .map((text) => text.toWellFormed());
    fc.assert(
      fc.property(key, key, (one, other) => {
        const rowKey = objectRowKey(one);
        // Printable ASCII without what Table storage forbids in keys, and without what an address or a filter would read.
        expect(rowKey).toMatch(/^k[!,\-.0-9:=@A-Z[_`a-z{~]+$/);
        expect(rowKey.length).toBeLessThanOrEqual(512);
        if (one !== other) expect(objectRowKey(other)).not.toBe(rowKey);
      }),
      { seed: 6, numRuns: 2000 },
    );
  });

  test('ids of runs and instances are of letters, digits and hyphens, and short enough', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/);
    fc.assert(
      fc.property(name, (load) => {
        const runId = manualRunId(load, new Date('2026-01-31T12:00:00Z'), 'ab12');
        expect(partInstanceId({ runId, epoch: 5, part: 'settler-31' })).toMatch(/^[A-Za-z0-9-]{1,100}$/);
      }),
      { seed: 6, numRuns: 200 },
    );
  });
});

describe('texts of errors', () => {
  test('are one line of bounded length and well-formed, whatever is put in', () => {
    const text = fc.oneof(hostileText, fc.string({ unit: 'binary', maxLength: 5000 }));
    fc.assert(
      fc.property(text, text, text, (message, field, fact) => {
        const error = new LoaderError('internal', message, {
          problems: [{ field, message }],
          facts: { fact },
        });
        for (const shown of [
          error.message,
          error.problems[0]!.field,
          error.problems[0]!.message,
          error.facts['fact'],
        ]) {
          const one = String(shown);
          expect(one.length).toBeLessThanOrEqual(2000);
          expect(one.isWellFormed()).toBe(true);
          // oxlint-disable-next-line eslint/no-control-regex -- none of them may be left
          expect(one).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
        }
      }),
      { seed: 6, numRuns: 500 },
    );
  });

  test.each([
    ['https://user:pw@host/path', 'https://***@host/path'],
    [
      'see https://b.s3.amazonaws.com/k?X-Amz-Signature=abc for more',
      'see https://b.s3.amazonaws.com/k for more',
    ],
    ['https://host/blob;AwsCredentials=id,secret', 'https://host/blob'],
    ['X-Amz-Security-Token%3Dabc%2Fdef', 'X-Amz-Security-Token%3D***'],
    ['Authorization: Bearer eyJ0.eyJ1.sig', 'Authorization: Bearer ***'],
    ['AccountKey=abc==;EndpointSuffix=x', 'AccountKey=***;EndpointSuffix=x'],
  ])('%s is shown as %s', (text, shown) => {
    expect(new LoaderError('internal', text).message).toBe(shown);
  });
});
