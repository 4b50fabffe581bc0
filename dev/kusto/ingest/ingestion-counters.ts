/** What the data management side has done since it started. */
export interface IngestionCounters {
  messagesReceived: number;
  messagesDropped: number;
  messagesLost: number;
  duplicateDeliveries: number;
  batchesSealed: number;
  sourcesSucceeded: number;
  sourcesFailed: number;
  sourcesSkipped: number;
  transientRetries: number;
  /** Requests of streaming ingestion that loaded rows. */
  streamsLoaded: number;
  rowsLoaded: number;
  /** Each one is also named on stderr. */
  statusReportsLost: number;
  statusReportsRetried: number;
  statusReportsSuppressed: number;
}

export function makeCounters(): IngestionCounters {
  return {
    messagesReceived: 0,
    messagesDropped: 0,
    messagesLost: 0,
    duplicateDeliveries: 0,
    batchesSealed: 0,
    sourcesSucceeded: 0,
    sourcesFailed: 0,
    sourcesSkipped: 0,
    transientRetries: 0,
    streamsLoaded: 0,
    rowsLoaded: 0,
    statusReportsLost: 0,
    statusReportsRetried: 0,
    statusReportsSuppressed: 0,
  };
}

/** A sealed batch as the control endpoint shows it. */
export interface BatchRecord {
  readonly id: string;
  readonly database: string;
  readonly table: string;
  readonly openedAt: string;
  readonly sealedAt: string;
  readonly sealReason: string;
  readonly rawSizeBytes: number;
  readonly format: string;
  readonly tags: readonly string[];
  readonly items: readonly {
    readonly id: string;
    readonly sourcePath: string;
    readonly rawSizeBytes: number | null;
    readonly attempt: number;
  }[];
  state: 'loading' | 'committed' | 'failed';
  rows: number;
  extentId: string | null;
  committedAt: string | null;
  /** Source id and error code of what was not loaded. */
  failures: { readonly id: string; readonly errorCode: string; readonly failureStatus: string }[];
}
