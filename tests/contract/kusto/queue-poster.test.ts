import { expect, test } from 'vitest';
import { classifyPostError, createQueuePoster } from '../../../shared/adapters/kusto/queue-poster.ts';

test.each([
  [{ code: 'ECONNREFUSED', message: '' }, 'refused'],
  [{ code: 'ENOTFOUND', message: 'getaddrinfo ENOTFOUND x' }, 'refused'],
  [{ code: 'EAI_AGAIN', message: 'getaddrinfo EAI_AGAIN x' }, 'refused'],
  [{ code: 'ETIMEDOUT', message: 'connect ETIMEDOUT 10.0.0.1:443' }, 'refused'],
  [{ code: 'DEPTH_ZERO_SELF_SIGNED_CERT', message: 'self-signed certificate' }, 'refused'],
  [{ code: 'ERR_TLS_CERT_ALTNAME_INVALID', message: 'Hostname does not match' }, 'refused'],
  [
    {
      code: 'ECONNRESET',
      message: 'Client network socket disconnected before secure TLS connection was established',
    },
    'refused',
  ],
  [{ code: 'ECONNRESET', message: 'socket hang up' }, 'ambiguous'],
  [{ code: 'ETIMEDOUT', message: 'read ETIMEDOUT' }, 'ambiguous'],
  [{ code: 'EPIPE', message: 'write EPIPE' }, 'ambiguous'],
  [{ code: 'EPROTO', message: 'write EPROTO alert' }, 'ambiguous'],
  [{ name: 'AbortError', message: 'The operation was aborted' }, 'ambiguous'],
  [new Error('anything else'), 'ambiguous'],
])('%o is %s', (error, result) => {
  expect(classifyPostError(error).result).toBe(result);
});

test('queues are asked in an order that the random source decides, each once', async () => {
  const urls = [1, 2, 3].map((port) => `http://127.0.0.1:${port}/a/q${port}?sig=s`);
  const orderOf = async (random: () => number) => {
    const { message } = (await createQueuePoster({ random }).post(urls, 'x')) as { message: string };
    return [...message.matchAll(/q(\d):/g)].map((match) => match[1]);
  };
  expect(await orderOf(() => 0)).toEqual(['2', '3', '1']);
  expect(await orderOf(() => 0.999)).toEqual(['1', '2', '3']);
});

test('no queue is a refusal', async () => {
  expect(await createQueuePoster().post([], 'x')).toMatchObject({ result: 'refused' });
});
