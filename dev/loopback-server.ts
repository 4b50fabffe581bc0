import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RunningPart } from './part.ts';

/** A server on 127.0.0.1, and the half of a part that every one of them has. */
export interface LoopbackServer extends Pick<RunningPart, 'status' | 'stop'> {
  readonly port: number;
}

/**
 * @param port - any free one by default.
 * @throws when the port is taken.
 */
export async function listenOnLoopback(server: Server, port = 0): Promise<LoopbackServer> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  let stopping: Promise<void> | null = null;
  return {
    port: (server.address() as AddressInfo).port,
    status: async () => (stopping === null ? 'running' : 'stopped'),
    stop: () => {
      stopping ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return stopping;
    },
  };
}
