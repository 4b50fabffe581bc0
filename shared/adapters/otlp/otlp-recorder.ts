import { createHash } from 'node:crypto';

import type { ObjectOutcome, ObjectState, RunSummary } from '../../domain/run-summary.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import type { EndedShard, Recorder } from '../../ports/recorder.ts';

export interface OtlpOptions {
  /** Base URL of a collector; `/v1/traces` and `/v1/metrics` are behind it. */
  readonly endpoint: string;
  /** Sent with each request; secret. */
  readonly headers: Readonly<Record<string, string>>;
  readonly serviceName: string;
  /** Default 10 s. */
  readonly timeoutMs?: number;
}

/** Spans of one request; each has some 600 bytes. */
const SPANS_PER_REQUEST = 1000;

/** Upper bounds of the histograms of durations, seconds: from streaming to a slow batch. */
const DURATION_BOUNDS = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** Numbers of the protocol: opentelemetry/proto/trace/v1 and metrics/v1. */
const SPAN_KIND_INTERNAL = 1;
const STATUS_OK = 1;
const STATUS_ERROR = 2;
const TEMPORALITY_DELTA = 1;

const NOT_WELL: ReadonlySet<ObjectState> = new Set(['failed', 'unknown', 'changed']);

type Value = string | number | boolean;
type Attributes = Readonly<Record<string, Value>>;

interface Span {
  readonly run: string;
  readonly id: string;
  readonly parent: string | null;
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly attributes: Attributes;
  readonly error: string | null;
}

/**
 * Sends a trace for each run, with spans for the run, its shards and its objects, and metrics, to an OpenTelemetry
 * collector (OTLP over HTTP, JSON). Ids follow from the run, so that spans of different processes belong together and a
 * span that is sent twice is the same one.
 */
export function createOtlpRecorder({
  endpoint,
  headers,
  serviceName,
  timeoutMs = 10_000,
}: OtlpOptions): Recorder {
  const base = endpoint.replace(/\/+$/, '');
  const resource = { attributes: keyValues({ 'service.name': serviceName }) };
  const scope = { name: 's3-adx-loader' };

  async function send(path: string, body: unknown): Promise<void> {
    const response = await fetch(`${base}${path}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      // Another host would be sent the headers, too.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((error: unknown) => {
      throw new LoaderError('internal', `The OpenTelemetry collector can't be reached: ${nameOf(error)}`);
    });
    await response.body?.cancel();
    if (!response.ok)
      throw new LoaderError('internal', `The OpenTelemetry collector answered HTTP ${response.status}`);
  }

  async function sendSpans(spans: readonly Span[]): Promise<void> {
    for (let at = 0; at < spans.length; at += SPANS_PER_REQUEST) {
      const some = spans.slice(at, at + SPANS_PER_REQUEST).map(writeSpan);
      await send('/v1/traces', { resourceSpans: [{ resource, scopeSpans: [{ scope, spans: some }] }] });
    }
  }

  const sendMetrics = (metrics: readonly unknown[]) =>
    send('/v1/metrics', { resourceMetrics: [{ resource, scopeMetrics: [{ scope, metrics }] }] });

  return {
    name: 'OpenTelemetry',
    async shardEnded(shard) {
      const objects = shard.outcomes.map((outcome) => objectSpan(shard, outcome));
      const from = Math.min(shard.endedAt.getTime(), ...objects.map((span) => span.from));
      const { runId, load } = shard;
      const span: Span = {
        run: runId,
        id: shardId(shard),
        parent: runId,
        name: 'shard',
        from,
        to: shard.endedAt.getTime(),
        attributes: { 'loader.run': runId, 'loader.shard': shard.shard, 'loader.objects': objects.length },
        error: null,
      };
      await sendSpans([span, ...objects]);
      await sendMetrics(shardMetrics(shard, load, from));
    },
    async runEnded(summary, { bucket }) {
      await sendSpans([runSpan(summary, bucket)]);
      await sendMetrics(runMetrics(summary));
    },
  };
}

function shardId({ runId, shard }: Pick<EndedShard, 'runId' | 'shard'>): string {
  return `${runId}/${shard}`;
}

function objectSpan(shard: EndedShard, outcome: ObjectOutcome): Span {
  const { key, version, sizeBytes, state, code, attempts, sourceId, message } = outcome;
  const to = outcome.settledAt === null ? shard.endedAt.getTime() : Date.parse(outcome.settledAt);
  const from = outcome.postedAt === null ? to : Math.min(to, Date.parse(outcome.postedAt));
  return {
    run: shard.runId,
    id: `${shardId(shard)}/${key}`,
    parent: shardId(shard),
    name: 'object',
    from,
    to,
    attributes: {
      'aws.s3.bucket': shard.bucket,
      'aws.s3.key': key,
      'loader.version': version,
      'loader.bytes': sizeBytes,
      'loader.state': state,
      'loader.attempts': attempts,
      ...(sourceId === null ? {} : { 'loader.source_id': sourceId }),
      ...(code === null ? {} : { 'error.type': code }),
    },
    error: NOT_WELL.has(state) ? (message ?? state) : null,
  };
}

function runSpan(summary: RunSummary, bucket: string): Span {
  const { runId, load, state, trigger, objects, startedAt, endedAt, problem } = summary;
  return {
    run: runId,
    id: runId,
    parent: null,
    name: `run ${load}`,
    from: Date.parse(startedAt),
    to: Date.parse(endedAt),
    attributes: {
      'loader.run': runId,
      'loader.load': load,
      'loader.state': state,
      'loader.trigger': trigger,
      'aws.s3.bucket': bucket,
      'loader.bytes': summary.bytesIngested,
      ...Object.fromEntries(
        Object.entries(objects).map(([name, count]) => [`loader.objects.${name}`, count]),
      ),
      ...(problem === null ? {} : { 'error.type': problem.code }),
    },
    error: state === 'completed' ? null : (problem?.message ?? state),
  };
}

function writeSpan({ run, id, parent, name, from, to, attributes, error }: Span) {
  return {
    traceId: hashOf(`trace ${run}`, 16),
    spanId: hashOf(`span ${id}`, 8),
    ...(parent === null ? {} : { parentSpanId: hashOf(`span ${parent}`, 8) }),
    name,
    kind: SPAN_KIND_INTERNAL,
    startTimeUnixNano: nanos(from),
    endTimeUnixNano: nanos(to),
    attributes: keyValues(attributes),
    status: error === null ? { code: STATUS_OK } : { code: STATUS_ERROR, message: error },
  };
}

function shardMetrics({ outcomes, endedAt }: EndedShard, load: string, from: number): readonly unknown[] {
  const times = { startTimeUnixNano: nanos(from), timeUnixNano: nanos(endedAt.getTime()) };
  const counts = Map.groupBy(outcomes, ({ state }) => state);
  const ingested = counts.get('ingested') ?? [];
  const seconds = ingested.flatMap(({ postedAt, settledAt }) =>
    postedAt === null || settledAt === null ? [] : [(Date.parse(settledAt) - Date.parse(postedAt)) / 1000],
  );
  return [
    counter(
      'loader.objects',
      '{object}',
      [...counts].map(([state, some]) => ({ attributes: { load, state }, value: some.length })),
      times,
    ),
    counter(
      'loader.ingested',
      'By',
      [{ attributes: { load }, value: ingested.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }],
      times,
    ),
    histogram('loader.object.duration', { load }, seconds, times),
  ];
}

function runMetrics(summary: RunSummary): readonly unknown[] {
  const { load, state, trigger, durationMs, throttling, startedAt, endedAt } = summary;
  const times = {
    startTimeUnixNano: nanos(Date.parse(startedAt)),
    timeUnixNano: nanos(Date.parse(endedAt)),
  };
  const slowdowns = throttling?.slowdowns ?? 0;
  return [
    counter('loader.runs', '{run}', [{ attributes: { load, state, trigger }, value: 1 }], times),
    counter('loader.slowdowns', '{slowdown}', [{ attributes: { load }, value: slowdowns }], times),
    histogram('loader.run.duration', { load }, [durationMs / 1000], times),
  ];
}

interface Times {
  readonly startTimeUnixNano: string;
  readonly timeUnixNano: string;
}

function counter(
  name: string,
  unit: string,
  points: readonly { readonly attributes: Attributes; readonly value: number }[],
  times: Times,
) {
  return {
    name,
    unit,
    sum: {
      aggregationTemporality: TEMPORALITY_DELTA,
      isMonotonic: true,
      dataPoints: points.map(({ attributes, value }) => ({
        ...times,
        attributes: keyValues(attributes),
        asInt: String(value),
      })),
    },
  };
}

function histogram(name: string, attributes: Attributes, seconds: readonly number[], times: Times) {
  const bucketCounts = [...DURATION_BOUNDS, Number.POSITIVE_INFINITY].map((bound, index) => {
    const least = index === 0 ? Number.NEGATIVE_INFINITY : DURATION_BOUNDS[index - 1]!;
    return String(seconds.filter((value) => value > least && value <= bound).length);
  });
  const point = {
    ...times,
    attributes: keyValues(attributes),
    count: String(seconds.length),
    sum: seconds.reduce((sum, value) => sum + value, 0),
    bucketCounts,
    explicitBounds: DURATION_BOUNDS,
  };
  return { name, unit: 's', histogram: { aggregationTemporality: TEMPORALITY_DELTA, dataPoints: [point] } };
}

function keyValues(attributes: Attributes) {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: Value) {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

function hashOf(text: string, bytes: number): string {
  return createHash('sha256')
    .update(text)
    .digest('hex')
    .slice(0, bytes * 2);
}

function nanos(ms: number): string {
  return `${BigInt(Math.round(ms)) * 1_000_000n}`;
}

/** The message of a failed request may hold the address, and that a password. */
function nameOf(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: string } };
  return cause?.code ?? name ?? 'unknown';
}
