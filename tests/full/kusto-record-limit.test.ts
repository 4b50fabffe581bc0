import { expect, test } from 'vitest';
import { startLocalKusto } from '../dev/kusto/local-kusto.ts';

test('a record of more than 64 MB fails its source, in each format that has records', async () => {
  const local = await startLocalKusto();
  try {
    await local.rows('.create table Limits (s:string)');
    const wide = 'x'.repeat(65 * 1024 * 1024);
    for (const [format, body] of [
      ['txt', wide],
      ['csv', wide],
      ['json', `{"s":"${wide}"}`],
      ['multijson', `[{"s":"${wide}"}]`],
    ] as const) {
      local.sources.answers.set('/record', body);
      const id = await local.post('Limits', `${local.sources.url}/record?sig=1`, { properties: { format } });
      await local.load(1);
      expect([format, (await local.finalStatusOf(id))['ErrorCode']]).toEqual([
        format,
        'Stream_InputStreamTooLarge',
      ]);
    }
    expect(await local.rows('Limits | count')).toEqual([[0]]);
  } finally {
    await local.stop();
  }
});
