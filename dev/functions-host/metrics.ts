/** Sums over all invocations of one function since the host started. */
export interface FunctionCounters {
  readonly trigger: string;
  invocations: number;
  failures: number;
  /** Wall time inside the function itself, in milliseconds. */
  appWallMs: number;
  /** Wall time of the library around an orchestrator: decoding the history, encoding the answer. */
  libraryWallMs: number;
}

/** Sums of the durable engine since the host started. */
export interface DurableCounters {
  turns: number;
  events: number;
  activitiesScheduled: number;
  instancesStarted: number;
  instancesFinished: number;
  historiesLoaded: number;
  commits: number;
  commitWallMs: number;
  /** Of one execution, as UTF-8: all its events, also where it continued as new and is no longer on disk. */
  longestHistoryBytes: number;
  /** Of one input, output, result or raised event, as UTF-8. */
  longestPayloadBytes: number;
}

export interface Metrics {
  readonly functions: Map<string, FunctionCounters>;
  readonly durable: DurableCounters;
}

/** Fresh counters, all zero. */
export function createMetrics(): Metrics {
  return {
    functions: new Map(),
    durable: {
      turns: 0,
      events: 0,
      activitiesScheduled: 0,
      instancesStarted: 0,
      instancesFinished: 0,
      historiesLoaded: 0,
      commits: 0,
      commitWallMs: 0,
      longestHistoryBytes: 0,
      longestPayloadBytes: 0,
    },
  };
}

/** Counters of one function, made on first use. */
export function countersOf(metrics: Metrics, params: { name: string; trigger: string }): FunctionCounters {
  let counters = metrics.functions.get(params.name);
  if (counters === undefined) {
    counters = {
      trigger: params.trigger,
      invocations: 0,
      failures: 0,
      appWallMs: 0,
      libraryWallMs: 0,
    };
    metrics.functions.set(params.name, counters);
  }
  return counters;
}

/** Counters as `GET /admin/host/metrics` shows them. Times are milliseconds, sizes are bytes. */
export function renderMetrics(metrics: Metrics): Record<string, unknown> {
  let orchestratorCpuMs = 0;
  let orchestratorLibraryCpuMs = 0;
  for (const counters of metrics.functions.values()) {
    if (counters.trigger !== 'orchestrationTrigger') continue;
    // Turns never wait: their time is CPU time, which costs more to ask for than many a turn.
    orchestratorCpuMs += counters.appWallMs;
    orchestratorLibraryCpuMs += counters.libraryWallMs;
  }
  const { user, system } = process.cpuUsage();
  return {
    uptimeMs: Math.round(process.uptime() * 1000),
    cpuMs: (user + system) / 1000,
    cpuUserMs: user / 1000,
    cpuSystemMs: system / 1000,
    // maxRSS is in kibibytes on every platform.
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    rssBytes: process.memoryUsage.rss(),
    orchestratorCpuMs,
    orchestratorLibraryCpuMs,
    functions: Object.fromEntries(metrics.functions),
    durable: metrics.durable,
  };
}
