import type { Authentication } from '../protocol/authenticate.ts';
import { S3Error } from '../protocol/errors.ts';
import type { RequestBody } from '../protocol/request-body.ts';
import type { RequestTarget } from '../protocol/request-target.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { Bucket } from '../store/object-version.ts';

/** One request on its way through an operation, authenticated and with its names decoded. */
export interface S3Call {
  readonly store: ObjectStore;
  readonly region: string;
  readonly publicBuckets: ReadonlySet<string>;
  /** Buckets that only those may use who say that they pay. */
  readonly requesterPaysBuckets: ReadonlySet<string>;
  readonly now: () => Date;
  readonly method: string;
  readonly target: RequestTarget;
  /** '' for requests to the service. */
  readonly bucketName: string;
  readonly key: string;
  /** Lower-case names; what a presigned URL says with `x-amz-*` parameters is in here too. */
  readonly headers: ReadonlyMap<string, string>;
  readonly authentication: Authentication;
  readonly openBody: () => RequestBody;
}

/** Bytes of an answer that are read while they are sent. */
export interface StreamedBody {
  readonly chunks: AsyncIterable<Buffer>;
  /** Lets go of what is read; called once, however the sending ends. */
  readonly close: () => void;
}

/** The answer of an operation. The server adds what every answer has. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Content-Length if it is not the body's own length, as for HEAD. */
  readonly contentLength?: number;
  readonly body?: string | StreamedBody;
}

export type Operation = (call: S3Call) => Reply | Promise<Reply>;

/** Id and name of the only account that there is. */
export const owner = {
  id: '6c6f63616c2d7333206f776e6572206163636f756e7420000000000000000000',
  displayName: 'local',
  accountId: '000000000000',
} as const;

/** @throws S3Error NoSuchBucket; AccessDenied where the requester pays and does not say so */
export function requireBucket(call: S3Call, name: string = call.bucketName): Bucket {
  const bucket = call.store.findBucket(name);
  if (bucket === null) throw new S3Error('NoSuchBucket', { details: { BucketName: name } });
  if (call.requesterPaysBuckets.has(name) && call.headers.get('x-amz-request-payer') !== 'requester') {
    throw new S3Error('AccessDenied');
  }
  return bucket;
}

/** Now, cut to the second: S3 keeps no finer times. */
export function currentSecondMs(call: Pick<S3Call, 'now'>): number {
  return Math.floor(call.now().getTime() / 1000) * 1000;
}

export function xmlReply(body: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body };
}
