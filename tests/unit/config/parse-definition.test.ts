import { describe, expect, test } from 'vitest';

import { expandSettings, parseDefinition } from '../../../shared/config/parse-definition.ts';
import { LoaderError, type Problem } from '../../../shared/errors/loader-error.ts';

const SMALLEST = {
  name: 'flights',
  source: { bucket: 'demo' },
  format: { type: 'csv' },
  destination: { cluster: 'https://help.kusto.windows.net', database: 'Samples', table: 'Flights' },
};

/** The problems that are reported for a definition, by field. */
function problemsOf(json: unknown, name?: string): Record<string, string> {
  try {
    parseDefinition(json, name);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(LoaderError);
    expect((thrown as LoaderError).code).toBe('invalidDefinition');
    return Object.fromEntries(
      (thrown as LoaderError).problems.map(({ field, message }: Problem) => [field, message]),
    );
  }
  return {};
}

/** The smallest definition with something else at a path. */
function withField(path: string, value: unknown): unknown {
  const definition = structuredClone(SMALLEST) as Record<string, unknown>;
  const names = path.split('.');
  let at: Record<string, unknown> = definition;
  for (const name of names.slice(0, -1)) at = (at[name] ??= {}) as Record<string, unknown>;
  at[names.at(-1)!] = value;
  return definition;
}

describe('parseDefinition', () => {
  test('fills in every default', () => {
    expect(parseDefinition(SMALLEST)).toEqual({
      name: 'flights',
      description: '',
      source: {
        bucket: 'demo',
        prefix: '',
        wildcard: null,
        suffix: [],
        minSizeBytes: null,
        maxSizeBytes: null,
        modifiedAfter: null,
        modifiedBefore: null,
        region: 'us-east-1',
        endpoint: null,
        pathStyle: false,
        files: null,
        inventory: null,
        listers: 1,
        writtenOnce: false,
        pinVersions: false,
        credentials: 'default',
      },
      format: { type: 'csv', compression: 'auto', ignoreFirstRecord: false },
      destination: {
        cluster: 'https://help.kusto.windows.net',
        database: 'Samples',
        table: 'Flights',
        mapping: null,
      },
      path: 'direct',
      changed: 'skip',
      retry: { attempts: 3, firstDelaySeconds: 30 },
      limits: { maxObjects: null, maxBytes: null, deadlineMinutes: null },
      reconcile: { parquetFooters: false, sourcePathColumn: null },
      onUnproven: 'repost',
      onError: { policy: 'continue' },
      concurrency: { lanes: 4, objectsPerActivity: 100, maxInFlight: 20_000, postsInFlight: 16 },
      schedule: null,
      events: false,
      tagWindow: null,
    });
    expect(parseDefinition(withField('schedule', { cron: '0 2 * * *' })).schedule).toEqual({
      cron: '0 2 * * *',
      timeZone: 'UTC',
    });
  });

  test('takes as many named keys as a run can bear, and says what to do about more', () => {
    const named = (count: number, bytes: number) =>
      withField(
        'source.files',
        Array.from({ length: count }, (_, index) => `${index}`.padStart(bytes, 'k')),
      );
    expect(problemsOf(named(10_000, 209))).toEqual({});
    expect(problemsOf(named(2048, 1024))).toEqual({});
    expect(problemsOf(named(10_001, 20))['source.files']).toMatch(
      /^must be a list of at most 10000 entries\. .*inventory/,
    );
    expect(problemsOf(named(2049, 1024))['source.files']).toMatch(
      /^must name keys of at most 2 MiB.*inventory/,
    );
    expect(problemsOf(withField('source.files', ['a', 'ä'.repeat(513)]))['source.files']).toMatch(
      /^must name keys of at most 1,024 bytes.*number 2/,
    );
    expect(problemsOf(withField('source.files', ['ä'.repeat(512)]))).toEqual({});
  });

  test('is the same when it reads its own answer', () => {
    const definition = parseDefinition(withField('concurrency', { lanes: 2 }));
    expect(parseDefinition(definition)).toEqual(definition);
  });

  test('reports all problems together, each with its path', () => {
    expect(
      problemsOf({
        name: 'Flights',
        source: { bucket: 'UPPER', prefix: 7, minSizeBytes: -1, region: '' },
        format: { type: 'xml', compression: 'brotli' },
        destination: { cluster: 'mycluster', database: 'Samples' },
        path: 'copy',
        changed: 'replace',
        onError: { policy: 'atMost', failedObjects: 1.5 },
        concurrency: { lanes: 0, postsInFlight: 65 },
        schedule: { cron: 'often' },
        events: 'yes',
        tagWindow: 'week',
      }),
    ).toEqual({
      name: expect.stringContaining('must be 1 to 63 lower-case letters'),
      'source.bucket': expect.stringContaining('must be an S3 bucket name'),
      'source.prefix': 'must be string, but is 7',
      'source.minSizeBytes': expect.stringContaining('must be'),
      'source.region': expect.stringContaining('must'),
      'format.type': expect.stringContaining('must be one of csv'),
      'format.compression': 'must be one of auto, none, gzip, zip',
      'destination.cluster': expect.stringContaining('must be the URL of the cluster'),
      'destination.table': 'is missing',
      path: 'must be "direct"',
      changed: 'must be skip or reload',
      'onError.failedObjects': expect.stringContaining('must be'),
      'concurrency.lanes': expect.stringContaining('must be'),
      'concurrency.postsInFlight': expect.stringContaining('must be'),
      schedule: expect.stringContaining('is not a valid schedule'),
      events: expect.stringContaining('must be boolean'),
      tagWindow: 'must be run, hour or day',
    });
  });

  test.each<[string, unknown, string]>([
    ['source.maxSizeBytes', 5, ''],
    ['source.credentials', 'has space', 'must be the name of credentials'],
    ['source.endpoint', 'localhost', 'must be a URL'],
    ['source.modifiedAfter', 'yesterday', 'must be an ISO 8601 instant'],
    ['source.wildcard', '', 'must'],
    ['source.suffix', 7, 'must be a text or a list of texts'],
    ['destination.mapping', '', 'must'],
    ['destination.database', null, 'must be string, but is null'],
    ['source.color', 'blue', 'is not a field of this object'],
    ['onError', { policy: 'ignore' }, 'must be {"policy": "continue"}'],
    ['schedule', { cron: '0 2 * * *', timeZone: 'Mars/Olympus' }, 'is not a valid schedule'],
  ])('%s = %j', (path, value, message) => {
    const problems = problemsOf(withField(path, value));
    if (message === '') expect(problems).toEqual({});
    else expect(Object.values(problems)).toEqual([expect.stringContaining(message)]);
  });

  test('holds the bounds of a range together', () => {
    const source = {
      bucket: 'demo',
      minSizeBytes: 5,
      maxSizeBytes: 4,
      modifiedAfter: '2026-02-01T00:00:00Z',
      modifiedBefore: '2026-02-01T00:00:00Z',
    };
    expect(problemsOf({ ...SMALLEST, source })).toEqual({
      'source.maxSizeBytes': 'must not be smaller than minSizeBytes',
      'source.modifiedBefore': 'must be later than modifiedAfter',
    });
  });

  test('pins versions only where they can be listed and signed for', () => {
    const problemsWith = (source: object) =>
      problemsOf({ ...SMALLEST, source: { bucket: 'demo', pinVersions: true, ...source } });
    expect(problemsWith({})).toEqual({});
    expect(problemsWith({ files: ['a'], writtenOnce: true, listers: 4 })).toEqual({});
    expect(problemsWith({ inventory: 's3://lists/demo/' })).toEqual({
      'source.pinVersions': expect.stringContaining('must be false beside inventory'),
    });
    expect(problemsWith({ credentials: 'anonymous' })).toEqual({
      'source.pinVersions': expect.stringContaining('must be false with anonymous credentials'),
    });
    expect(problemsWith({ pinVersions: 'yes' })).toEqual({
      'source.pinVersions': expect.stringContaining('must be boolean'),
    });
    for (const source of [{ inventory: 's3://lists/demo/' }, { credentials: 'anonymous' }])
      expect(problemsWith({ ...source, pinVersions: false })).toEqual({});
  });

  test.each([null, 7, 'text', [], undefined])('refuses %j', (json) => {
    expect(Object.keys(problemsOf(json)).length).toBeGreaterThan(0);
  });

  test('takes the name from the address, or holds the two together', () => {
    const { name: _, ...nameless } = SMALLEST;
    expect(parseDefinition(nameless, 'other').name).toBe('other');
    expect(parseDefinition(SMALLEST, 'flights').name).toBe('flights');
    expect(problemsOf(nameless)).toEqual({ name: 'is missing' });
    expect(problemsOf(SMALLEST, 'other')).toEqual({ name: 'must be "other", the name in the address' });
    expect(problemsOf(nameless, 'Not A Name')).toEqual({ name: expect.stringContaining('must be 1 to 63') });
  });

  test.each(['a', '0', 'a-b', 'a'.repeat(63)])('the name %s is one', (name) => {
    expect(parseDefinition({ ...SMALLEST, name }).name).toBe(name);
  });

  test.each(['', '-a', 'A', 'a_b', 'a.b', 'a/b', 'ä', 'a'.repeat(64), 'a\n'])(
    'the name %j is none',
    (name) => {
      expect(Object.keys(problemsOf({ ...SMALLEST, name }))).toEqual(['name']);
    },
  );
});

describe('expandSettings', () => {
  const env = { ENDPOINT: 'http://127.0.0.1:9000', DB: 'Samples', EMPTY: '' };

  test('replaces names in all texts and nothing else', () => {
    const json = {
      a: '%ENDPOINT%/x',
      b: ['%DB%', { c: '%DB%-%DB%' }],
      d: 7,
      e: null,
      f: true,
      g: '100% of %2F',
      '%DB%': '%EMPTY%',
    };
    expect(expandSettings(json, env)).toEqual({
      a: 'http://127.0.0.1:9000/x',
      b: ['Samples', { c: 'Samples-Samples' }],
      d: 7,
      e: null,
      f: true,
      g: '100% of %2F',
      '%DB%': '',
    });
  });

  test('does not look into what it has filled in', () => {
    expect(expandSettings('%A%', { A: '%B%', B: 'no' })).toBe('%B%');
    expect(expandSettings('%A%', { A: '$&$1' })).toBe('$&$1');
  });

  test.each([
    'AZURE_CLIENT_SECRET',
    'AZURE_CLIENT_CERTIFICATE',
    'AZURE_FEDERATED_TOKEN_FILE',
    'IDENTITY_HEADER',
    'S3_CREDENTIALS__DEFAULT__SECRET_ACCESS_KEY',
    'S3_CREDENTIALS__DEFAULT__SESSION_TOKEN',
    'S3_CREDENTIALS__DEFAULT__EXTERNAL_ID',
    'AzureWebJobsStorage',
    'APPLICATIONINSIGHTS_CONNECTION_STRING',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'OTEL_EXPORTER_OTLP_HEADERS',
    'OTEL_EXPORTER_OTLP_TRACES_HEADERS',
  ])('takes nothing out of %s, which is a secret', (name) => {
    expect(() => expandSettings({ description: `%${name}%` }, { [name]: 'hidden' })).toThrow(
      expect.objectContaining({ code: 'invalidDefinition' }),
    );
  });

  test('names every setting that is missing, and where it is referred to', () => {
    const json = {
      destination: { cluster: '%CLUSTER%', database: '%DB%' },
      source: { suffix: ['.csv', '%SUFFIX%%OTHER%'] },
    };
    expect(() => expandSettings(json, env)).toThrow(
      expect.objectContaining({
        code: 'invalidDefinition',
        problems: [
          { field: 'destination.cluster', message: 'refers to the app setting CLUSTER, which is not set' },
          { field: 'source.suffix.1', message: 'refers to the app setting SUFFIX, which is not set' },
          { field: 'source.suffix.1', message: 'refers to the app setting OTHER, which is not set' },
        ],
      }),
    );
  });
});
