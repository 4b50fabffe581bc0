import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { supportedAggregates } from '../../../dev/kusto/kql/aggregates.ts';
import { supportedFunctions } from '../../../dev/kusto/kql/functions/index.ts';
import { type KqlEndpoint, startKqlEndpoint } from './kql-endpoint.ts';

let kql: KqlEndpoint;
beforeAll(async () => {
  kql = await startKqlEndpoint();
});
afterAll(() => kql.local.stop());

/** Expressions, and the cells of the one row that they give. */
const expressions: readonly (readonly [text: string, cells: string])[] = [
  [
    'startofday(datetime(2024-02-03 04:05)), startofweek(datetime(2024-01-10)), startofmonth(datetime(2024-02-29), -1), startofyear(datetime(2024-05-05), 1)',
    '"2024-02-03T00:00:00.0000000Z","2024-01-07T00:00:00.0000000Z","2024-01-01T00:00:00.0000000Z","2025-01-01T00:00:00.0000000Z"',
  ],
  [
    'endofday(datetime(2024-02-03)), endofweek(datetime(2024-01-07)), endofmonth(datetime(2024-02-10)), endofyear(datetime(9999-05-05))',
    '"2024-02-03T23:59:59.9999999Z","2024-01-13T23:59:59.9999999Z","2024-02-29T23:59:59.9999999Z","9999-12-31T23:59:59.9999999Z"',
  ],
  [
    "datetime_diff('year',datetime(2017-01-01),datetime(2000-12-31)), datetime_diff('quarter',datetime(2017-07-01),datetime(2017-03-30)), datetime_diff('month',datetime(2017-01-01),datetime(2015-12-30)), datetime_diff('week',datetime(2017-10-29 00:00),datetime(2017-09-30 23:59))",
    '17,2,13,5',
  ],
  [
    "datetime_diff('day',datetime(2017-10-29 00:00),datetime(2017-09-30 23:59)), datetime_diff('hour',datetime(2017-10-31 01:00),datetime(2017-10-30 23:59)), datetime_diff('second',datetime(2017-10-30 23:00:10.100),datetime(2017-10-30 23:00:00.900)), datetime_diff('nanosecond',datetime(2017-10-30 23:00:00.0000000),datetime(2017-10-30 23:00:00.0000007))",
    '29,2,10,-700',
  ],
  [
    "datetime_add('month', 1, datetime(2017-01-31)), datetime_add('week', 1, datetime(2024-01-01)), datetime_add('year', -5, make_datetime(2017,1,1))",
    '"2017-02-28T00:00:00.0000000Z","2024-01-08T00:00:00.0000000Z","2012-01-01T00:00:00.0000000Z"',
  ],
  [
    "datetime_part('quarter', datetime(2017-10-30 01:02:03.7654321)), datetime_part('millisecond', datetime(2017-10-30 01:02:03.7654321)), datetime_part('microsecond', datetime(2017-10-30 01:02:03.7654321)), datetime_part('nanosecond', datetime(2017-10-30 01:02:03.7654321))",
    '4,765,765432,765432100',
  ],
  [
    'week_of_year(datetime(2020-12-31)), week_of_year(datetime(2000-01-01)), week_of_year(datetime(1970-01-01)), dayofyear(datetime(2024-12-31)), dayofweek(datetime(2024-01-08)), hourofday(datetime(2024-01-01 05:06))',
    '53,52,1,366,"1.00:00:00",5',
  ],
  [
    "format_datetime(datetime(2017-01-29 09:00:05), 'yy-MM-dd [HH:mm:ss]'), format_datetime(datetime(2017-01-29 09:00:05), 'yyyy-M-dd [H:mm:ss tt]'), format_datetime(datetime(2009-06-15T13:45:30.6175425Z), 'h:m:s.fff FFFFFFF')",
    '"17-01-29 [09:00:05]","2017-1-29 [9:00:05 AM]","1:45:30.617 6175425"',
  ],
  [
    "format_timespan(time(29.09:00:05.12345), 'dd.hh:mm:ss:FF'), format_timespan(time(29.09:00:05.12345), 'ddd.h:mm:ss [fffffff]')",
    '"29.09:00:05:12","029.9:00:05 [1234500]"',
  ],
  [
    'make_datetime(2024,2,30), make_datetime(2024,2,29,1,2,3.5), make_timespan(1,2), make_timespan(1,2,3,4)',
    'null,"2024-02-29T01:02:03.5000000Z","01:02:00","1.02:03:04"',
  ],
  [
    'unixtime_seconds_todatetime(1700000000), unixtime_milliseconds_todatetime(-1), unixtime_nanoseconds_todatetime(1700000000123456789)',
    '"2023-11-14T22:13:20.0000000Z","1969-12-31T23:59:59.9990000Z","2023-11-14T22:13:20.1234567Z"',
  ],
  [
    'bin_at(6.5, 2.5, 7), bin_at(time(1h), 1d, 12h), bin_at(datetime(2017-05-17 10:20), 7d, datetime(2017-06-04))',
    '4.5,"-12:00:00","2017-05-14T00:00:00.0000000Z"',
  ],
  [
    '1d * 2, 1.5 * 1d, 1d / 2, 1d / 1h, datetime(2024-01-02) - datetime(2024-01-01), 25h % 1d, now() - ago(1h)',
    '"2.00:00:00","1.12:00:00","12:00:00",24,"1.00:00:00","01:00:00","01:00:00"',
  ],
  [
    'split("aa_bb", "_"), split("aaa_bbb_ccc", "_", 1), split("", "_"), split("a__b", "_")',
    '["aa","bb"],["bbb"],[""],["a","","b"]',
  ],
  [
    'indexof("abcdefg","cde"), indexof("abcdefg","cde",1,4), indexof("abcdefg","cde",1,2), indexof("abcdefg","cde",3,4), indexof("abcdefg","cde",-5), indexof(1234567,5,1,4), indexof("abcdefgabcdefg","cde",1,10,2)',
    '2,2,-1,-1,2,4,9',
  ],
  [
    'countof("aaaa", "aa"), countof("aaaa", "a+", "regex"), reverse("abc"), strrep("ab", 3), strrep("a", 2, ","), strcat_delim("-", "a", 1, true)',
    '3,1,"cba","ababab","a,a","a-1-True"',
  ],
  [
    String.raw`extract("x=([0-9]+)", 1, "ax=12"), extract("x", 0, "ax"), extract("(z)", 1, "a"), extract_all(@'(?:^| )([a-z])([a-z]+)', " test word"), extract_all(@'(\d)', "a1b2"), isnull(extract_all(@'(\d)', "a"))`,
    '"12","x","",[["t","est"],["w","ord"]],["1","2"],true',
  ],
  [
    String.raw`extract_all(@'([a-z])(\d)', dynamic([2]), "a1b2"), replace_regex("a1b2", @"(\d)", @"<\1>"), replace_string("a.b.c", ".", "-"), trim("-", "--a--"), trim_start(@"\s+", "  x "), trim_end("b", "abb")`,
    '["1","2"],"a<1>b<2>","a-b-c","-a-","x ","ab"',
  ],
  [
    '"abc" matches regex "^a.c$", "aBc" matches regex "(?i)ABC", "a" matches regex "[[:digit:]]"',
    'true,true,false',
  ],
  [
    'base64_encode_tostring("hé"), base64_decode_tostring("aMOp"), base64_decode_tostring("!"), hash_sha1("abc"), tolower("ABC"), strcmp("a", "b"), strcat_array(dynamic(["a","b"]), "-")',
    '"aMOp","hé","","a9993e364706816aba3e25717850c26c9cd0d89d","abc",-1,"a-b"',
  ],
  [
    'gettype(1), gettype(1.5), gettype(int(null)), gettype(dynamic([1])), gettype(dynamic({})), gettype(dynamic(1)), gettype(dynamic(1.5)), gettype(dynamic(null)), gettype(dynamic([1])[5])',
    '"long","real","int","array","dictionary","long","double","null","null"',
  ],
  [
    'pack_array(1, "a", 1d, datetime(2020-01-01), true, 1.0), bag_pack("t", 1s, "n", int(null)), bag_merge(dynamic({"a":1}), dynamic({"a":2,"b":3})), bag_keys(dynamic({"b":1,"a":2})), bag_has_key(dynamic({"a":1}), "b"), bag_remove_keys(dynamic({"a":1,"b":2}), dynamic(["a"]))',
    '[1,"a","1.00:00:00","2020-01-01T00:00:00.0000000Z",true,1.0],{"t":"00:00:01","n":null},{"a":1,"b":3},["b","a"],false,{"b":2}',
  ],
  [
    'array_length(dynamic([1,2])), array_length(parse_json("{}")), array_slice(dynamic([1,2,3,4,5]), 2, -1), array_slice(dynamic([1,2,3,4,5]), -3, -2), array_concat(dynamic([1]), dynamic([2,3])), array_reverse(dynamic([1,2])), array_index_of(dynamic(["a","b"]), "z"), array_sum(dynamic([1,2]))',
    '2,null,[3,4,5],[3,4],[1,2,3],[2,1],-1,3',
  ],
  [
    'array_sort_asc(dynamic([3,1,null,"x"])), array_sort_desc(dynamic([1,3,2])), array_sort_asc(dynamic([null,"b","a"]), false), set_union(dynamic([1,2]), dynamic([2,3])), set_intersect(dynamic([1,2]), dynamic([2,3])), set_difference(dynamic([1,2]), dynamic([2])), set_has_element(dynamic([1,"x"]), "x")',
    '[1,3,"x",null],[3,2,1],[null,"a","b"],[1,2,3],[2],[1],true',
  ],
  [
    'parse_json("[1, 1.50, 1e3]"), todynamic("abc"), parse_json(""), parse_json("null"), parse_json("12345678901234567890")',
    '[1,1.5,1000.0],"abc",null,null,12345678901234567000.0',
  ],
  [
    'dynamic([datetime(2020-01-01), 1d, long(5), real(1.5), 0x10, -3, true, long(null), real(nan)]), dynamic({"a": {"b": "c"}})',
    '["2020-01-01T00:00:00.0000000Z",864000000000,5,1.5,16,-3,true,null,"NaN"],{"a":{"b":"c"}}',
  ],
  [
    'coalesce(int(null), 5), case(false, 1, true, 2, 3), min_of(3, 1, 2), max_of(int(null), 2), iff(1 > 0, "a", "b")',
    '5,2,1,2,"a"',
  ],
  [
    'round(2.5), round(-2.5), round(1.005, 2), round(1.25, 1), ceiling(1.2), abs(-3), abs(-1h), sign(-2.5), pow(2, 10), sqrt(-1.0), log(0.0), exp2(3), log10(1000.0)',
    '3,-3,1,1.3,2,3,"01:00:00",-1,1024,"NaN","-Infinity",8,3',
  ],
  [
    'isnan(real(nan)), isinf(real(-inf)), isfinite(1.0), real(nan) == real(nan), real(nan) != 1.0, real(nan) > 1.0',
    'true,true,true,false,true,false',
  ],
  [
    'binary_and(6, 3), binary_or(6, 3), binary_xor(6, 3), binary_shift_left(1, 4), binary_not(0), tohex(255), tohex(-1)',
    '2,7,5,16,-1,"ff","ffffffffffffffff"',
  ],
  [
    'todouble("5."), todouble("-1e-3"), todouble(dynamic("5.7")), todecimal("1.25"), todecimal(0.1), totimespan("1.02:03:04"), toguid("74BE27DE1E4E49D9B579FE0B331D3642"), tolong(datetime(2020-01-01))',
    '5,-0.001,5.7,"1.25","0.1","1.02:03:04","74be27de-1e4e-49d9-b579-fe0b331d3642",637134336000000000',
  ],
  [
    'todatetime("2022/12/02"), todatetime("2 Dec 2022"), todatetime("Dec 2, 2022"), todatetime("Fri, 02 Dec 2022 13:45:56 GMT"), todatetime("20221202"), todatetime("2/3/2022")',
    '"2022-12-02T00:00:00.0000000Z","2022-12-02T00:00:00.0000000Z","2022-12-02T00:00:00.0000000Z","2022-12-02T13:45:56.0000000Z","2022-12-02T00:00:00.0000000Z","2022-02-03T00:00:00.0000000Z"',
  ],
  [
    'toboolean("1"), toreal("2.5"), toobject("[1]"), iif(true, 1, 2), notnull(1), isnotnull(int(null)), isnotempty(""), notempty("a")',
    'true,2.5,[1],1,true,false,false,true',
  ],
  [
    'string_size("é"), replace_strings("a.b", dynamic(["a", "."]), dynamic(["x", "-"])), extract_json("$.a[0]", \'{"a":[5]}\'), base64_decode_toarray("aMOp"), toupper("a")',
    '2,"x-b","5",[104,195,169],"A"',
  ],
  [
    'getyear(datetime(2024-02-03)), getmonth(datetime(2024-02-03)), monthofyear(datetime(2024-02-03)), dayofmonth(datetime(2024-02-03)), unixtime_microseconds_todatetime(1)',
    '2024,2,2,3,"1970-01-01T00:00:00.0000010Z"',
  ],
  ['pack("a", 1), pack_dictionary("a", 1), binary_shift_right(16, 2)', '{"a":1},{"a":1},4'],
  [
    'round(pi(), 4), sin(0.0), cos(0.0), tan(0.0), asin(2.0), acos(1.0), atan(0.0), atan2(0.0, 1.0), degrees(0.0), radians(0.0), exp(0.0), exp10(2), log2(8.0)',
    '3.1416,0,1,0,"NaN",0,0,0,0,0,1,100,3',
  ],
  [
    '1tick, 150nanoseconds, 1.5h, time(2), time(-1.00:00:01), 1microsecond, 0x10, 1e3',
    '"00:00:00.0000001","00:00:00.0000001","01:30:00","2.00:00:00","-1.00:00:01","00:00:00.0000010",16,1000',
  ],
];

test.each(expressions)('%s', async (text, cells) => {
  expect(await kql.rawRows(`print ${text}`)).toBe(`[[${cells}]]`);
});

/** Whole queries of what has no trap of its own. */
const queries: readonly (readonly [query: string, rows: string])[] = [
  ['range x from 1 to 6 step 2', '[[1],[3],[5]]'],
  ['range x from 3 to 1 step -1', '[[3],[2],[1]]'],
  ['range t from datetime(2024-01-01) to datetime(2024-01-02) step 12h | count', '[[3]]'],
  ['datatable(a:long, b:string)[1, "x", 2, "y"] | where b == "y"', '[[2,"y"]]'],
  ['datatable(a:long)[] | count', '[[0]]'],
  ['let n = 2; let T = datatable(a:long)[1, 2, 3]; T | where a >= n | summarize sum(a)', '[[5]]'],
  ['let f = (x:long, y:long = 2) { let z = x * y; z + 1 }; print f(3), f(3, 5), f(y=1, x=1)', '[[7,16,2]]'],
  ['let T = () { range x from 1 to 3 step 1 }; T | union (T()) | count', '[[6]]'],
  ['let T = (m:long) { range x from 1 to m step 1 }; T(3) | count', '[[3]]'],
  ['let T = materialize(range x from 1 to 3 step 1); T | join kind=inner (T) on x | count', '[[3]]'],
  ['range x from 1 to 3 step 1 | as W | union W | summarize sum(x)', '[[12]]'],
  ['print x = toscalar(range x from 1 to 3 step 1 | summarize max(x)) + 1', '[[4]]'],
  ['range x from 1 to 5 step 1 | where x in ((range y from 2 to 3 step 1)) | count', '[[2]]'],
  ['range x from 1 to 5 step 1 | where x !in ((range y from 2 to 3 step 1)) | count', '[[3]]'],
  ['print d = dynamic([1, 2]) | where 2 in (d) and 3 !in (d) | count', '[[1]]'],
  ['print 5 in (dynamic([5, 6])), "x" in~ (dynamic(["X"])), 5 in (dynamic([]))', '[[true,true,false]]'],
  [
    'range x from 1 to 3 step 1 | sort by x desc | extend p = prev(x), n = next(x, 1, 99), r = row_number(), c = row_cumsum(x)',
    '[[3,null,2,1,3],[2,3,1,2,5],[1,2,99,3,6]]',
  ],
  ['range x from 1 to 4 step 1 | where prev(x) % 2 == 0 or row_number() == 4', '[[3],[4]]'],
  ['datatable(a:string)["x"] | serialize | extend p = prev(a)', '[["x",""]]'],
  ['datatable(a:long, b:string)[1, "x"] | project p = pack_all()', '[[{"a":1,"b":"x"}]]'],
  ['datatable(a:long)[1, 2] | summarize make_bag(bag_pack(tostring(a), a))', '[[{"1":1,"2":2}]]'],
  [
    'range x from 1 to 9 step 1 | summarize sumif(x, x > 5), avgif(x, x < 3), minif(x, x > 4), maxif(x, x < 4), dcountif(x, x > 7), make_list_if(x, x > 8), make_list(x, 2)',
    '[[30,1.5,5,3,2,[9],[1,2]]]',
  ],
  ['datatable(k:long, t:long)[1,5,2,9] | summarize arg_min(t, *), arg_max(t, k)', '[[5,1,9,2]]'],
  [
    'datatable(a:timespan)[1h, 3h] | summarize avg(a), sum(a), max(a), percentile(a, 50)',
    '[["02:00:00","04:00:00","03:00:00","01:00:00"]]',
  ],
  ['datatable(a:decimal)[decimal(1.1), decimal(2.2)] | summarize sum(a), min(a)', '[["3.3","1.1"]]'],
  ['print a = 1, b = 2, ab = 3 | project-reorder b | project-rename c = b | project-away a*', '[[2]]'],
  ['print a1 = 1, a2 = 2, b = 3 | project-keep a*', '[[1,2]]'],
  [
    'range x from 1 to 4 step 1 | summarize stdevp(x), variancep(x), stdevif(x, x > 9), varianceif(x, x < 3), make_set_if(x, x > 3), make_list_with_nulls(iff(x > 3, x, long(null)))',
    '[[1.118033988749895,1.25,0,0.5,[4],[null,null,null,4]]]',
  ],
  ['range x from 1 to 2 step 1 | summarize any(x), anyif(x, x > 1), take_anyif(x, x > 1)', '[[1,2,2]]'],
  [
    'range x from 1 to 2 step 1 | summarize make_bag_if(bag_pack("k", x), x > 1), count_distinctif(x, x > 1)',
    '[[{"k":2},1]]',
  ],
  ['datatable(a:long)[1] | extend b = column_ifexists("zz", 5), c = columnifexists("a", 6)', '[[1,5,1]]'],
  ['datatable(a:long)[1] | where a == "1" | render timechart', '[[1]]'],
  [
    'datatable(a:long, s:string)[] | getschema',
    '[["a",0,"System.Int64","long"],["s",1,"System.String","string"]]',
  ],
];

test.each(queries)('%s', async (query, rows) => {
  expect(await kql.rawRows(query)).toBe(rows);
});

/** What is not translated exactly, and what its error must name. */
const refusals: readonly (readonly [query: string, named: RegExp])[] = [
  ['print parse_url("http://a")', /parse_url/],
  ['print hash("a")', /hash\(\)/],
  ['print rand()', /rand/],
  ['range x from 1 to 2 step 1 | sample 1', /sample/],
  ['range x from 1 to 2 step 1 | make-series count() on x from 1 to 2 step 1', /make-series/],
  ['print d = dynamic({}) | evaluate bag_unpack(d)', /evaluate/],
  ['print s = "a" | parse kind=regex s with "a" b', /kind=regex/],
  ['print d = dynamic([1]) | mv-expand d to typeof(timespan)', /typeof\(timespan\)/],
  ['print d = dynamic([1]) | mv-apply d on (summarize count())', /mv-apply/],
  ['print decimal(1) / 3', /decimals with more than 17 digits/],
  ['print decimal(1.1) + 1.5', /decimal and real/],
  ['print decimal(0.123456789012345678)', /more than 17 digits/],
  ['print 9223372036854775807 + 1', /Overflow/],
  ['print datetime(9999-12-31) + 10d', /after 9999/],
  ['print "a" matches regex "(?=a)"', /lookaround/],
  [String.raw`print "aa" matches regex @"(a)\1"`, /reference back/],
  ['print s = "a", p = "b" | where s matches regex p', /not a literal/],
  ['print extract_all("[a-z]+", "abc")', /1 to 16 groups/],
  ['print dynamic(1) == dynamic(1)', /SEM0001.*dynamic/],
  ['print d = dynamic([1]) | extend e = d + 1', /Add with a dynamic/],
  ['print d = dynamic([1]) | summarize count() by d', /dynamic/],
  ['print d = dynamic([1]) | distinct d', /dynamic/],
  ['print t = datetime(2024-01-01) | summarize count() by bin(t, 7d)', /divides no day/],
  ['print x = 7d | project bin(datetime(2024-01-01), x)', /divides no day/],
  ['print 5.5 % 2', /% of a real/],
  ['print iff(true, 1, 1.5)', /long and real mixed|SEM0100/],
  ['print toint(1e10)', /literal outside of int/],
  ['print g = guid(74be27de-1e4e-49d9-b579-fe0b331d3642) | sort by g', /sorting by a guid/],
  ['datatable(a:long)[1] | extend r = row_number()', /row_number/],
  ['print format_datetime(datetime(2024-01-01), "dddd")', /'dddd'/],
  ['print array_sort_asc(dynamic([true, 1]))', /array_sort/],
  ['set notruncation; print 1', /SetOption/],
  ['print 1; print 2', /ExpressionStatement/],
  ['print a = 1 | union X*', /SEM0100|wildcard/],
  ['print a = 1 | join kind=sideways (print a = 1) on a', /sideways|Syntax error/],
  ['print a = 1.0 | join kind=inner (print a = 1) on a', /join of 'a'|SEM0100/],
];

test.each(refusals)('%s is refused by name', async (query, named) => {
  const error = await kql.error(query);
  expect(error).toMatchObject({ status: 400, '@permanent': true });
  expect(String(error['@message'])).toMatch(named);
  expect(error['@context']).toMatchObject({ clientRequestId: expect.any(String) });
});

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const calls = [...supportedFunctions, ...supportedAggregates];

test('every function and aggregate is called in a query here or in one of the traps', () => {
  const asked =
    [...expressions, ...queries].map(([query]) => query).join('\n') +
    read('kql-traps.test.ts') +
    read('queries.test.ts');
  expect(calls.filter((name) => !asked.includes(`${name}(`))).toEqual([]);
});

test("the README's table names every function and aggregate, and no other", () => {
  const [, section = ''] = read('../../../dev/kusto/README.md').split('\n## KQL\n');
  const rows = new Map(
    [...section.matchAll(/^\| ([a-z-]+) \| (.*) \|$/gm)].map(([, name, text]) => [name, text ?? '']),
  );
  const listed = [
    'aggregates',
    'conversions',
    'conditions',
    'strings',
    'times',
    'dynamics',
    'numbers',
    'rows',
  ].flatMap((name) =>
    [...(rows.get(name) ?? '').matchAll(/`([^`]*)`/g)].flatMap(([, names]) => (names ?? '').split(' ')),
  );
  expect(listed.sort()).toEqual([...calls].sort());
});
