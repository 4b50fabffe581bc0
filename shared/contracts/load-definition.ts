import * as v from 'valibot';

import { scheduleProblem } from '../domain/schedule.ts';

/**
 * The load definition: which objects, which table, which format, what to do on error.
 *
 * This schema is the single source of the TypeScript type, of validation, and of the published JSON Schema
 * (`docs/load-definition.schema.json`, made by `npm run schema`). Descriptions end up in editors.
 */
const text = (description: string) => v.pipe(v.string(), v.minLength(1), v.description(description));
const instant = (description: string) =>
  v.pipe(
    v.string(),
    v.isoTimestamp('must be an ISO 8601 instant such as 2026-01-31T00:00:00Z'),
    v.description(description),
  );
const bytes = (description: string) =>
  v.pipe(v.number(), v.integer(), v.minValue(0), v.description(description));
const count = (least: number, most: number, description: string) =>
  v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most), v.description(description));

/** Every run, tick and event reads definitions as a whole: more or longer keys would make that slow. */
const MOST_FILES_BYTES = 2 * 1024 * 1024;
const MOST_KEY_BYTES = 1024;

const utf8Bytes = (text: string) => new TextEncoder().encode(text).byteLength;

export const LOAD_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** ADX's formats that the direct path can name in a message. */
export const FORMATS = [
  'csv',
  'tsv',
  'tsve',
  'psv',
  'scsv',
  'sohsv',
  'txt',
  'raw',
  'json',
  'multijson',
  'avro',
  'apacheavro',
  'parquet',
  'orc',
  'w3clogfile',
] as const;

export const SourceSchema = v.pipe(
  v.strictObject({
    bucket: v.pipe(
      v.string(),
      v.regex(
        /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
        'must be an S3 bucket name: 3 to 63 lower-case letters, digits, dots and hyphens',
      ),
      v.description('Name of the S3 bucket.'),
    ),
    prefix: v.optional(
      v.pipe(v.string(), v.description('Only keys that begin with this. Default: all keys.')),
      '',
    ),
    wildcard: v.optional(
      v.nullable(
        text(
          'Pattern for the part of the key behind the prefix: * within a folder, ** across folders, ? one character.',
        ),
      ),
      null,
    ),
    files: v.optional(
      v.nullable(
        v.pipe(
          v.array(text('Key of an object.')),
          v.minLength(1),
          v.maxLength(10_000),
          v.rawCheck(({ dataset, addIssue }) => {
            if (!dataset.typed) return;
            const sizes = dataset.value.map(utf8Bytes);
            const tooLong = sizes.findIndex((bytes) => bytes > MOST_KEY_BYTES);
            if (tooLong >= 0)
              addIssue({
                message: `must name keys of at most 1,024 bytes, as S3's are; number ${tooLong + 1} is longer`,
              });
            if (sizes.reduce((sum, bytes) => sum + bytes, 0) > MOST_FILES_BYTES)
              addIssue({
                message:
                  'must name keys of at most 2 MiB together. Select more by prefix, wildcard and suffix, by an inventory, or by several loads',
              });
          }),
          v.description(
            'Keys of the objects, at most 10,000 and 2 MiB together, instead of a listing; the other filters apply to them, too, and events count for these keys only. Default: the bucket is listed.',
          ),
        ),
      ),
      null,
    ),
    inventory: v.optional(
      v.nullable(
        v.pipe(
          v.string(),
          v.regex(
            /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\/(.+\/|(.+\/)?manifest\.json)$/,
            'must be s3://bucket/.../manifest.json, or s3://bucket/.../ for the folder that holds the lists of all dates',
          ),
          v.description(
            'S3 Inventory list of the bucket, instead of a listing: its manifest, or the folder with those of all dates, of which the newest is taken. CSV or Parquet, with Size, LastModifiedDate and ETag. The other filters apply to its objects, too. Default: the bucket is listed.',
          ),
        ),
      ),
      null,
    ),
    listers: v.optional(
      count(
        1,
        8,
        'How many parts of the bucket are listed at the same time; it is split at folders. One lists some thousand keys a second.',
      ),
      1,
    ),
    suffix: v.optional(
      v.pipe(
        v.union(
          [text('The key must end with this.'), v.array(text('The key must end with one of these.'))],
          'must be a text or a list of texts',
        ),
        v.description('Endings of the key, one of which it must have; case-sensitive.'),
      ),
      [],
    ),
    minSizeBytes: v.optional(
      v.nullable(bytes('Smaller objects are skipped. Empty objects always are.')),
      null,
    ),
    maxSizeBytes: v.optional(v.nullable(bytes('Larger objects are skipped.')), null),
    modifiedAfter: v.optional(v.nullable(instant('Only objects modified at this instant or later.')), null),
    modifiedBefore: v.optional(v.nullable(instant('Only objects modified before this instant.')), null),
    region: v.optional(text('AWS region of the bucket. Default: us-east-1.'), 'us-east-1'),
    endpoint: v.optional(
      v.nullable(
        v.pipe(
          v.string(),
          v.url('must be a URL'),
          v.description('Endpoint of an S3-compatible service. Default: AWS.'),
        ),
      ),
      null,
    ),
    pathStyle: v.optional(
      v.pipe(v.boolean(), v.description('Address the bucket in the path instead of the host name.')),
      false,
    ),
    writtenOnce: v.optional(
      v.pipe(
        v.boolean(),
        v.description(
          'Keys are never rewritten. Otherwise the loader looks at each object once more after it was loaded, to tell which version its rows are of.',
        ),
      ),
      false,
    ),
    pinVersions: v.optional(
      v.pipe(
        v.boolean(),
        v.description(
          'The bucket keeps versions: objects are listed, and read by Azure Data Explorer, by their version ids, so that what is read is what was listed, whatever is written to the key meanwhile. The policy must allow s3:ListBucketVersions and s3:GetObjectVersion, too. It stays as it is for the life of a load.',
        ),
      ),
      false,
    ),
    credentials: v.optional(
      v.pipe(
        v.string(),
        v.regex(
          /^[A-Za-z0-9_-]{1,40}$/,
          'must be the name of credentials: 1 to 40 letters, digits, hyphens and underscores',
        ),
        v.description(
          'Name of the credentials in the app settings (S3_CREDENTIALS__<NAME>__ACCESS_KEY_ID and so on), or "anonymous" for a public bucket. Never a secret.',
        ),
      ),
      'default',
    ),
  }),
  v.forward(
    v.partialCheck(
      [['minSizeBytes'], ['maxSizeBytes']],
      ({ minSizeBytes, maxSizeBytes }) =>
        minSizeBytes === null || maxSizeBytes === null || minSizeBytes <= maxSizeBytes,
      'must not be smaller than minSizeBytes',
    ),
    ['maxSizeBytes'],
  ),
  v.forward(
    v.partialCheck(
      [['modifiedAfter'], ['modifiedBefore']],
      ({ modifiedAfter, modifiedBefore }) =>
        modifiedAfter === null ||
        modifiedBefore === null ||
        Date.parse(modifiedAfter) < Date.parse(modifiedBefore),
      'must be later than modifiedAfter',
    ),
    ['modifiedBefore'],
  ),
  v.forward(
    v.partialCheck(
      [['files'], ['inventory']],
      ({ files, inventory }) => files === null || inventory === null,
      'must not be there beside files',
    ),
    ['inventory'],
  ),
  v.forward(
    v.partialCheck(
      [['inventory'], ['pinVersions']],
      ({ inventory, pinVersions }) => inventory === null || !pinVersions,
      'must be false beside inventory: objects of a list are known by their ETags',
    ),
    ['pinVersions'],
  ),
  v.forward(
    v.partialCheck(
      [['credentials'], ['pinVersions']],
      ({ credentials, pinVersions }) => credentials !== 'anonymous' || !pinVersions,
      'must be false with anonymous credentials: versions are read by signed URLs',
    ),
    ['pinVersions'],
  ),
);

export const FormatSchema = v.strictObject({
  type: v.pipe(
    v.picklist(FORMATS, `must be one of ${FORMATS.join(', ')}`),
    v.description("Azure Data Explorer's name of the format; json means JSON lines."),
  ),
  compression: v.optional(
    v.pipe(
      v.picklist(['auto', 'none', 'gzip', 'zip'], 'must be one of auto, none, gzip, zip'),
      v.description(
        'auto: by the ending of the key, as Azure Data Explorer does. Others: objects whose key does not end accordingly are skipped.',
      ),
    ),
    'auto',
  ),
  ignoreFirstRecord: v.optional(
    v.pipe(v.boolean(), v.description('The first record of each object is a header.')),
    false,
  ),
});

export const DestinationSchema = v.strictObject({
  cluster: v.pipe(
    v.string(),
    v.url('must be the URL of the cluster, such as https://mycluster.westeurope.kusto.windows.net'),
    v.description('URL of the cluster (engine); the ingestion endpoint is derived from it.'),
  ),
  database: text('Database name.'),
  table: text('Table name, case-sensitive. The table must exist.'),
  mapping: v.optional(
    v.nullable(
      text(
        'Name of an ingestion mapping of the table. Without one: by position for delimited formats, by name for the others.',
      ),
    ),
    null,
  ),
});

const OnErrorSchema = v.variant(
  'policy',
  [
    v.strictObject({ policy: v.literal('continue') }),
    v.strictObject({ policy: v.literal('stop') }),
    v.strictObject({
      policy: v.literal('atMost'),
      failedObjects: count(0, 1_000_000_000, 'Stop when more objects than this have failed.'),
    }),
    v.strictObject({
      policy: v.literal('atMostPercent'),
      failedPercent: v.pipe(
        v.number(),
        v.minValue(0),
        v.maxValue(100),
        v.description(
          'Stop when more than this share of the settled objects has failed, once 20 are settled.',
        ),
      ),
    }),
  ],
  'must be {"policy": "continue"}, {"policy": "stop"}, {"policy": "atMost", "failedObjects": N} or {"policy": "atMostPercent", "failedPercent": N}',
);

const ConcurrencySchema = v.strictObject({
  lanes: v.optional(count(1, 32, 'How many shards are worked through at the same time.'), 4),
  objectsPerActivity: v.optional(
    count(1, 100, 'Upper bound of objects that one activity handles; 1 for strictly one.'),
    100,
  ),
  maxInFlight: v.optional(
    count(1, 1_000_000, 'Upper bound of objects of a run that are posted and not yet settled.'),
    20_000,
  ),
  postsInFlight: v.optional(count(1, 64, 'Messages that one activity posts at the same time.'), 16),
});

const RetrySchema = v.strictObject({
  attempts: v.optional(
    count(
      1,
      10,
      'How often a run posts an object whose ingestion failed although nothing is wrong with it: throttling, an outage of Azure Data Explorer or its queues, a presigned URL that ended too soon. What could not even be posted, as credentials or the cluster were away, is tried five times within some two minutes, then left to the next run.',
    ),
    3,
  ),
  firstDelaySeconds: v.optional(
    count(
      1,
      900,
      'Pause before the second attempt; each further one is four times as long, at most 15 minutes.',
    ),
    30,
  ),
});

const LimitsSchema = v.strictObject({
  maxObjects: v.optional(
    v.nullable(
      count(
        1,
        1_000_000_000,
        'A run takes no more objects than this; the rest is for the next run. Objects that earlier runs have posted and this one only looks at again do not count. Default: all.',
      ),
    ),
    null,
  ),
  maxBytes: v.optional(
    v.nullable(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.description(
          'A run takes no more bytes than this, as they lie in S3, but one object at least; the rest is for the next run. Default: all.',
        ),
      ),
    ),
    null,
  ),
  deadlineMinutes: v.optional(
    v.nullable(
      count(
        1,
        10_080,
        'From then on a run starts no further objects; what is in flight is settled, the rest is for the next run. Default: none.',
      ),
    ),
    null,
  ),
});

const ReconcileSchema = v.strictObject({
  parquetFooters: v.optional(
    v.pipe(
      v.boolean(),
      v.description(
        'Read how many rows each loaded Parquet object holds, from its last bytes, and compare them with the rows in the table. One request an object, seldom two.',
      ),
    ),
    false,
  ),
  sourcePathColumn: v.optional(
    v.nullable(
      text(
        'Column of type string that the ingestion mapping fills by the transform SourceLocation. Rows are then also counted object by object, in runs of at most 100,000 objects that share their tag with no other run (tagWindow).',
      ),
    ),
    null,
  ),
});

const ScheduleSchema = v.pipe(
  v.strictObject({
    cron: text('Five fields, or six with seconds in front.'),
    timeZone: v.optional(text('IANA time zone name.'), 'UTC'),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const problem = scheduleProblem(dataset.value);
    if (problem !== null) addIssue({ message: `is not a valid schedule: ${problem}` });
  }),
);

export const LoadDefinitionSchema = v.pipe(
  v.strictObject({
    $schema: v.optional(v.pipe(v.string(), v.description('For editors; not used.'))),
    name: v.pipe(
      v.string(),
      v.regex(
        LOAD_NAME,
        'must be 1 to 63 lower-case letters, digits and hyphens, and begin with a letter or digit',
      ),
      v.description('Name of the load.'),
    ),
    description: v.optional(v.string(), ''),
    source: v.pipe(SourceSchema, v.description('Which objects.')),
    format: v.pipe(FormatSchema, v.description('What the objects hold.')),
    destination: v.pipe(DestinationSchema, v.description('Where the rows go.')),
    path: v.optional(
      v.pipe(
        v.literal('direct', 'must be "direct"'),
        v.description('direct: Azure Data Explorer reads the object by a presigned URL.'),
      ),
      'direct',
    ),
    changed: v.optional(
      v.pipe(
        v.picklist(['skip', 'reload'], 'must be skip or reload'),
        v.description(
          'A key that was loaded and now has another version: skip it, or load it again beside the rows of the old version.',
        ),
      ),
      'skip',
    ),
    onUnproven: v.optional(
      v.pipe(
        v.picklist(['repost', 'report'], 'must be repost or report'),
        v.description(
          'An object that Azure Data Explorer never reported, once its URL has ended: post it again, so that its rows may be there twice, or only report it as unknown until somebody reruns it with acceptDoubles.',
        ),
      ),
      'repost',
    ),
    onError: v.optional(OnErrorSchema, { policy: 'continue' }),
    retry: v.optional(RetrySchema, {}),
    limits: v.optional(LimitsSchema, {}),
    reconcile: v.optional(
      v.pipe(
        ReconcileSchema,
        v.description(
          'How rows in the table are compared with those of the objects. The rows of a run are always counted; how many the objects hold is known only by one of these.',
        ),
      ),
      {},
    ),
    concurrency: v.optional(ConcurrencySchema, {}),
    schedule: v.optional(v.nullable(ScheduleSchema), null),
    events: v.optional(
      v.pipe(
        v.boolean(),
        v.description('Take S3 events for the bucket and prefix, or for source.files, from the event queue.'),
      ),
      false,
    ),
    tagWindow: v.optional(
      v.nullable(
        v.pipe(
          v.picklist(['run', 'hour', 'day'], 'must be run, hour or day'),
          v.description(
            'Runs of one window share a drop-by tag. Default: day for runs that events or a schedule more often than daily start, and for those of such loads that only settle what is open; else run, as for those that people start.',
          ),
        ),
      ),
      null,
    ),
  }),
  v.forward(
    v.partialCheck(
      [
        ['format', 'type'],
        ['reconcile', 'parquetFooters'],
      ],
      ({ format, reconcile }) => !reconcile.parquetFooters || format.type === 'parquet',
      'must be false unless format.type is parquet',
    ),
    ['reconcile', 'parquetFooters'],
  ),
  v.title('Load definition of s3-adx-loader'),
);

/** A load definition with all defaults filled in. */
export type LoadDefinition = v.InferOutput<typeof LoadDefinitionSchema>;
