import { HttpRequest, InvocationContext } from '@azure/functions';
import { expect, test, vi } from 'vitest';

import { answering } from '../../functions/triggers/http-answer.ts';
import { LoaderError } from '../../shared/errors/loader-error.ts';

vi.mock('../../functions/runtime.ts', () => ({ loaderFor: async () => ({}) }));

async function linesOf(error: LoaderError): Promise<readonly string[]> {
  const lines: string[] = [];
  const context = new InvocationContext({
    functionName: 'readRun',
    logHandler: (level, ...args) => void lines.push(`${level} ${args.join(' ')}`),
  });
  const handler = answering('reader', () => Promise.reject(error));
  const { status } = await handler(
    new HttpRequest({ method: 'GET', url: 'https://app.invalid/api' }),
    context,
  );
  expect(status).toBeGreaterThanOrEqual(400);
  return lines;
}

test('a request that fails by no fault of its caller is a named event', async () => {
  const [line, ...others] = await linesOf(new LoaderError('stateUnavailable', 'away'));
  expect(others).toEqual([]);
  const [, level, text, fields] = /^(\w+) ([^{]+) (\{.*\})$/.exec(line!)!;
  expect([level, text, JSON.parse(fields!)]).toEqual([
    'error',
    'request failed',
    { event: 'requestFailed', eventId: 600, function: 'readRun', code: 'stateUnavailable', message: 'away' },
  ]);
});

test('a request that its caller got wrong is no line of the log', async () => {
  expect(await linesOf(new LoaderError('invalidRequest', 'wrong'))).toEqual([]);
});
