import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type KqlEndpoint, startKqlEndpoint } from './kql-endpoint.ts';

/** Where KQL looks like SQL and answers otherwise. Rows are compared as the JSON text of the v2 answer. */
const traps: Readonly<Record<string, readonly (readonly [query: string, rows: string])[]>> = {
  'sort, order and top are descending; nulls are the smallest': [
    ['N | sort by a | project a', '[[3],[2],[1],[null]]'],
    ['N | order by a | project a', '[[3],[2],[1],[null]]'],
    ['N | sort by a asc | project a', '[[null],[1],[2],[3]]'],
    ['N | sort by a desc nulls first | project a', '[[null],[3],[2],[1]]'],
    ['N | sort by a asc nulls last | project a', '[[1],[2],[3],[null]]'],
    ['N | top 2 by a | project a', '[[3],[2]]'],
    ['N | top 2 by a asc | project a', '[[null],[1]]'],
    ['N | sort by b, a | project b, a', '[["x",3],["x",1],["",2],["",null]]'],
    ['N | sort by a asc | where a > 1 | extend c = a * 2 | project c', '[[4],[6]]'],
    ['N | sort by a | take 1 | project a', '[[3]]'],
  ],
  'take without an order gives any rows': [['N | take 2 | count', '[[2]]']],
  'join is innerunique; null matches null; a string without a partner is empty': [
    ['L | join (R) on k | count', '[[3]]'],
    ['L | join kind=innerunique (R) on k | count', '[[3]]'],
    ['L | join kind=inner (R) on k | count', '[[5]]'],
    ['L | where k == "a" | join (R) on k | sort by w asc | project k, k1, w', '[["a","a",10],["a","a",20]]'],
    [
      'L | join kind=leftouter (R) on k | sort by v asc, w asc',
      '[["a",1,"a",10],["a",1,"a",20],["a",2,"a",10],["a",2,"a",20],["b",3,"",null],["",4,"",40]]',
    ],
    [
      'L | join kind=rightouter (R) on k | where isnull(v) or k == "" | sort by w asc',
      '[["",null,"c",30],["",4,"",40]]',
    ],
    ['L | join kind=fullouter (R) on k | count', '[[7]]'],
    ['L | join kind=leftsemi (R) on k | sort by v asc', '[["a",1],["a",2],["",4]]'],
    ['L | join kind=rightsemi (R) on k | sort by w asc', '[["a",10],["a",20],["",40]]'],
    ['L | join kind=leftanti (R) on k', '[["b",3]]'],
    ['L | join kind=rightanti (R) on k', '[["c",30]]'],
    ['N | where isnull(a) | join kind=inner (N) on a | project a, a1', '[[null,null]]'],
    ['N | where isnull(a) | join kind=leftanti (N) on a | count', '[[0]]'],
    ['L | join kind=inner (R) on $left.v == $right.w | count', '[[0]]'],
    ['L | lookup (R) on k | sort by v asc, w asc | project k, v, w | take 1', '[["a",1,10]]'],
  ],
  'has finds whole terms between anything that is no letter and no digit': [
    [
      'print "a_b" has "a", "a_b" has "b", "ab" has "a", "a1" has "a", "a-b c" has "B"',
      '[[true,true,false,false,true]]',
    ],
    ['print "éa" has "a", "a.b" has "a.b", "xa.b" has "a.b", "abc" has ""', '[[false,true,false,true]]'],
    ['print "a b" !has "a", "a b" !has "c", "A" has_cs "a", "A" !has_cs "a"', '[[false,true,false,true]]'],
    [
      'print "errors" has_any ("error"), "x error" has_any ("y", "error"), "a b" has_all ("a", "b")',
      '[[false,true,true]]',
    ],
    [
      'print "a b" has_any (dynamic(["b"])), "a" has_any (dynamic([])), "a" has_all (dynamic([]))',
      '[[true,false,true]]',
    ],
    [
      'print "error x" hasprefix "err", "terror" hasprefix "err", "error x" hassuffix "ror"',
      '[[true,false,true]]',
    ],
    ['datatable(s:string, t:string)["a_b", "B", "ab", "b"] | project s has t', '[[true],[false]]'],
  ],
  'case: == looks at it, =~ and the words without _cs do not': [
    ['print "A" == "a", "A" =~ "a", "A" !~ "a", "A" != "a"', '[[false,true,false,true]]'],
    ['print "ABC" contains "b", "ABC" contains_cs "b", "ABC" !contains "b"', '[[true,false,false]]'],
    [
      'print "ABC" startswith "ab", "ABC" startswith_cs "ab", "ABC" endswith "bc", "ABC" endswith_cs "bc"',
      '[[true,false,true,false]]',
    ],
    ['print "A" in ("a"), "A" in~ ("a"), "A" !in ("a"), "A" !in~ ("a")', '[[false,true,true,false]]'],
  ],
  'a null equals no value; two nulls are neither equal nor unequal; an order with null is null': [
    ['N | where a == 1 | count', '[[1]]'],
    ['N | where a != 1 | count', '[[3]]'],
    ['N | where a in (1, 2) | count', '[[2]]'],
    ['N | where a !in (1, 2) | count', '[[2]]'],
    ['N | where a > 1 or a <= 1 | count', '[[3]]'],
    ['N | where not(a > 1) | count', '[[1]]'],
    ['N | where not(a == 1) | count', '[[3]]'],
    ['N | where a between (1 .. 2) | count', '[[2]]'],
    ['N | where a !between (1 .. 2) | count', '[[1]]'],
    [
      'print int(null) == 1, int(null) != 1, int(null) == int(null), int(null) != int(null)',
      '[[false,true,null,null]]',
    ],
    [
      'print int(null) < 1, int(null) >= 1, int(null) in (1), int(null) !in (1), not(bool(null))',
      '[[null,null,false,true,null]]',
    ],
    ['print tostring(dynamic(null)) contains "x", tostring(dynamic(null)) !contains "x"', '[[false,true]]'],
    ['N | extend c = a + 1 | where isnull(c) | count', '[[1]]'],
    ['print iff(bool(null), 1, 2), iff(int(null) > 1, 1, 2)', '[[2,2]]'],
  ],
  'integers divide to integers, cut towards zero; the remainder is never negative': [
    [
      'print 7 / 2, -7 / 2, 7 / 2.0, 1 / 0, 1.0 / 0, -1.0 / 0, 0.0 / 0',
      '[[3,-3,3.5,null,"Infinity","-Infinity","NaN"]]',
    ],
    ['print 10 % 4, -10 % 4, 10 % -4, -10 % -4, 1 % 0', '[[2,2,2,2,null]]'],
    ['N | summarize sum(a) / count()', '[[1]]'],
  ],
  'bin goes down to a multiple from the epoch, below zero too': [
    [
      'print bin(-3, 2), bin(7, 5), floor(-7, 5), bin(-1.7, 0.5), bin(4.5, 1), bin(5, 0)',
      '[[-4,5,-10,-2,4,null]]',
    ],
    ['print bin(-1h, 1d), bin(14d + 3h, 1d)', '[["-1.00:00:00","14.00:00:00"]]'],
    [
      'print bin(datetime(1969-12-31 13:00), 1d), bin(datetime(2024-02-03T04:05:06.1234567Z), 1ms)',
      '[["1969-12-31T00:00:00.0000000Z","2024-02-03T04:05:06.1230000Z"]]',
    ],
  ],
  'conversions give null, never an error': [
    [
      'print tolong("x"), toint("1.5"), todouble("x"), todatetime("x"), totimespan("x"), toguid("x"), tobool("yes"), todecimal("x")',
      '[[null,null,null,null,null,null,null,null]]',
    ],
    [
      'print tolong(""), tolong("1e3"), tolong(" 7 "), tolong("0x10"), tolong("9223372036854775808")',
      '[[null,null,7,16,null]]',
    ],
    [
      'print tolong(5.7), tolong(-5.7), tolong(1d), tolong(true), tolong(dynamic("5.7")), tolong(dynamic(5.7))',
      '[[5,-5,864000000000,1,null,5]]',
    ],
    ['print toint(9999999999), toint("9999999999"), toint(2147483648)', '[[1410065407,null,-2147483648]]'],
    [
      'print tobool("TRUE"), tobool("2"), tobool("1.5"), tobool(1.5), tobool(0)',
      '[[true,true,null,true,false]]',
    ],
    [
      'print todatetime("2022-12-02T13:45:56+02:00"), todatetime("12-02-2022"), todatetime("13-01-2022")',
      '[["2022-12-02T11:45:56.0000000Z","2022-12-02T00:00:00.0000000Z",null]]',
    ],
    ['datatable(s:string)["7","x",""] | project tolong(s)', '[[7],[null],[null]]'],
  ],
  'a string is never null': [
    ['N | where isnull(b) | count', '[[0]]'],
    ['N | where b == "" | count', '[[2]]'],
    [
      'print isnull(tostring(int(null))), tostring(int(null)), strlen(tostring(datetime(null))), isempty("")',
      '[[false,"",0,true]]',
    ],
    [
      'print strcat("a", int(null), "b"), strcat_delim("-", "a", int(null), "b"), coalesce("", "c")',
      '[["ab","a--b","c"]]',
    ],
    ['L | where k == "b" | join kind=leftouter (R) on k | project isempty(k1), isnull(k1)', '[[true,false]]'],
    ['union (print a = 1), (print b = "x") | sort by b asc | project b', '[[""],["x"]]'],
    ['N | summarize max(b), take_any(b) by isnull(a) | where false | count', '[[0]]'],
    ['N | where false | summarize max(b), min(a)', '[["",null]]'],
  ],
  'by-keys come first; null is a key': [
    ['N | summarize n = count() by a | sort by a asc', '[[null,1],[1,1],[2,1],[3,1]]'],
    ['N | summarize count(), s = sum(a) by k = b | sort by k asc', '[["",2,2],["x",2,4]]'],
    ['N | distinct b | sort by b asc', '[[""],["x"]]'],
    ['N | summarize by b | count', '[[2]]'],
  ],
  'aggregates pass over nulls; over nothing counts and sums are 0, an average is NaN': [
    ['N | summarize count(), sum(a), avg(a), dcount(a), countif(a > 1)', '[[4,6,2,3,2]]'],
    [
      'N | where false | summarize count(), sum(a), avg(a), min(a), dcount(a), make_list(a), stdev(a)',
      '[[0,0,"NaN",null,0,[],0]]',
    ],
    ['N | where false | summarize count() by b', '[]'],
    ['N | where isnull(a) | summarize sum(a), avg(a), max(a), make_set(a)', '[[0,"NaN",null,[]]]'],
    ['N | sort by a asc | summarize make_list(a), make_list(b)', '[[[1,2,3],["","x","","x"]]]'],
    ['N | summarize variance(a), stdev(a), percentile(a, 50), percentiles(a, 0, 100)', '[[1,1,2,1,3]]'],
    ['N | summarize stdev(a) by a | where a == 1', '[[1,0]]'],
    ['N | summarize dcount(b), count_distinct(b)', '[[2,2]]'],
    [
      'datatable(k:string, t:long, v:string)["a",2,"", "a",1,"y"] | summarize arg_max(t, v) by k',
      '[["a",2,""]]',
    ],
    ['datatable(t:long, v:string)[long(null),"n"] | summarize arg_max(t, v)', '[[null,"n"]]'],
  ],
  'union pairs columns by name, in the order they are seen first, and keeps doubles': [
    ['union (print x = 1, y = 2), (print y = 3, z = 4) | sort by y asc', '[[1,2,null],[null,3,4]]'],
    ['union kind=inner (print x = 1, y = 2), (print y = 3, x = 4) | sort by x asc', '[[1,2],[4,3]]'],
    ['union L, L | count', '[[8]]'],
    ['L | union (R) | summarize count(), dcount(k)', '[[8,4]]'],
    [
      'union withsource=s L, (R | take 1) | summarize n = count() by s | sort by s asc',
      '[["L",4],["union_arg1",1]]',
    ],
    [
      'union (print a = 1), (print a = "x") | project a_long, a_string | sort by a_string asc',
      '[[1,""],[null,"x"]]',
    ],
  ],
  'substring counts from 0, and characters': [
    [
      'print substring("abcdefg", 1, 3), substring("abcdefg", 2), substring("abc", 3), substring("abc", 0, -1)',
      '[["bcd","cdefg","",""]]',
    ],
    ['print substring("abcdefg", -3, 2), substring("abc", -10), substring("a😀b", 1, 1)', '[["ef","","😀"]]'],
    [
      'print indexof("abc", "c"), indexof("abc", "z"), strlen("h\u00e9llo"), countof("aaaa", "aa")',
      '[[2,-1,5,3]]',
    ],
  ],
  'a dynamic as text loses its quotes; what it lacks is null': [
    [
      'print tostring(dynamic("x")), tostring(dynamic([1, "a"])), tostring(dynamic({"b": 1})), tostring(dynamic(true))',
      '[["x","[1,\\"a\\"]","{\\"b\\":1}","true"]]',
    ],
    ['print strlen(dynamic("x")), strcat(dynamic("x"), "!"), toupper(dynamic("x"))', '[[1,"x!","X"]]'],
    [
      'datatable(d:dynamic)[dynamic({"k":"v"})] | where d.k == "v" and d.k startswith "V" and d.k has "v" and d.k in ("v") | count',
      '[[1]]',
    ],
    [
      'print dynamic({"a":1}).b, dynamic([1,2])[-1], dynamic([1])[5], dynamic({"a":{"b":[7]}}).a.b[0], dynamic(5).x',
      '[[null,2,null,7,null]]',
    ],
    ['print dynamic("5") == 5, dynamic("x") == 5, dynamic(5) != 6', '[[true,false,true]]'],
  ],
  'text of values': [
    [
      'print tostring(true), tostring(false), tostring(1.50), tostring(2.0), tostring(1e20), tostring(0.00001)',
      '[["True","False","1.5","2","1E+20","1E-05"]]',
    ],
    [
      'print tostring(datetime(2024-01-02)), tostring(1d), tostring(-1.5d), tostring(1tick), tostring(decimal(1.50))',
      '[["2024-01-02T00:00:00.0000000Z","1.00:00:00","-1.12:00:00","00:00:00.0000001","1.5"]]',
    ],
    [
      'print hash_md5(true), hash_md5(""), hash_sha256("abc")',
      '[["f827cf462f62848df37c5e1e94a4da74","","ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]]',
    ],
  ],
  'mv-expand: an empty list has no row, a null one, and lists go side by side': [
    [
      'datatable(i:long, d:dynamic)[1, dynamic([10,"x",null]), 2, dynamic([]), 3, dynamic(null), 4, dynamic(5)] | mv-expand with_itemindex=n d | sort by i asc, n asc',
      '[[1,10,0],[1,"x",1],[1,null,2],[3,null,0],[4,5,0]]',
    ],
    ['print d = dynamic({"p":1,"q":"y"}) | mv-expand d | sort by tostring(d) asc', '[[{"p":1}],[{"q":"y"}]]'],
    ['print d = dynamic({"p":1}) | mv-expand kind=array d', '[[["p",1]]]'],
    [
      'print a = dynamic([1,2]), b = dynamic(["p"]) | mv-expand with_itemindex=i a, b | sort by i asc',
      '[[1,"p",0],[2,null,1]]',
    ],
    ['print a = dynamic([]), b = dynamic(["p"]) | mv-expand a, b', '[[null,"p"]]'],
    [
      'print d = dynamic([1, 2.5, -2.5, "2", true, null]) | mv-expand with_itemindex=i d to typeof(long) | sort by i asc | project d',
      '[[1],[2],[-2],[null],[null],[null]]',
    ],
    ['print d = dynamic([1,2,3]) | mv-expand d limit 2 | count', '[[2]]'],
    ['print a = dynamic([1,2]) | mv-expand x = a | sort by tolong(x) asc', '[[[1,2],1],[[1,2],2]]'],
  ],
  'parse takes all or nothing, to the end of the text': [
    ['print s = "a=1,b=c=3" | parse s with "a=" a:long ",b=" b | project a, b', '[[1,"c=3"]]'],
    [
      'print s = "a=1,b=x,c=zz" | parse s with "a=" a:long ",b=" b ",c=" c:long | project a, b, c',
      '[[null,"",null]]',
    ],
    [
      'print s = "a=1,b=x,c=zz" | parse kind=relaxed s with "a=" a:long ",b=" b ",c=" c:long | project a, b, c',
      '[[1,"x",null]]',
    ],
    ['print s = "nope" | parse s with "a=" a:long | project a', '[[null]]'],
    ['print s = "nope" | parse-where s with "a=" a:long | count', '[[0]]'],
    ['print s = "aXcYc" | parse s with "a" v "c" | project v', '[["XcY"]]'],
    ['print s = "id 27 rest" | parse s with * "id " n:long * | project n', '[[27]]'],
  ],
  'identifiers differ by case': [
    ['print Foo = 1, foo = 2, FOO = 3 | project foo, FOO, Foo', '[[2,3,1]]'],
    ['print ["a b"] = 1 | extend ["A B"] = ["a b"] + 1', '[[1,2]]'],
  ],
  'longs, datetimes and decimals are not rounded': [
    [
      'print 9007199254740993, -9223372036854775808, 9223372036854775807',
      '[[9007199254740993,-9223372036854775808,9223372036854775807]]',
    ],
    ['print sum_ = 9007199254740993 + 2, 9007199254740993 * 3', '[[9007199254740995,27021597764222979]]'],
    [
      'print decimal(0.1) + decimal(0.2), decimal(1.5) * decimal(2.25), decimal(1) / 8',
      '[["0.3","3.375","0.125"]]',
    ],
    [
      'print datetime(2024-01-01T00:00:00.0000001Z) + 1tick, datetime(9999-12-31T23:59:59.9999999Z)',
      '[["2024-01-01T00:00:00.0000002Z","9999-12-31T23:59:59.9999999Z"]]',
    ],
  ],
};

/** Names that the service gives where the query gives none. */
const names: readonly (readonly [query: string, columns: readonly string[]])[] = [
  [
    'N | summarize count(), sum(a), avg(a), dcount(a), make_list(a), make_set(b), countif(a > 1)',
    [
      'count_:long',
      'sum_a:long',
      'avg_a:real',
      'dcount_a:long',
      'list_a:dynamic',
      'set_b:dynamic',
      'countif_:long',
    ],
  ],
  ['N | summarize count() by bin(a, 2), b', ['a:long', 'b:string', 'count_:long']],
  [
    'N | summarize round(avg(a), 2), sum(a + 1), sum(a) / count()',
    ['avg_a:real', 'sum_:long', 'Column1:long'],
  ],
  [
    'N | summarize percentiles(a, 50, 95), percentile(a, 5), take_any(b)',
    ['percentile_a_50:long', 'percentile_a_95:long', 'percentile_a_5:long', 'b:string'],
  ],
  ['N | project a + 1, x = b', ['Column1:long', 'x:string']],
  ['N | extend tostring(a), strlen(b)', ['a:string', 'b:string', 'strlen_b:long']],
  ['N | extend toupper(b)', ['a:long', 'b:string', 'Column1:string']],
  ['N | count', ['Count:long']],
  ['print 1, "x", y = 2', ['print_0:long', 'print_1:string', 'y:long']],
  ['L | join kind=inner (R) on k', ['k:string', 'v:long', 'k1:string', 'w:long']],
  ['L | lookup (R) on k', ['k:string', 'v:long', 'w:long']],
  ['L | join kind=rightsemi (R) on k', ['k:string', 'w:long']],
  ['union R, L', ['k:string', 'w:long', 'v:long']],
  ['L | summarize arg_max(v, *) by k', ['k:string', 'v:long']],
  ['L | getschema', ['ColumnName:string', 'ColumnOrdinal:long', 'DataType:string', 'ColumnType:string']],
];

let kql: KqlEndpoint;
beforeAll(async () => {
  kql = await startKqlEndpoint();
  await kql.local.rows('.create table N (a:long, b:string)');
  await kql.local.rows('.ingest inline into table N <|\n1,x\n2,\n3,x\n,');
  await kql.local.rows('.set L <| datatable(k:string, v:long)["a", 1, "a", 2, "b", 3, "", 4]');
  await kql.local.rows('.set R <| datatable(k:string, w:long)["a", 10, "a", 20, "c", 30, "", 40]');
});
afterAll(() => kql.local.stop());

describe.each(Object.entries(traps))('%s', (_name, cases) => {
  test.each(cases)('%s', async (query, rows) => {
    expect(await kql.rawRows(query)).toBe(rows);
  });
});

test.each(names)('columns of %s', async (query, columns) => {
  expect(await kql.columns(query)).toEqual(columns);
});
