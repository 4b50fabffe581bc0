import type { IncomingHttpHeaders } from 'node:http';
import type { HttpAnswer } from '../http-answer.ts';
import { json, status } from '../http-answer.ts';
import { managementUrls } from './client-binding.ts';
import type { DurableEngine } from './engine.ts';
import { newExecutionId } from './execution-id.ts';
import { renderHistory, renderStatus } from './status.ts';
import { type DurableStore, type InstanceFilter, type InstanceRow, isFinished } from './store.ts';
import { eventTypes, type HistoryEvent } from './wire-v3.ts';

export interface ClientApiRequest {
  readonly method: string;
  /** Path after the base, decoded, without empty parts. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface ClientApiParams {
  readonly engine: DurableEngine;
  readonly store: DurableStore;
  readonly hubName: string;
  readonly systemKey: string;
  /** Known only once the server listens. */
  readonly port: () => number;
}

const pageSize = 100;
const longestIdLength = 256;

/** The Durable extension's HTTP API: start, status, events, suspend, resume, terminate, purge, queries. */
export class DurableClientApi {
  readonly #params: ClientApiParams;

  constructor(params: ClientApiParams) {
    this.#params = params;
  }

  async handle(request: ClientApiRequest): Promise<HttpAnswer> {
    const [area, first, second, third] = request.segments;
    const { method } = request;
    if (area === 'orchestrators' && method === 'POST' && first !== undefined) {
      return this.#start(request, { name: first, id: second });
    }
    if (area === 'entities') {
      return json(501, refusal('Durable entities are not supported by this host.'));
    }
    if (area !== 'instances') return status(404);
    if (first === undefined) {
      if (method === 'GET') return this.#list(request);
      if (method === 'DELETE') return this.#purgeMany(request);
      return status(405);
    }
    if (second === undefined) {
      if (method === 'GET') return this.#status(request, first);
      if (method === 'DELETE') return this.#purgeOne(first);
      return status(405);
    }
    if (method !== 'POST') return status(405);
    return this.#act(request, { id: first, action: second, eventName: third });
  }

  async #start(
    request: ClientApiRequest,
    params: { name: string; id: string | undefined },
  ): Promise<HttpAnswer> {
    const { engine } = this.#params;
    const id = params.id ?? newExecutionId();
    const idProblem = findIdProblem(id);
    if (idProblem !== null) return json(400, refusal(idProblem));
    if (!engine.knownOrchestrators.has(params.name)) {
      const names = [...engine.knownOrchestrators].sort().join(', ') || 'none';
      return json(
        400,
        refusal(
          `The function '${params.name}' doesn't exist, is disabled, or is not an orchestrator function. ` +
            `The following are the known orchestrator functions: ${names}.`,
        ),
      );
    }
    const input = request.body.toString('utf8');
    if (input !== '' && !isJson(input))
      return json(400, refusal('The input is no JSON. Send JSON or an empty body.'));
    const version = request.query.get('version');
    const isStarted = await engine.startInstance({
      id,
      name: params.name,
      version,
      input: input === '' ? null : input,
    });
    if (!isStarted) {
      return json(409, refusal(`An Orchestration instance with the status Running already exists: '${id}'.`));
    }
    const timeoutSeconds = request.query.get('timeout');
    if (timeoutSeconds !== null) {
      const finished = await this.#waitFor(id, Number(timeoutSeconds) * 1000);
      if (finished !== null) return json(finished.status === 'Failed' ? 500 : 200, renderOutput(finished));
    }
    return this.#started(id);
  }

  #started(id: string): HttpAnswer {
    const { hubName, systemKey, port } = this.#params;
    const urls = managementUrls({ port: port(), hubName, systemKey, id });
    return json(202, urls, { location: urls.statusQueryGetUri ?? '', 'retry-after': '10' });
  }

  #status(request: ClientApiRequest, id: string): HttpAnswer {
    const row = this.#read(id);
    if (row === null) return status(404);
    const flag = (name: string, fallback: boolean) => readFlag(request.query.get(name), fallback);
    const showInput = flag('showInput', true);
    const showOutput = flag('showHistoryOutput', false);
    const body = renderStatus(row, {
      showInput,
      ...(flag('showHistory', false) ? { historyEvents: this.#history(row, { showOutput, showInput }) } : {}),
    });
    if (isFinished(row.status)) {
      const asError = row.status === 'Failed' && flag('returnInternalServerErrorOnFailure', false);
      return json(asError ? 500 : 200, body);
    }
    const { hubName, systemKey, port } = this.#params;
    const location = managementUrls({ port: port(), hubName, systemKey, id }).statusQueryGetUri ?? '';
    return json(202, body, { location, 'retry-after': '5' });
  }

  #history(row: InstanceRow, params: { showOutput: boolean; showInput: boolean }): unknown[] {
    const text = this.#params.store.readHistory(row.id, row.executionId).join(',');
    return renderHistory(JSON.parse(`[${text}]`) as HistoryEvent[], params);
  }

  #list(request: ClientApiRequest): HttpAnswer {
    const { query, headers } = request;
    const filter = readFilter(query);
    if (typeof filter === 'string') return json(400, refusal(filter));
    const top = query.get('top');
    const limit = top === null ? pageSize : Number(top);
    if (!Number.isInteger(limit) || limit < 1)
      return json(400, refusal("'top' must be a whole number above 0."));
    const token = headers['x-ms-continuation-token'];
    const afterId = typeof token === 'string' ? Buffer.from(token, 'base64').toString('utf8') : '';
    this.#params.store.flush();
    const rows = this.#params.store.readInstances({ filter, afterId, limit: limit + 1 });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const next =
      rows.length > limit && last !== undefined ? Buffer.from(last.id, 'utf8').toString('base64') : '';
    const showInput = readFlag(query.get('showInput'), true);
    const body = page.map((row) => renderStatus(row, { showInput }));
    return json(200, body, { 'x-ms-continuation-token': next });
  }

  async #purgeOne(id: string): Promise<HttpAnswer> {
    const row = this.#read(id);
    if (row === null || !isFinished(row.status)) return status(404);
    await this.#params.store.write(() => this.#params.store.deleteInstance(id));
    return json(200, { instancesDeleted: 1 });
  }

  async #purgeMany(request: ClientApiRequest): Promise<HttpAnswer> {
    const filter = readFilter(request.query);
    if (typeof filter === 'string') return json(400, refusal(filter));
    if (filter.createdFromMs === undefined) {
      return json(400, refusal("Please provide value for 'createdTimeFrom' parameter."));
    }
    let instancesDeleted = 0;
    await this.#params.store.write(() => {
      instancesDeleted = this.#params.store.purge(filter);
    });
    return instancesDeleted === 0 ? status(404) : json(200, { instancesDeleted });
  }

  async #act(
    request: ClientApiRequest,
    params: { id: string; action: string; eventName: string | undefined },
  ): Promise<HttpAnswer> {
    const { id, action, eventName } = params;
    const row = this.#read(id);
    if (row === null) return status(404);
    if (action.toLowerCase() === 'restart') return this.#restart(request, row);
    if (action.toLowerCase() === 'rewind') return refuseRewind(row);
    if (isFinished(row.status)) return status(410);
    const event =
      action.toLowerCase() === 'raiseevent' ? readRaised(request, eventName) : readControl(request, action);
    if (event === null) return status(404);
    if ('problem' in event) return json(400, refusal(event.problem));
    return status((await this.#params.engine.send(id, JSON.stringify(event))) ? 202 : 410);
  }

  async #restart(request: ClientApiRequest, row: InstanceRow): Promise<HttpAnswer> {
    const isNew = readFlag(request.query.get('restartWithNewInstanceId'), true);
    const id = isNew ? newExecutionId() : row.id;
    const { name, version, input } = row;
    const isStarted = await this.#params.engine.startInstance({ id, name, version, input });
    if (!isStarted) return json(409, refusal(`The instance '${id}' has not ended.`));
    return this.#started(id);
  }

  async #waitFor(id: string, timeoutMs: number): Promise<InstanceRow | null> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const row = this.#read(id);
      if (row !== null && isFinished(row.status)) return row;
      if (!(Date.now() < deadline)) return null;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #read(id: string): InstanceRow | null {
    this.#params.store.flush();
    return this.#params.store.readInstance(id);
  }
}

function refuseRewind(row: InstanceRow): HttpAnswer {
  if (row.status === 'Failed') return json(501, refusal('Rewind is not supported by this host.'));
  if (isFinished(row.status)) return status(410);
  return json(412, refusal(`Only failed instances can be rewound; this one is ${row.status}.`));
}

function readRaised(request: ClientApiRequest, name: string | undefined) {
  if (name === undefined || name === '') return null;
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json\b/i.test(type))
    return { problem: 'Only application/json request content is supported' };
  const input = request.body.toString('utf8');
  if (input !== '' && !isJson(input)) return { problem: 'Invalid application/json content' };
  return { EventType: eventTypes.eventRaised, EventId: -1, Name: name, Input: input === '' ? null : input };
}

function readControl(request: ClientApiRequest, action: string) {
  const types: Record<string, number> = {
    terminate: eventTypes.executionTerminated,
    suspend: eventTypes.executionSuspended,
    resume: eventTypes.executionResumed,
  };
  const type = types[action.toLowerCase()];
  if (type === undefined) return null;
  return { EventType: type, EventId: -1, Input: request.query.get('reason') ?? '' };
}

/** The filter, or what is wrong with it. */
function readFilter(query: URLSearchParams): InstanceFilter | string {
  const filter: { -readonly [key in keyof InstanceFilter]: InstanceFilter[key] } = {};
  for (const [name, field] of [
    ['createdTimeFrom', 'createdFromMs'],
    ['createdTimeTo', 'createdToMs'],
  ] as const) {
    const text = query.get(name);
    if (text === null || text === '') continue;
    const ms = Date.parse(text);
    if (Number.isNaN(ms)) return `'${name}' is no time. Write it as ISO 8601 text.`;
    filter[field] = ms;
  }
  const statuses = query.get('runtimeStatus');
  if (statuses !== null && statuses !== '') filter.statuses = statuses.split(',').map((each) => each.trim());
  const idPrefix = query.get('instanceIdPrefix');
  if (idPrefix !== null && idPrefix !== '') filter.idPrefix = idPrefix;
  return filter;
}

function findIdProblem(id: string): string | null {
  if (id.length > longestIdLength) return `Instance ids are at most ${longestIdLength} characters long.`;
  if (id.startsWith('@')) return 'Instance ids must not start with @.';
  if (/[/\\#?\p{Cc}]/u.test(id)) {
    return 'Instance ids must not contain /, \\, #, ? or control characters.';
  }
  return null;
}

function renderOutput(row: InstanceRow): unknown {
  const shown = renderStatus(row, { showInput: true });
  return row.status === 'Completed' ? shown.output : shown;
}

function readFlag(text: string | null, fallback: boolean): boolean {
  return text === null || text === '' ? fallback : text.toLowerCase() === 'true';
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function refusal(message: string): { Message: string; ExceptionMessage: string } {
  return { Message: message, ExceptionMessage: message };
}
