import {
  type Agent,
  type ClientRequest,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import { request as requestSecurely } from 'node:https';
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import type { StorageFaultAction, StorageService } from './fault-rule.ts';
import { sendStorageError } from './storage-error.ts';

/** Where the requests of one service go. */
export interface ForwardTarget {
  readonly service: StorageService;
  readonly host: string;
  readonly port: number;
  readonly agent: Agent;
  /** The service speaks TLS; the agent knows its certificate. */
  readonly isSecure: boolean;
}

/** Headers that concern one connection only, and are made anew for the next. */
const connectionHeaders = new Set(['connection', 'keep-alive', 'proxy-connection', 'expect']);

/** Passes one request on and its answer back, unchanged but for what the action does to them. */
export async function forward(
  target: ForwardTarget,
  exchange: {
    readonly incoming: IncomingMessage;
    readonly answer: ServerResponse;
    readonly action: StorageFaultAction | null;
  },
): Promise<void> {
  const { incoming, answer, action } = exchange;
  if (action?.kind === 'error') {
    incoming.resume();
    const { service } = target;
    sendStorageError(answer, {
      service,
      isHead: incoming.method === 'HEAD',
      code: action.code,
      status: action.status,
    });
    return;
  }
  if (action?.kind === 'reset' && action.when === 'before') return reset(incoming);
  if (action?.kind === 'delay' && action.when === 'before' && !(await holdUp(answer, action.delayMs))) return;
  const outgoing = (target.isSecure ? requestSecurely : request)({
    host: target.host,
    port: target.port,
    agent: target.agent,
    method: incoming.method,
    path: incoming.url,
    headers: Object.fromEntries(
      Object.entries(incoming.headers).filter(([name]) => !connectionHeaders.has(name)),
    ),
  });
  // What a client that talks to the service itself would see of a failure here is a broken connection.
  outgoing.on('error', () => reset(incoming));
  outgoing.once('response', (response) => void passAnswer(response, exchange));
  const isKept = action?.kind === 'reset';
  answer.once('close', () => {
    if (!answer.writableFinished && !isKept) outgoing.destroy();
  });
  if (action?.kind === 'truncate' && action.of === 'request') {
    cutRequest({ incoming, outgoing, afterBytes: action.afterBytes });
  } else {
    incoming.pipe(outgoing);
  }
}

async function passAnswer(
  response: IncomingMessage,
  exchange: {
    readonly incoming: IncomingMessage;
    readonly answer: ServerResponse;
    readonly action: StorageFaultAction | null;
  },
): Promise<void> {
  const { incoming, answer, action } = exchange;
  response.on('error', () => reset(incoming));
  if (action?.kind === 'reset') {
    // The end of the answer is the proof that the service has done its work.
    response.resume().once('end', () => reset(incoming));
    return;
  }
  if (action?.kind === 'delay' && action.when === 'after' && !(await holdUp(answer, action.delayMs))) return;
  const headers: string[] = [];
  for (let index = 0; index < response.rawHeaders.length; index += 2) {
    const name = response.rawHeaders[index] ?? '';
    if (!connectionHeaders.has(name.toLowerCase())) headers.push(name, response.rawHeaders[index + 1] ?? '');
  }
  answer.writeHead(response.statusCode ?? 502, headers);
  if (action?.kind === 'truncate' && action.of === 'answer') {
    cutAnswer({ incoming, answer, response, afterBytes: action.afterBytes });
  } else {
    response.pipe(answer);
  }
}

/** Waits, no longer than the client does. @returns false if it has gone away */
async function holdUp(answer: ServerResponse, delayMs: number): Promise<boolean> {
  const gone = new AbortController();
  const onClose = () => gone.abort();
  if (answer.destroyed) return false;
  answer.once('close', onClose);
  try {
    await wait(delayMs, undefined, { signal: gone.signal });
    return true;
  } catch {
    return false;
  } finally {
    answer.off('close', onClose);
  }
}

/** Passes so many bytes of the body on and resets both connections; a shorter body passes whole. */
function cutRequest(params: {
  incoming: IncomingMessage;
  outgoing: ClientRequest;
  afterBytes: number;
}): void {
  const { incoming, outgoing, afterBytes } = params;
  outgoing.flushHeaders();
  const onLimit = () => {
    outgoing.destroy();
    reset(incoming);
  };
  incoming.pipe(writeUpTo(outgoing, { limitBytes: afterBytes, onLimit }));
}

function cutAnswer(params: {
  incoming: IncomingMessage;
  answer: ServerResponse;
  response: IncomingMessage;
  afterBytes: number;
}): void {
  const { incoming, answer, response, afterBytes } = params;
  answer.flushHeaders();
  const onLimit = () => {
    response.destroy();
    // An end, not a reset, so that what was sent before still reaches the client.
    incoming.socket.destroySoon();
  };
  response.pipe(writeUpTo(answer, { limitBytes: afterBytes, onLimit }));
}

/** A stream that writes to another one; the byte after the limit, and all that follow, are held for good. */
function writeUpTo(
  destination: Writable,
  params: { readonly limitBytes: number; readonly onLimit: () => void },
): Writable {
  let left = params.limitBytes;
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (chunk.length <= left) {
        left -= chunk.length;
        destination.write(chunk, done);
      } else if (left > 0) {
        destination.write(chunk.subarray(0, left), () => params.onLimit());
      } else {
        setImmediate(params.onLimit);
      }
    },
    final(done) {
      destination.end(done);
    },
  });
}

/** TCP connections under TLS ones, by both ports: a TLS socket can't be reset itself. */
const connections = new Map<string, Socket>();
const nameOf = ({ localPort, remotePort }: Socket) => `${localPort} ${remotePort}`;

/** Remembers a connection before TLS begins on it, so that it can be reset. */
export function rememberConnection(socket: Socket): void {
  const name = nameOf(socket);
  connections.set(name, socket);
  socket.once('close', () => connections.delete(name));
}

function reset(incoming: IncomingMessage): void {
  const { socket } = incoming;
  (socket instanceof TLSSocket ? connections.get(nameOf(socket)) : socket)?.resetAndDestroy();
}
