import { KustoError } from './kusto-error.ts';

/** What a request is, for request faults: `ingestion` is the REST ingestion API, `*` is any of them. */
export type RequestKind =
  | 'mgmt'
  | 'query'
  | 'resources'
  | 'identityToken'
  | 'metadata'
  | 'streaming'
  | 'ingestion'
  | '*';

/** Does something to the next `count` requests of a kind. */
export interface RequestFault {
  readonly kind: RequestKind;
  readonly action: 'status' | 'delay' | 'drop' | 'expiredSas';
  /** For `status`: 429, 500, 503, 401, ... Default 503. */
  readonly status?: number;
  /** For `status`: the `code` of the body. Default: one that goes with the status. */
  readonly errorCode?: string;
  /** For `status`: the `@permanent` of the body. Default false for 429 and 5xx, else true. */
  readonly permanent?: boolean;
  /** For `delay`: how long before the request is answered as usual. */
  readonly delayMs?: number;
  /** Default 1. */
  readonly count?: number;
}

/** Does something to the next `count` ingestions whose source path or source id contains `match`. */
export interface IngestionFault {
  /** Part of the source's URL (without its secrets) or of its source id; empty matches every source. */
  readonly match: string;
  readonly action: 'failTransient' | 'failPermanent' | 'suppressStatus' | 'deliverTwice' | 'lose' | 'delay';
  /** For failures; default `General_InternalServerError` (transient) or `BadRequest_InvalidBlob` (permanent). */
  readonly errorCode?: string;
  /** For `delay`: how long the loaded source's report is held back. */
  readonly delayMs?: number;
  /** Default 1. */
  readonly count?: number;
}

const requestKinds: readonly RequestKind[] = [
  'mgmt',
  'query',
  'resources',
  'identityToken',
  'metadata',
  'streaming',
  'ingestion',
  '*',
];
const requestActions: readonly RequestFault['action'][] = ['status', 'delay', 'drop', 'expiredSas'];
const ingestionActions: readonly IngestionFault['action'][] = [
  'failTransient',
  'failPermanent',
  'suppressStatus',
  'deliverTwice',
  'lose',
  'delay',
];

/** Faults that are armed; each goes when its count is used up. */
export class Faults {
  #requests: (RequestFault & { left: number })[] = [];
  #ingestions: (IngestionFault & { left: number })[] = [];

  /** @throws KustoError naming the field and what is allowed. */
  addRequestFault(fault: RequestFault): void {
    requireOneOf('kind', fault.kind, requestKinds);
    requireOneOf('action', fault.action, requestActions);
    this.#requests.push({ ...fault, left: readCount(fault.count) });
  }

  /** @throws KustoError naming the field and what is allowed. */
  addIngestionFault(fault: IngestionFault): void {
    requireOneOf('action', fault.action, ingestionActions);
    if (typeof fault.match !== 'string') throw new KustoError('BadRequest', "'match' must be a string.");
    this.#ingestions.push({ ...fault, left: readCount(fault.count) });
  }

  clear(): void {
    this.#requests = [];
    this.#ingestions = [];
  }

  list(): { requests: readonly object[]; ingestions: readonly object[] } {
    return { requests: this.#requests, ingestions: this.#ingestions };
  }

  /** The fault for a request of one of these kinds, used up by one. */
  takeRequestFault(kinds: readonly RequestKind[], action?: RequestFault['action']): RequestFault | undefined {
    const fault = this.#requests.find(
      (candidate) =>
        (candidate.kind === '*' || kinds.includes(candidate.kind)) &&
        (action === undefined ? candidate.action !== 'expiredSas' : candidate.action === action),
    );
    if (fault === undefined) return undefined;
    fault.left -= 1;
    this.#requests = this.#requests.filter((candidate) => candidate.left > 0);
    return fault;
  }

  /** The fault of one of these actions for a source, used up by one. */
  takeIngestionFault(
    source: { readonly sourcePath: string; readonly id: string },
    ...actions: readonly IngestionFault['action'][]
  ): IngestionFault | undefined {
    const fault = this.#ingestions.find(
      (candidate) =>
        actions.includes(candidate.action) &&
        (source.sourcePath.includes(candidate.match) || source.id.includes(candidate.match)),
    );
    if (fault === undefined) return undefined;
    fault.left -= 1;
    this.#ingestions = this.#ingestions.filter((candidate) => candidate.left > 0);
    return fault;
  }
}

function requireOneOf(field: string, value: unknown, allowed: readonly string[]): void {
  if (!allowed.includes(String(value))) {
    throw new KustoError(
      'BadRequest',
      `'${field}' is '${String(value)}'; it must be one of ${allowed.join(', ')}.`,
    );
  }
}

function readCount(count: unknown): number {
  if (count === undefined) return 1;
  if (typeof count !== 'number' || !(count > 0))
    throw new KustoError('BadRequest', "'count' must be a number above 0.");
  return count;
}
