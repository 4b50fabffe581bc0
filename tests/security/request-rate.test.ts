import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createRequestRate } from '../../functions/triggers/request-rate.ts';
import { readSettings } from '../../shared/config/settings.ts';
import { type StackUnderTest, startStackUnderTest } from '../e2e/stack-under-test.ts';

describe('the limit of a process', () => {
  const passed = (check: (role: 'reader' | 'admin') => void, role: 'reader' | 'admin', tries: number) => {
    let count = 0;
    for (let at = 0; at < tries; at += 1) {
      try {
        check(role);
        count += 1;
      } catch (error) {
        expect(error).toMatchObject({ code: 'tooManyRequests', permanent: false });
      }
    }
    return count;
  };

  test("a minute's requests are answered, then as many as time has passed", () => {
    let ms = 0;
    const check = createRequestRate(60, () => ms);
    expect(passed(check, 'reader', 100)).toBe(60);
    ms += 10_000;
    expect(passed(check, 'reader', 100)).toBe(10);
    ms += 3_600_000;
    expect(passed(check, 'reader', 100)).toBe(60);
  });

  test('what changes something has a smaller limit of its own, and neither keeps the other out', () => {
    const check = createRequestRate(60, () => 0);
    expect(passed(check, 'admin', 100)).toBe(12);
    expect(passed(check, 'reader', 100)).toBe(60);
  });

  test.each(['0', '-5', '9', '10.5', 'many'])('%s is no limit', (value) => {
    const env = { AzureWebJobsStorage: 'UseDevelopmentStorage=true', LOADER_HTTP_REQUESTS_PER_MINUTE: value };
    expect(() => readSettings(env)).toThrow('LOADER_HTTP_REQUESTS_PER_MINUTE must be');
  });
});

describe('a running app', () => {
  let running: StackUnderTest;
  beforeAll(async () => {
    running = await startStackUnderTest({ settings: { LOADER_HTTP_REQUESTS_PER_MINUTE: '20' } });
  }, 60_000);
  afterAll(() => running?.stop());

  test('over HTTP the next one is 429, and says when to come again', async () => {
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => running.app.request('GET', '/api/loads')),
    );
    const refused = answers.filter(({ status }) => status === 429);
    // Some more than twenty, for time passes.
    expect(refused.length).toBeGreaterThan(3);
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(20);
    expect(refused[0]!.body).toMatchObject({ code: 'tooManyRequests', status: 429 });
    expect(refused[0]!.headers.get('retry-after')).toBe('10');
    expect((await running.app.request('DELETE', '/api/loads/none')).status).toBe(404);
    expect((await fetch(`${running.stack.host.url}/api/health`)).status).toBe(200);
  });
});
