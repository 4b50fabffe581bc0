import { createHash } from 'node:crypto';
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

/** How often a fault strikes. */
export interface FaultRate {
  /** After so often it is gone. Default 1, and with `percent` no end. */
  readonly count?: number;
  /** Strikes only that part of what matches, above 0 to 100; which ones depends on `seed` alone. */
  readonly percent?: number;
  /** Default 1. */
  readonly seed?: number;
}

/** Does something to requests of a kind. */
export interface RequestFault extends FaultRate {
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
}

/** Does something to ingestions whose source path or source id contains `match`. */
export interface IngestionFault extends FaultRate {
  /** Part of the source's URL (without its secrets) or of its source id; empty matches every source. */
  readonly match: string;
  readonly action:
    | 'failTransient'
    | 'failPermanent'
    | 'suppressStatus'
    | 'deliverTwice'
    | 'lose'
    | 'delay'
    | 'downloadLate';
  /** For failures; default `General_InternalServerError` (transient) or `BadRequest_InvalidBlob` (permanent). */
  readonly errorCode?: string;
  /** For `delay`: how long the loaded source's report is held back. For `downloadLate`: when it is fetched, with a batch of then. Default 1,000. */
  readonly delayMs?: number;
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
  'downloadLate',
];

/** Faults that are armed; each goes when its count is used up. */
export class Faults {
  #requests: ArmedFault<RequestFault>[] = [];
  #ingestions: ArmedFault<IngestionFault>[] = [];

  /** @throws KustoError naming the field and what is allowed. */
  addRequestFault(fault: RequestFault): void {
    requireOneOf('kind', fault.kind, requestKinds);
    requireOneOf('action', fault.action, requestActions);
    this.#requests.push(new ArmedFault(fault));
  }

  /** @throws KustoError naming the field and what is allowed. */
  addIngestionFault(fault: IngestionFault): void {
    requireOneOf('action', fault.action, ingestionActions);
    if (typeof fault.match !== 'string') throw new KustoError('BadRequest', "'match' must be a string.");
    this.#ingestions.push(new ArmedFault(fault));
  }

  clear(): void {
    this.#requests = [];
    this.#ingestions = [];
  }

  list(): { requests: readonly object[]; ingestions: readonly object[] } {
    const show = ({ fault, left, struck }: ArmedFault<FaultRate>) => ({
      ...fault,
      left: Number.isFinite(left) ? left : null,
      struck,
    });
    return { requests: this.#requests.map(show), ingestions: this.#ingestions.map(show) };
  }

  /** The fault that strikes a request of one of these kinds, used up by one. */
  takeRequestFault(kinds: readonly RequestKind[], action?: RequestFault['action']): RequestFault | undefined {
    const struck = this.#requests.find(
      (armed) =>
        (armed.fault.kind === '*' || kinds.includes(armed.fault.kind)) &&
        (action === undefined ? armed.fault.action !== 'expiredSas' : armed.fault.action === action) &&
        armed.strike(''),
    );
    this.#requests = this.#requests.filter((armed) => armed.left > 0);
    return struck?.fault;
  }

  /** The fault of one of these actions that strikes a source, used up by one. */
  takeIngestionFault(
    source: { readonly sourcePath: string; readonly id: string },
    ...actions: readonly IngestionFault['action'][]
  ): IngestionFault | undefined {
    // Without the host, whose port is another one at each start.
    const path = source.sourcePath.replace(/^https?:\/\/[^/]*/, '');
    const struck = this.#ingestions.find(
      (armed) =>
        actions.includes(armed.fault.action) &&
        (source.sourcePath.includes(armed.fault.match) || source.id.includes(armed.fault.match)) &&
        armed.strike(path),
    );
    this.#ingestions = this.#ingestions.filter((armed) => armed.left > 0);
    return struck?.fault;
  }
}

class ArmedFault<Fault extends FaultRate> {
  readonly fault: Fault;
  left: number;
  struck = 0;
  readonly #seen = new Map<string, number>();

  /** @throws KustoError naming the field and what is allowed. */
  constructor(fault: Fault) {
    const { count, percent, seed } = fault;
    if (count !== undefined && !(typeof count === 'number' && count > 0))
      throw new KustoError('BadRequest', "'count' must be a number above 0.");
    if (percent !== undefined && !(typeof percent === 'number' && percent > 0 && percent <= 100))
      throw new KustoError('BadRequest', "'percent' must be a number above 0 and at most 100.");
    if (seed !== undefined && typeof seed !== 'number')
      throw new KustoError('BadRequest', "'seed' must be a number.");
    this.fault = fault;
    this.left = count ?? (percent === undefined ? 1 : Number.POSITIVE_INFINITY);
  }

  /** Depends on the seed, on what it is, and on how often the same was seen: not on what else happens at the same time. */
  strike(what: string): boolean {
    const { percent, seed = 1 } = this.fault;
    if (percent !== undefined) {
      const seen = this.#seen.get(what) ?? 0;
      this.#seen.set(what, seen + 1);
      const drawn = createHash('sha256').update(`${seed}/${seen}/${what}`).digest().readUInt32BE();
      if ((drawn / 2 ** 32) * 100 >= percent) return false;
    }
    this.left -= 1;
    this.struck += 1;
    return true;
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
