import type { IncomingMessage, ServerResponse } from 'node:http';
import { equalSignatures } from '../protocol/sigv4.ts';
import { readFaultRule } from './fault-rule.ts';
import type { Faults } from './faults.ts';
import type { RequestCounters } from './request-counters.ts';

/** Path that no bucket can have: names of buckets begin with a letter or a digit. */
export const controlPath = '/-/control';
/** Header that has to hold the endpoint's access key id. */
const controlKeyHeader = 'x-local-access-key';
const maxBodyBytes = 64 * 1024;

export interface ControlTargets {
  readonly accessKeyId: string;
  readonly faults: Faults;
  readonly counters: RequestCounters;
}

/** Answers a request under `/-/control`; see the README for what there is. */
export async function answerControl(
  targets: ControlTargets,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const send = (status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify(value)}\n`);
  };
  const key = message.headers[controlKeyHeader];
  if (typeof key !== 'string' || !equalSignatures(targets.accessKeyId, key)) {
    send(403, { error: `The header ${controlKeyHeader} must hold the access key id of this endpoint.` });
    return;
  }
  const path = (message.url ?? '').split('?', 1)[0]?.slice(controlPath.length) ?? '';
  const faultId = /^\/faults\/(\d+)$/.exec(path)?.[1];
  switch (`${message.method} ${faultId === undefined ? path : '/faults/id'}`) {
    case 'GET /stats':
      send(200, { operations: targets.counters.read() });
      return;
    case 'DELETE /stats':
      targets.counters.reset();
      send(200, { operations: {} });
      return;
    case 'GET /faults':
      send(200, { faults: targets.faults.list() });
      return;
    case 'POST /faults':
      try {
        send(201, { id: targets.faults.add(readFaultRule(JSON.parse(await readText(message)))) });
      } catch (error) {
        send(400, { error: error instanceof Error ? error.message : String(error) });
      }
      return;
    case 'DELETE /faults':
      targets.faults.clear();
      send(200, { faults: [] });
      return;
    case 'DELETE /faults/id':
      if (targets.faults.remove(Number(faultId))) send(200, { removed: Number(faultId) });
      else send(404, { error: `There is no fault ${faultId}; it may have been used up.` });
      return;
    default:
      send(404, {
        error: 'There are GET and DELETE of stats and faults, POST of faults, DELETE of faults/{id}.',
      });
  }
}

async function readText(message: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of message) {
    text += String(chunk);
    if (text.length > maxBodyBytes) throw new Error(`The body is longer than ${maxBodyBytes} bytes.`);
  }
  return text;
}
