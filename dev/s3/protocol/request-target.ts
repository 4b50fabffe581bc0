import { S3Error } from './errors.ts';
import { decodePercent } from './uri.ts';

/** One `name=value` of the query string, decoded. A bare `name` has the value ''. */
export type QueryParameter = readonly [name: string, value: string];

/** What a request is aimed at, after decoding. */
export interface RequestTarget {
  /** Decoded path as it was sent; the signature covers this one, in either style of addressing. */
  readonly path: string;
  readonly query: readonly QueryParameter[];
  /** `null` for requests to the service itself. */
  readonly bucket: string | null;
  /** '' for requests to the bucket itself. */
  readonly key: string;
  readonly style: 'path' | 'virtual-host';
}

/**
 * Finds bucket and key in the request line and the Host header.
 *
 * `bucket.localhost` and `bucket.s3.localhost` name the bucket in the host; every other host means that the
 * first segment of the path is the bucket. Nothing is normalised: `a/../b`, `//` and `./` stay parts of keys.
 *
 * @throws S3Error InvalidURI
 */
export function parseRequestTarget(requestLine: string, host: string | undefined): RequestTarget {
  const questionMark = requestLine.indexOf('?');
  const rawPath = questionMark === -1 ? requestLine : requestLine.slice(0, questionMark);
  if (!rawPath.startsWith('/')) throw new S3Error('InvalidURI');
  const query = questionMark === -1 ? [] : parseQuery(requestLine.slice(questionMark + 1));
  const path = decodePercent(rawPath, false);
  const hostBucket = bucketOfHost(host ?? '');
  if (hostBucket !== null) {
    return { path, query, bucket: hostBucket, key: path.slice(1), style: 'virtual-host' };
  }
  // The raw path is split, so that an encoded slash cannot move the border between bucket and key.
  const border = rawPath.indexOf('/', 1);
  const bucket = decodePercent(border === -1 ? rawPath.slice(1) : rawPath.slice(1, border), false);
  const key = border === -1 ? '' : decodePercent(rawPath.slice(border + 1), false);
  return { path, query, bucket: bucket === '' ? null : bucket, key, style: 'path' };
}

/** Value of a query parameter, names compared as they are; `undefined` if it is absent. */
export function queryValue(target: RequestTarget, name: string): string | undefined {
  return target.query.find(([candidate]) => candidate === name)?.[1];
}

function parseQuery(raw: string): QueryParameter[] {
  return raw
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals === -1) return [decodePercent(pair, true), ''];
      return [decodePercent(pair.slice(0, equals), true), decodePercent(pair.slice(equals + 1), true)];
    });
}

function bucketOfHost(host: string): string | null {
  const name = host.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '');
  for (const suffix of ['.s3.localhost', '.localhost']) {
    if (name.endsWith(suffix)) {
      const bucket = name.slice(0, -suffix.length);
      return bucket === 's3' || bucket === '' ? null : bucket;
    }
  }
  return null;
}
