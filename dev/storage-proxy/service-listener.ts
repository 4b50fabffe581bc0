import { Agent, createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerControl, controlPath, type Refusals } from './control-endpoint.ts';
import type { StorageService } from './fault-rule.ts';
import { forward } from './forward.ts';
import type { StorageFaults } from './storage-faults.ts';

/** How long Azurite keeps idle connections, unless it is told otherwise: the proxy must hide no end of one. */
const keepAliveMs = 5_000;

/** The listener in front of one service. */
export class ServiceListener {
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 64 });
  #port: number;
  #isStopped = false;

  constructor(params: {
    readonly service: StorageService;
    /** The service's own address, for example `http://127.0.0.1:10000/devstoreaccount1`. */
    readonly endpoint: string;
    /** 0 for any free one. */
    readonly port: number;
    readonly accountName: string;
    readonly faults: StorageFaults;
    readonly refusals: Refusals;
  }) {
    const { service, faults, accountName, refusals } = params;
    this.#port = params.port;
    const { hostname, port } = new URL(params.endpoint);
    const target = { service, host: hostname, port: Number(port), agent: this.#agent };
    this.#server = createServer((incoming, answer) => {
      const path = (incoming.url ?? '/').split('?', 1)[0] ?? '/';
      if (path.startsWith(`${controlPath}/`)) {
        void answerControl({ faults, accountName, refusals }, incoming, answer);
        return;
      }
      // A client that goes away in the middle is no error of the proxy's.
      incoming.once('error', () => undefined);
      const action = faults.take({ service, method: incoming.method ?? 'GET', path });
      void forward(target, { incoming, answer, action });
    });
    this.#server.keepAliveTimeout = keepAliveMs;
    // A large upload may take longer than Node's default of 5 minutes.
    this.#server.requestTimeout = 0;
  }

  get port(): number {
    return this.#port;
  }

  /** Takes connections; again, after `refuse`, on the port it had. @throws when the port is taken */
  async listen(): Promise<void> {
    if (this.#server.listening || this.#isStopped) return;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#server.removeListener('error', reject);
        resolve();
      });
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections; new ones are refused by the operating system until `listen`. */
  async refuse(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.refuse();
    this.#agent.destroy();
  }
}
