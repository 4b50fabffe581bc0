import type { RunStatus } from '../shared/usecases/read-run.ts';

export interface AppClient {
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<AppAnswer>;
  /** Starts a run and returns its id. @throws when the app refuses. */
  startRun(load: string, body?: unknown): Promise<string>;
  readRun(runId: string): Promise<RunStatus>;
}

export interface AppAnswer {
  readonly status: number;
  readonly headers: Headers;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read into the API's answers as they are
  readonly body: any;
}

/** Talks to the app's HTTP API, as any user would. */
export function createAppClient({
  url,
  functionKey,
}: {
  readonly url: string;
  readonly functionKey: string;
}): AppClient {
  async function request(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<AppAnswer> {
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        'x-functions-key': functionKey,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? null : parse(text) };
  }

  return {
    request,
    startRun: async (load, body) => {
      const answer = await request('POST', `/api/loads/${load}/runs`, body);
      if (answer.status !== 202)
        throw new Error(
          `The run of ${load} was not started: ${answer.status} ${JSON.stringify(answer.body)}`,
        );
      return answer.body.runId;
    },
    readRun: async (runId) => {
      const answer = await request('GET', `/api/runs/${runId}`);
      if (answer.status !== 200)
        throw new Error(`The run ${runId} can't be read: ${answer.status} ${JSON.stringify(answer.body)}`);
      return answer.body;
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
