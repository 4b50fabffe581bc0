import { S3Error } from '../protocol/errors.ts';
import type { ObjectVersion } from '../store/object-version.ts';

/** Conditions on an object that exists; names without prefix, as `if-match`. */
export interface Conditions {
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly ifModifiedSince: string | undefined;
  readonly ifUnmodifiedSince: string | undefined;
}

/** @param prefix '' for the object itself, `x-amz-copy-source-` for the source of a copy */
export function readConditions(headers: ReadonlyMap<string, string>, prefix = ''): Conditions {
  return {
    ifMatch: headers.get(`${prefix}if-match`),
    ifNoneMatch: headers.get(`${prefix}if-none-match`),
    ifModifiedSince: headers.get(`${prefix}if-modified-since`),
    ifUnmodifiedSince: headers.get(`${prefix}if-unmodified-since`),
  };
}

/**
 * Weighs the conditions in the order of RFC 9110: a tag decides before a time does.
 *
 * @returns `not-modified` where a read is answered with 304
 * @throws S3Error PreconditionFailed
 */
export function weighConditions(conditions: Conditions, version: ObjectVersion): 'proceed' | 'not-modified' {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions;
  if (ifMatch !== undefined) {
    if (!listsTag(ifMatch, version.etag)) throw preconditionFailed('If-Match');
  } else if (isAfter(version.modifiedMs, ifUnmodifiedSince)) {
    throw preconditionFailed('If-Unmodified-Since');
  }
  if (ifNoneMatch !== undefined) return listsTag(ifNoneMatch, version.etag) ? 'not-modified' : 'proceed';
  const since = ifModifiedSince === undefined ? Number.NaN : Date.parse(ifModifiedSince);
  return Number.isNaN(since) || version.modifiedMs > since ? 'proceed' : 'not-modified';
}

export function preconditionFailed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', { details: { Condition: condition } });
}

/** Whether a header with entity tags, or `*`, names this one. S3 takes tags without quotes, too. */
export function listsTag(header: string, etag: string): boolean {
  return header.split(',').some((candidate) => {
    const tag = candidate.trim();
    return tag === '*' || tag.replace(/^W\//, '').replace(/^"(.*)"$/, '$1') === etag;
  });
}

function isAfter(timeMs: number, httpDate: string | undefined): boolean {
  return httpDate !== undefined && timeMs > Date.parse(httpDate);
}
