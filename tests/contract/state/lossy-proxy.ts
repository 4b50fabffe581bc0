import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface LossyProxy {
  readonly port: number;
  /** The next request that matches is carried out, but its answer is lost: the connection breaks instead. */
  loseAnswer(matches: (method: string, path: string) => boolean): void;
  /** Answers that were lost so far. */
  lost(): number;
  close(): Promise<void>;
}

/** A proxy on loopback that carries out requests to a local server and can lose an answer. */
export async function startLossyProxy(targetPort: number): Promise<LossyProxy> {
  let losing: ((method: string, path: string) => boolean) | null = null;
  let lost = 0;
  const handle = (incoming: IncomingMessage, answer: ServerResponse): void => {
    const { method = '', url = '', headers } = incoming;
    const isLost = losing?.(method, url) === true;
    if (isLost) losing = null;
    const outgoing = request(
      { port: targetPort, host: '127.0.0.1', method, path: url, headers },
      (response) => {
        if (isLost) {
          response.resume().once('end', () => {
            lost += 1;
            incoming.socket.destroy();
          });
          return;
        }
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
      },
    );
    outgoing.once('error', () => incoming.socket.destroy());
    incoming.pipe(outgoing);
  };
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    loseAnswer: (matches) => {
      losing = matches;
    },
    lost: () => lost,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
