import type { RunStatus } from '../shared/usecases/read-run.ts';

type Plain = string | number | boolean;

/** Paths of a JSON object to whatever is no object with fields of its own, or stands under one of the names in `Whole`. */
type PathsOf<Value, Whole extends string> = {
  [Name in keyof Value & string]: Name extends Whole
    ? Name
    : NonNullable<Value[Name]> extends Plain | readonly unknown[]
      ? Name
      : `${Name}.${PathsOf<NonNullable<Value[Name]>, Whole>}`;
}[keyof Value & string];

/** Maps, of which each value means the same, and objects that another endpoint answers with. */
type Whole = 'skipped' | 'objects' | 'failures' | 'byObject' | 'problem';

export type StatusField = PathsOf<RunStatus, Whole>;

interface FieldNote {
  readonly unit: string;
  readonly meaning: string;
}

const instant = 'ISO 8601, UTC';

/** What the fields of `GET /api/runs/{id}` mean, in the order of the answer; the compiler holds it to the answer's type. */
export const STATUS_FIELDS: Readonly<Record<StatusField, FieldNote>> = {
  runId: { unit: '', meaning: 'Id of the run.' },
  load: { unit: '', meaning: 'Name of its load.' },
  trigger: {
    unit: '',
    meaning:
      'What started it: `manual`, `schedule`, `events`, `rerun`, or `settle`: only to settle what earlier runs left open.',
  },
  state: {
    unit: '',
    meaning:
      '`starting`; `planning` while objects are found, and already loaded; `running` once all are found; `suspended`; `cancelling` while what is in flight is settled, whoever stopped the run; then how it ended (see below).',
  },
  createdAt: { unit: instant, meaning: 'When it was asked for.' },
  endedAt: { unit: instant, meaning: 'When it ended; `null` until then.' },
  epoch: { unit: 'count', meaning: '1, and one more with each takeover of a run that stood still.' },
  'progress.listed': {
    unit: 'objects',
    meaning: 'Found so far by the listing, or whatever names the keys, whether they are loaded or skipped.',
  },
  'progress.planningEnded': { unit: '', meaning: '`true` once all objects are found.' },
  'progress.objectsTotal': {
    unit: 'objects',
    meaning: 'That the run loads, or looks at again; grows until planning has ended.',
  },
  'progress.objectsPosted': {
    unit: 'objects',
    meaning: 'Of shards that are posted as a whole; those of a shard that is being posted do not count yet.',
  },
  'progress.objectsQueued': {
    unit: 'objects',
    meaning:
      "Posted, and not known to have come to their end: they wait in Azure Data Explorer, or for the run's next look at its reports.",
  },
  'progress.objectsDone': { unit: 'objects', meaning: 'Come to their end, however that was.' },
  'progress.objectsIngested': { unit: 'objects', meaning: 'Of `objectsDone`, those that were ingested.' },
  'progress.objectsFailed': {
    unit: 'objects',
    meaning: 'Of `objectsDone`, those that have failed; what is posted once more is not among them.',
  },
  'progress.bytesTotal': { unit: 'bytes', meaning: 'Of `objectsTotal`, as they lie in S3.' },
  'progress.bytesDone': { unit: 'bytes', meaning: 'Of `objectsDone`, as they lie in S3.' },
  'progress.rate.objectsPerSecond': {
    unit: 'objects a second',
    meaning:
      'That came to their end in the last five minutes, or since the run began. `rate` is `null` when the run has ended.',
  },
  'progress.rate.bytesPerSecond': { unit: 'bytes a second', meaning: 'Their bytes, as they lie in S3.' },
  'progress.secondsLeft': {
    unit: 'seconds',
    meaning:
      'Until all objects are done, at the present rate. `null` until planning has ended, while nothing moves, and when the run has ended.',
  },
  'progress.concurrency.lanesAtWork': {
    unit: 'lanes',
    meaning: 'At work on a shard now; at most `concurrency.lanes`, and shards that are posted once more.',
  },
  'progress.concurrency.share': {
    unit: '0 to 1',
    meaning:
      'Of what `concurrency` allows, what the run may use now: halved when Amazon S3 or Azure Data Explorer throttles, and a sixteenth more every 30 s.',
  },
  'progress.concurrency.slowdowns': { unit: 'count', meaning: 'How often it was halved.' },
  'summary.runId': { unit: '', meaning: 'As above. `summary` is `null` until the run has ended.' },
  'summary.load': { unit: '', meaning: 'As above.' },
  'summary.state': { unit: '', meaning: 'How the run ended (see below).' },
  'summary.trigger': { unit: '', meaning: 'As above.' },
  'summary.startedAt': { unit: instant, meaning: 'When it was asked for.' },
  'summary.endedAt': { unit: instant, meaning: 'When it ended.' },
  'summary.durationMs': { unit: 'milliseconds', meaning: 'Between the two.' },
  'summary.problem': {
    unit: '',
    meaning:
      '`code`, `message` and `remedy` where planning failed or the run was given up; `null` otherwise.',
  },
  'summary.plan.listed': { unit: 'objects', meaning: 'Found, whether they were loaded or skipped.' },
  'summary.plan.listedBytes': { unit: 'bytes', meaning: 'Of these, as they lie in S3.' },
  'summary.plan.selected': {
    unit: 'objects',
    meaning: 'To be loaded, or looked at again as an earlier run had left them open.',
  },
  'summary.plan.selectedBytes': { unit: 'bytes', meaning: 'Of these, as they lie in S3.' },
  'summary.plan.skipped': {
    unit: 'objects',
    meaning: 'By reason (see below); reasons without any are left out.',
  },
  'summary.objects': { unit: 'objects', meaning: 'Of `plan.selected`, by how they ended (see below).' },
  'summary.bytesIngested': { unit: 'bytes', meaning: 'Of ingested objects, as they lie in S3.' },
  'summary.throughput.objectsPerSecond': {
    unit: 'objects a second',
    meaning: 'Ingested, over the whole duration.',
  },
  'summary.throughput.bytesPerSecond': { unit: 'bytes a second', meaning: 'The same of their bytes.' },
  'summary.failures': {
    unit: 'objects',
    meaning: 'By error code: `count`, and up to three `examples` with `key` and `message`.',
  },
  'summary.slowest': {
    unit: 'milliseconds',
    meaning: "Up to five objects, `key` and `durationMs` from post to Azure Data Explorer's report.",
  },
  'summary.repostedUnproven': {
    unit: '',
    meaning:
      'Up to 20 keys of objects that were posted again without proof that their first message had not been ingested: their rows may be there twice. All of them are in the list of objects.',
  },
  'summary.rows.tagged': {
    unit: 'rows',
    meaning: 'In the table under the tag of the run, at its end; `null` when they could not be counted.',
  },
  'summary.rows.tagIsThisRunOnly': {
    unit: '',
    meaning: '`false` where other runs of the `tagWindow` share the tag.',
  },
  'summary.rows.ofThisRun': {
    unit: 'rows',
    meaning: 'That the objects hold which this run has loaded; `null`: not known.',
  },
  'summary.rows.expected': {
    unit: 'rows',
    meaning: 'That all objects hold which were loaded under the tag and not undone; `null`: not known.',
  },
  'summary.rows.agrees': {
    unit: '',
    meaning: 'Whether `tagged` is `expected`; `null` where one of the two is not known.',
  },
  'summary.rows.byObject': {
    unit: 'objects',
    meaning:
      '`differing` objects, and some of them under `differences` with `key` and the rows `expected` and `found`; `null` where rows were not counted object by object (`reconcile.sourcePathColumn`).',
  },
  'summary.stopReason': {
    unit: '',
    meaning:
      'Why nothing more was begun from some time on: `cancel`, `onError`, `deadline`, `givenUp`; `null`: all was begun.',
  },
  'summary.throttling.slowdowns': {
    unit: 'count',
    meaning: 'How often the run was slowed down. `throttling` is `null` where it never was.',
  },
  'summary.throttling.lowestShare': {
    unit: '0 to 1',
    meaning: 'The lowest share of its concurrency that it came down to.',
  },
  'summary.tag': { unit: '', meaning: 'The `drop-by:` tag of its rows.' },
  'summary.unsettledUntil': {
    unit: instant,
    meaning:
      'From when on the first of the objects whose fate is open may be posted again; `null` when there are none, or none that may.',
  },
  'summary.epochs': { unit: 'count', meaning: 'As `epoch`.' },
};
