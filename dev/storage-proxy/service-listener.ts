import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, Agent as SecureAgent } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { checkAccess, type StorageAccess } from './access-check.ts';
import { answerControl, controlPath, type Refusals } from './control-endpoint.ts';
import type { StorageService } from './fault-rule.ts';
import { type ForwardTarget, forward, rememberConnection } from './forward.ts';
import { sendStorageError } from './storage-error.ts';
import type { StorageFaults } from './storage-faults.ts';

/** How long Azurite keeps idle connections unless it is told otherwise: clients meet their end, as without the proxy. */
const keepAliveMs = 5_000;

/** A port that stays the same while connections to it are refused. */
interface Port {
  readonly server: Server;
  /** Also those that are still about to begin TLS, which the server does not count as its own and would wait for. */
  readonly connections: Set<Socket>;
  /** 0 until it is known. */
  number: number;
}

export interface ServiceListenerOptions {
  readonly service: StorageService;
  /** The service's own address, for example `http://127.0.0.1:10000/devstoreaccount1`. */
  readonly endpoint: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly accountName: string;
  readonly faults: StorageFaults;
  readonly refusals: Refusals;
  /** Certificate of the service, where it has one, and of the second listener. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Whom the second listener, which speaks TLS, lets in. Without it there is none. */
  readonly access?: StorageAccess;
}

/** What stands in front of one service: plain HTTP for keys and signatures, TLS for tokens. */
export class ServiceListener {
  readonly #options: ServiceListenerOptions;
  readonly #target: ForwardTarget;
  readonly #plain: Port;
  readonly #secure: Port | null;
  #isStopped = false;

  constructor(options: ServiceListenerOptions) {
    this.#options = options;
    const { service, tls, access } = options;
    const { hostname, port, protocol } = new URL(options.endpoint);
    const isSecure = protocol === 'https:';
    const kept = { keepAlive: true, maxFreeSockets: 64 };
    const agent = isSecure ? new SecureAgent({ ...kept, ca: tls?.cert }) : new Agent(kept);
    this.#target = { service, host: hostname, port: Number(port), agent, isSecure };
    this.#plain = preparePort(
      createServer((incoming, answer) => this.#answer(incoming, answer)),
      options.port,
    );
    this.#secure =
      access === undefined || tls === undefined
        ? null
        : preparePort(
            createSecureServer(tls, (incoming, answer) => void this.#letIn(access, incoming, answer)),
            0,
          );
    this.#secure?.server.on('connection', rememberConnection);
  }

  get port(): number {
    return this.#plain.number;
  }

  /** 0 when there is none. */
  get securePort(): number {
    return this.#secure?.number ?? 0;
  }

  /** Takes connections; again, after `refuse`, on the ports it had. @throws when a port is taken */
  async listen(): Promise<void> {
    if (this.#isStopped) return;
    for (const port of this.#ports()) await open(port);
  }

  /** Ends all connections; new ones are refused by the operating system until `listen`. */
  async refuse(): Promise<void> {
    await Promise.all(this.#ports().map(close));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.refuse();
    this.#target.agent.destroy();
  }

  #ports(): readonly Port[] {
    return this.#secure === null ? [this.#plain] : [this.#plain, this.#secure];
  }

  async #letIn(access: StorageAccess, incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { service } = this.#options;
    const refusal = await checkAccess(access, service, incoming);
    if (refusal === null) return this.#answer(incoming, answer);
    incoming.resume();
    if (refusal.status === 401)
      answer.setHeader(
        'www-authenticate',
        'Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize resource_id=https://storage.azure.com',
      );
    const { code, status, message: said } = refusal;
    sendStorageError(answer, { service, isHead: incoming.method === 'HEAD', code, status, said });
  }

  #answer(incoming: IncomingMessage, answer: ServerResponse): void {
    const { service, faults, accountName, refusals } = this.#options;
    const path = (incoming.url ?? '/').split('?', 1)[0] ?? '/';
    if (path.startsWith(`${controlPath}/`)) {
      void answerControl({ faults, accountName, refusals }, incoming, answer);
      return;
    }
    // A client that goes away in the middle is no error of the proxy's.
    incoming.once('error', () => undefined);
    const action = faults.take({ service, method: incoming.method ?? 'GET', path });
    void forward(this.#target, { incoming, answer, action });
  }
}

function preparePort(server: Server, number: number): Port {
  server.keepAliveTimeout = keepAliveMs;
  // A large upload may take longer than Node's default of 5 minutes.
  server.requestTimeout = 0;
  const connections = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  return { server, connections, number };
}

async function open(port: Port): Promise<void> {
  const { server } = port;
  if (server.listening) return;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port.number, '127.0.0.1', () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
  port.number = (server.address() as AddressInfo).port;
}

async function close({ server, connections }: Port): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of connections) socket.destroy();
  await closed;
}
