import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RunningPart } from '../part.ts';
import { type FaultRule, readFaultRule } from './control/fault-rule.ts';
import { Faults } from './control/faults.ts';
import { type OperationCount, RequestCounters } from './control/request-counters.ts';
import { defaultCredentials, type LocalCredentials } from './credentials.ts';
import { checkBucketName } from './operations/buckets.ts';
import { type EndpointState, handleRequest } from './request-handler.ts';
import { type SeedObject, seedObjects } from './seed-objects.ts';
import { ObjectStore } from './store/object-store.ts';
import { type RunningSts, type StsOptions, startSts } from './sts.ts';

export type { FaultAction, FaultRule } from './control/fault-rule.ts';
export { defaultCredentials, type LocalCredentials } from './credentials.ts';
export type { SeedObject } from './seed-objects.ts';
export type { LocalRole, StsFailure, StsOptions } from './sts.ts';

export interface S3Options {
  /** Where buckets and objects are kept; made if it is missing. One endpoint at a time can have it. */
  readonly folder: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Default: well-known local keys, which are no secret. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** Default `us-east-1`. Signatures for another region are refused. */
  readonly region?: string;
  /** Accepted besides the main pair: temporary keys with a session token, for example. */
  readonly extraCredentials?: readonly LocalCredentials[];
  /** Buckets that are made at the start unless they are there. */
  readonly buckets?: readonly string[];
  /** Buckets whose objects everybody may list and read without a signature. */
  readonly publicBuckets?: readonly string[];
  /** Buckets that refuse every request that does not say `x-amz-request-payer: requester`. */
  readonly requesterPaysBuckets?: readonly string[];
  /** An STS endpoint beside it, whose sessions it accepts. Default: none. */
  readonly sts?: StsOptions;
  /** What time it is; default: the system's clock. */
  readonly clock?: () => Date;
  /** How long a client may send nothing of a body that it has announced. Default 20 s, as S3 is seen to wait. */
  readonly uploadIdleMs?: number;
}

/** The running endpoint and what tests do to it from inside. */
export interface RunningS3 extends RunningPart {
  readonly settings: {
    readonly endpoint: string;
    readonly region: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    /** Empty without STS. */
    readonly stsEndpoint: string;
  };
  /** `null` unless asked for. */
  readonly sts: Omit<RunningSts, 'stop'> | null;
  /** Makes a bucket unless it is there. */
  createBucket(name: string): void;
  /**
   * Writes many objects at once, some 10,000 a transaction, without HTTP.
   *
   * @returns how many were written
   * @throws Error if the bucket is missing or a key is not valid
   */
  seedObjects(bucket: string, objects: Iterable<SeedObject>): Promise<number>;
  /**
   * Injects a fault into requests to come.
   *
   * @returns an id for `removeFault`
   * @throws Error if the rule is not valid
   */
  injectFault(rule: FaultRule): number;
  /** @returns false if the rule is not there, or used up */
  removeFault(id: number): boolean;
  clearFaults(): void;
  /** Requests by operation since the start or the last reset. */
  requestCounts(): Record<string, OperationCount>;
  resetRequestCounts(): void;
}

/**
 * Starts the local S3 endpoint on loopback.
 *
 * @throws Error if the folder is in use, the port is taken, or an option is not valid
 */
export async function startS3(options: S3Options): Promise<RunningS3> {
  const accessKeyId = options.accessKeyId ?? defaultCredentials.accessKeyId;
  const secretAccessKey = options.secretAccessKey ?? defaultCredentials.secretAccessKey;
  const region = options.region ?? 'us-east-1';
  const clock = options.clock ?? (() => new Date());
  const store = new ObjectStore(options.folder);
  const stopped = new AbortController();
  const credentials: LocalCredentials[] = [
    { accessKeyId, secretAccessKey },
    ...(options.extraCredentials ?? []),
  ];
  const state: EndpointState = {
    store,
    credentials,
    region,
    publicBuckets: new Set(options.publicBuckets),
    requesterPaysBuckets: new Set(options.requesterPaysBuckets),
    clock,
    uploadIdleMs: options.uploadIdleMs ?? 20_000,
    faults: new Faults(),
    counters: new RequestCounters(),
    stopped: stopped.signal,
  };
  const createBucket = (name: string): void => {
    checkBucketName(name);
    store.createBucket(name, Math.floor(clock().getTime() / 1000) * 1000);
  };
  let server: Server;
  try {
    for (const name of options.buckets ?? []) createBucket(name);
    server = await listen(state, options.port ?? 0);
  } catch (error) {
    store.close();
    throw error;
  }
  const sts =
    options.sts === undefined ? null : await startSts({ options: options.sts, region, clock, credentials });
  const { port } = server.address() as AddressInfo;
  let stopping: Promise<void> | null = null;
  return {
    name: 's3',
    settings: {
      endpoint: `http://127.0.0.1:${port}`,
      region,
      accessKeyId,
      secretAccessKey,
      stsEndpoint: sts?.endpoint ?? '',
    },
    sts,
    status: async () => (stopping === null ? 'running' : 'stopped'),
    stop: () => {
      stopped.abort();
      return (stopping ??= Promise.all([sts?.stop(), stopServer(server, store)]).then(() => undefined));
    },
    createBucket,
    seedObjects: (bucket, objects) => seedObjects(store, clock, bucket, objects),
    injectFault: (rule) => state.faults.add(readFaultRule(rule)),
    removeFault: (id) => state.faults.remove(id),
    clearFaults: () => state.faults.clear(),
    requestCounts: () => state.counters.read(),
    resetRequestCounts: () => state.counters.reset(),
  };
}

/** More than S3 accepts, so that it can be refused with S3's own answer. */
const maxReadHeaderBytes = 256 * 1024;

async function listen(state: EndpointState, port: number): Promise<Server> {
  // Uploads may take as long as they take.
  const server = createServer({
    requestTimeout: 0,
    keepAliveTimeout: 20_000,
    maxHeaderSize: maxReadHeaderBytes,
  });
  server.on('request', (message, response) => void handleRequest(state, message, response, false));
  server.on('checkContinue', (message, response) => void handleRequest(state, message, response, true));
  server.on('clientError', (_error, socket) => {
    if (socket.writable)
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

async function stopServer(server: Server, store: ObjectStore): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
  // Requests that were cut off end in the next turns; the index has to outlive them.
  await new Promise<void>((resolve) => setImmediate(resolve));
  store.close();
}
