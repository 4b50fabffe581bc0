import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

let local: LocalKusto;
beforeAll(async () => {
  local = await startLocalKusto({ profile: 'single' });
  await local.rows('.create table T (a:long, b:string, t:datetime, d:dynamic, r:real, f:bool, s:timespan)');
  await local.rows(`.ingest inline into table T <|
1,alpha_beta,2024-01-02T03:04:05.1234567Z,"{""q"":[1,{""z"":""w""}],""n"":5}",1.5,true,1.02:03:04
2,Beta,2024-02-02,[],2,false,00:00:10
-3,,,,,,
4,gamma,9999-12-31T23:59:59.9999999Z,,,1,`);
});
afterAll(() => local.stop());

/** Query, and the rows it must give. */
const cases: readonly [query: string, rows: unknown[][]][] = [
  ['T | count', [[4]]],
  ['T | where b has "beta" | project a | order by a asc', [[1], [2]]],
  ['T | where b has "bet" | count', [[0]]],
  ['T | where b contains "BET" | count', [[2]]],
  ['T | where b contains_cs "BET" | count', [[0]]],
  ['T | where b startswith "G" or b endswith "A" | count', [[3]]],
  ['T | where b =~ "BETA" | count', [[1]]],
  ['T | where b == "beta" | count', [[0]]],
  ['T | where b != "Beta" | count', [[3]]],
  ['T | where f == true | count', [[2]]],
  ['T | where f != true | count', [[2]]],
  ['T | where r > 0 | count', [[2]]],
  ['T | where not(r > 0) | count', [[0]]],
  ['T | where not(r == 1.5) | count', [[3]]],
  ['T | where a in (1, 2) and b !in ("Beta") | project a', [[1]]],
  ['T | where b in~ ("BETA", "Gamma") | count', [[2]]],
  ['T | where a between (1 .. 2) | count', [[2]]],
  ['T | where t between (datetime(2024-01-01) .. 31d) | count', [[1]]],
  ['T | where isnull(t) and isempty(b) | project a', [[-3]]],
  ['T | sort by a | project a', [[4], [2], [1], [-3]]],
  ['T | sort by r asc, a asc | project a', [[-3], [4], [1], [2]]],
  ['T | top 2 by a | project a', [[4], [2]]],
  ['T | sort by a asc | take 1 | project b', [['']]],
  ['T | sort by a asc | extend x = a + 1 | where x > 1 | project x', [[2], [3], [5]]],
  ['T | project y = a / 2, z = a % 2, w = 7 / 2 | order by y asc, z asc | take 1', [[-1, 1, 3]]],
  ['T | where a == 1 | extend tostring(t) | project t', [['2024-01-02T03:04:05.1234567Z']]],
  ['T | where a == 1 | project d.q[1].z, d["n"], tolong(d.n) + 1', [['w', 5, 6]]],
  [
    'T | where a == 1 | project startofday(t) == datetime(2024-01-02), startofmonth(t) == datetime(2024-01-01), bin(t, 1h) == datetime(2024-01-02T03:00:00)',
    [[true, true, true]],
  ],
  [
    'T | where a == 1 | project strlen(b), toupper(b), strcat(b, "-", a), substring(b, 1, 2), iff(f, "y", "n"), coalesce(r, 0.0)',
    [[10, 'ALPHA_BETA', 'alpha_beta-1', 'lp', 'y', 1.5]],
  ],
  [
    'T | where a == 4 | project tostring(t), todatetime(tostring(t)) == t, isnull(todatetime("junk")), isnull(tolong("1x"))',
    [['9999-12-31T23:59:59.9999999Z', true, true, true]],
  ],
  [
    'T | summarize count(), sum(a), avg(a), min(a), max(b), dcount(f), countif(a > 0)',
    [[4, 4, 1, -3, 'gamma', 2, 3]],
  ],
  [
    'T | summarize n = count() by f | order by n, f asc | project f, n',
    [
      [true, 2],
      [null, 1],
      [false, 1],
    ],
  ],
  ['T | where false | summarize count(), sum(a), max(a), make_list(a)', [[0, 0, null, []]]],
  ['T | where false | summarize count() by f', []],
  ['T | distinct f | count', [[3]]],
  ['T | summarize by f | count', [[3]]],
  ['T | project-away b, t, d, r, f, s | project-rename x = a | order by x | take 1', [[4]]],
  ['T | where s > 1d | project a', [[1]]],
  ['let n = 2; T | where a >= n | count', [[2]]],
  ['T | where ingestion_time() > ago(1h) | count', [[4]]],
  ['T | where array_length(extent_tags()) == 0 | distinct tostring(extent_id()) | count', [[1]]],
  [
    'print bin(-3, 2), bin(1.7, 0.5), toint("12"), todouble("1e3"), tobool("true"), isnotempty(" ")',
    [[-4, 1.5, 12, 1000, true, true]],
  ],
];

test.each(cases)('%s', async (query, expected) => {
  expect(await local.rows(query)).toEqual(expected);
});

test('default names of columns', async () => {
  const names = async (query: string) =>
    (await local.client.execute('local', query)).primaryResults[0]?.columns.map(
      (column) => `${column.name}:${column.type}`,
    );
  expect(await names('T | summarize count(), sum(a), avg(r) by b, bin(t, 1d)')).toEqual([
    'b:string',
    't:datetime',
    'count_:long',
    'sum_a:long',
    'avg_r:real',
  ]);
  expect(await names('T | count')).toEqual(['Count:long']);
  expect(await names('T | project a + 1, x = b')).toEqual(['Column1:long', 'x:string']);
});

test('unknown names and broken text are errors of the caller', async () => {
  await expect(local.rows('T | where nosuch > 1')).rejects.toThrow(/SEM0100.*nosuch/);
  await expect(local.rows('Nope | count')).rejects.toThrow(/SEM0100.*Nope/);
  await expect(local.rows('T | where')).rejects.toThrow(/Syntax error/);
});
