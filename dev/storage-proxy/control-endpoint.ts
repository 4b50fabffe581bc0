import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { StorageFaultRule, StorageService } from './fault-rule.ts';
import type { StorageFaults } from './storage-faults.ts';

/** No account can have this name, so that it is no path of the service's. */
export const controlPath = '/-/control';
/** Has to hold the account's name: no web page can send it to another origin by accident. */
const controlKeyHeader = 'x-local-access-key';

/** Has the operating system refuse the connections of a service, and take them again. */
export interface Refusals {
  begin(service: StorageService): Promise<void>;
  end(service: StorageService): Promise<void>;
}

export interface ControlTargets {
  readonly faults: StorageFaults;
  readonly accountName: string;
  readonly refusals: Refusals;
}

interface ControlResult {
  readonly status: number;
  readonly body: unknown;
  readonly afterwards?: () => void;
}

/** Answers a request under `/-/control`; see the README for what there is. */
export async function answerControl(
  targets: ControlTargets,
  incoming: IncomingMessage,
  answer: ServerResponse,
): Promise<void> {
  let result: ControlResult;
  try {
    const body = await text(incoming);
    result =
      incoming.headers[controlKeyHeader] === targets.accountName
        ? await control(targets, { method: incoming.method ?? '', url: incoming.url ?? '', body })
        : fail(403, `The header ${controlKeyHeader} must hold the name of the account.`);
  } catch (error) {
    result = fail(400, error instanceof Error ? error.message : String(error));
  }
  answer.writeHead(result.status, { 'content-type': 'application/json' });
  // The answer must get out before its own listener may be closed.
  answer.end(`${JSON.stringify(result.body)}\n`, () => result.afterwards?.());
}

async function control(
  { faults, refusals }: ControlTargets,
  request: { readonly method: string; readonly url: string; readonly body: string },
): Promise<ControlResult> {
  const { method, url, body } = request;
  const [, area, item] = url.slice(controlPath.length).split('/');
  if (area === 'faults' && item === undefined) {
    if (method === 'GET') return { status: 200, body: { faults: faults.list() } };
    if (method === 'POST')
      return { status: 201, body: { id: faults.add(JSON.parse(body) as StorageFaultRule) } };
    if (method === 'DELETE') {
      faults.clear();
      return { status: 200, body: { faults: [] } };
    }
  }
  if (area === 'faults' && item !== undefined && method === 'DELETE') {
    if (faults.remove(Number(item))) return { status: 200, body: { removed: Number(item) } };
    return fail(404, `There is no fault ${item}.`);
  }
  if (area === 'refusals' && (method === 'PUT' || method === 'DELETE')) {
    if (item !== 'blob' && item !== 'queue' && item !== 'table')
      return fail(404, 'A service is blob, queue or table.');
    const body = { service: item, refuses: method === 'PUT' };
    if (method === 'PUT') return { status: 200, body, afterwards: () => void refusals.begin(item) };
    await refusals.end(item);
    return { status: 200, body };
  }
  return fail(
    404,
    'There are GET, POST and DELETE of faults, DELETE of faults/{id}, PUT and DELETE of refusals/{service}.',
  );
}

function fail(status: number, error: string): ControlResult {
  return { status, body: { error } };
}
