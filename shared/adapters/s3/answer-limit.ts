import { pipeline, Readable, Transform } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';

/**
 * Most bytes of an answer that is read whole. A page of a listing has 1,000 keys of 1,024 bytes, each escaped to three
 * times that at most, and some hundred bytes of other fields with each: below 4 MiB.
 */
const MOST_BYTES = 16 * 1024 * 1024;

interface Answer {
  readonly statusCode?: number;
  body?: unknown;
}

/**
 * Ends answers that are longer than any that S3 gives: an endpoint that never stops would fill the memory. An object that
 * is asked for whole is streamed, and has no limit; of a part of one no more is taken than was asked for, where that is
 * more.
 */
export function limitAnswers(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { response } = result as { readonly response: Answer };
      const limit = mostBytesOf(args.input as { readonly Range?: string }, response);
      if (limit !== null && response.body instanceof Readable) response.body = cutOff(response.body, limit);
      return result;
    },
    { step: 'deserialize', name: 'limitAnswers', priority: 'low' },
  );
}

function mostBytesOf(input: { readonly Range?: string }, response: Answer) {
  const { statusCode = 200 } = response;
  if (!('Range' in input)) return isWholeObject(input) && statusCode < 300 ? null : MOST_BYTES;
  const [, start = '', end = ''] = /^bytes=(\d*)-(\d*)$/.exec(input.Range ?? '') ?? [];
  const asked = start === '' ? Number(end) : Number(end) - Number(start) + 1;
  return Math.max(MOST_BYTES, asked);
}

/** Of what this app asks for by key only GetObject has a body. */
function isWholeObject(input: object): boolean {
  return 'Key' in input;
}

function cutOff(body: Readable, limit: number): Readable {
  let bytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= limit) return done(null, chunk);
      const error = new Error(`The answer is longer than ${limit} bytes, more than S3 ever sends.`);
      done(Object.assign(error, { code: 'ANSWER_TOO_LONG' }));
    },
  });
  // An error on either side ends both; who reads learns of it.
  pipeline(body, counted, () => undefined);
  return counted;
}
