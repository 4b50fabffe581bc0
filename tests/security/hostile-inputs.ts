import fc from 'fast-check';

/** Texts that programs have stumbled over: inherited names, paths, line ends, halves of characters, other languages' code. */
const HOSTILE_TEXTS = [
  '',
  ' ',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '..',
  '../',
  '../../etc/passwd',
  '..%2f..%2f',
  '%2e%2e%2f',
  '%252e%252e%252f',
  '//',
  '\\..\\',
  '/absolute',
  'a/../b',
  'index',
  '.locks',
  'a\0b',
  '%00',
  'line\r\nx-injected: yes',
  'line\nline',
  '\u2028\u2029\u0085',
  '\u001b[31m',
  '\ud800',
  'x\udfff',
  '😀',
  'İ',
  "' or '1'='1",
  "'; drop table T; --",
  'T | .drop table X',
  "']) | .drop table X",
  '<script>alert(1)</script>',
  '${jndi:ldap://127.0.0.1/x}',
  '%s%n%x',
  '-1',
  'NaN',
  '1e999',
  '9'.repeat(400),
  'a'.repeat(300),
  'x'.repeat(10_000),
] as const;

export const hostileText = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
);

const hostileScalar = fc.oneof(
  { weight: 3, arbitrary: hostileText },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(
      0,
      -1,
      1.5,
      Number.MAX_SAFE_INTEGER + 2,
      1e308,
      -1e308,
      5e-324,
      true,
      null,
      [],
      {},
      // Gone from an object, and null in a list.
      undefined,
    ),
  },
);

/** Any JSON, with hostile texts as names and values. */
const hostileJson = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    hostileScalar,
    fc.array(tie('json'), { maxLength: 4 }),
    fc
      .array(fc.tuple(hostileText, tie('json')), { maxLength: 4 })
      .map((entries) => Object.fromEntries(entries)),
  ),
})).json;

/** A definition that is right, with everything that one can have. */
export const GOOD_DEFINITION = {
  description: 'A load',
  source: {
    bucket: 'memory-bucket',
    prefix: 'in/',
    wildcard: '**/*.json',
    suffix: ['.json'],
    minSizeBytes: 1,
    maxSizeBytes: 1_000_000,
    modifiedAfter: '2026-01-01T00:00:00Z',
    modifiedBefore: '2026-02-01T00:00:00Z',
    region: 'eu-central-1',
    endpoint: 'https://s3.eu-central-1.amazonaws.com',
    pathStyle: true,
    credentials: 'default',
  },
  format: { type: 'json', compression: 'auto', ignoreFirstRecord: false },
  destination: { cluster: 'https://test.kusto.windows.net', database: 'db', table: 'T', mapping: 'm' },
  path: 'direct',
  changed: 'skip',
  onError: { policy: 'atMost', failedObjects: 3 },
  concurrency: { lanes: 4, objectsPerActivity: 10, maxInFlight: 100, postsInFlight: 4 },
  schedule: { cron: '0 2 * * *', timeZone: 'Europe/Berlin' },
  events: true,
  tagWindow: 'day',
};

type Path = readonly string[];

function pathsOf(value: unknown, at: Path = []): readonly Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([name, below]) => pathsOf(below, [...at, name]))];
}

const PATHS = pathsOf(GOOD_DEFINITION).filter((path) => path.length > 0);

/** The good definition with a few of its fields replaced, or fields added beside them. */
const mutatedDefinition = fc
  .array(fc.tuple(fc.constantFrom(...PATHS), fc.option(hostileText, { freq: 3 }), hostileJson), {
    minLength: 0,
    maxLength: 3,
  })
  .map((changes) => {
    const definition = structuredClone(GOOD_DEFINITION) as Record<string, unknown>;
    // To read a schedule takes eight times as long as all the rest: it is there where it is what is changed.
    if (!changes.some(([path]) => path[0] === 'schedule')) definition['schedule'] = null;
    for (const [path, name, value] of changes) {
      let at: unknown = definition;
      for (const step of path.slice(0, -1)) at = (at as Record<string, unknown> | undefined)?.[step];
      if (typeof at !== 'object' || at === null) continue;
      // As a parser of JSON does: `__proto__` becomes a field like any other.
      Object.defineProperty(at, name ?? path.at(-1)!, {
        value,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return definition;
  });

const nested = (open: string, close: string) =>
  fc.integer({ min: 5, max: 6_000 }).map((depth) => open.repeat(depth) + close.repeat(depth));

/** Bodies of requests, as bytes: definitions, what is left of them, and what is no JSON at all. */
export const hostileBody: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 10, arbitrary: mutatedDefinition.map((json) => Buffer.from(JSON.stringify(json))) },
  { weight: 4, arbitrary: hostileJson.map((json) => Buffer.from(JSON.stringify(json) ?? '')) },
  {
    weight: 2,
    arbitrary: fc
      .record(
        {
          prefix: hostileJson,
          modifiedAfter: hostileJson,
          modifiedBefore: hostileJson,
          retryFailed: hostileJson,
        },
        { requiredKeys: [] },
      )
      .map((json) => Buffer.from(JSON.stringify(json))),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(mutatedDefinition, fc.nat()).map(([json, at]) => {
      const bytes = Buffer.from(JSON.stringify(json));
      return bytes.subarray(0, at % (bytes.length + 1));
    }),
  },
  // Above the limit of a body.
  { weight: 1, arbitrary: fc.constant(Buffer.alloc(256 * 1024 + 1, ' ')) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc
      .oneof(nested('[', ']'), nested('{"a":', '}'), nested('{"source":', '}'), nested('[', ''))
      .map((text) => Buffer.from(text)),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        '{"__proto__": {"polluted": true}}',
        '{"source": {"__proto__": {"bucket": "x"}}, "constructor": {"prototype": {"polluted": true}}}',
        '{"a": 1e400, "b": -0, "c": 123456789012345678901234567890}',
        `{"description": "${'\\ud800'}"}`,
        '\ufeff{}',
        'null',
        'true',
        '"text"',
        '[]',
      )
      .map((text) => Buffer.from(text)),
  },
);
