import type { RunStatus } from '../shared/usecases/read-run.ts';

export interface AppClient {
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<AppAnswer>;
  /** Starts a run and returns its id. @throws when the app refuses. */
  startRun(load: string, body?: unknown): Promise<string>;
  /** Asks again while the app says that its storage is away (503), as a busy Azurite is now and then. @throws when it stays so. */
  readRun(runId: string): Promise<RunStatus>;
}

const READ_ATTEMPTS = 10;
const READ_PAUSE_MS = 1000;

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
      for (let attempt = 1; ; attempt += 1) {
        const answer = await request('GET', `/api/runs/${runId}`);
        if (answer.status === 200) return answer.body;
        if (answer.status !== 503 || attempt === READ_ATTEMPTS)
          throw new Error(`The run ${runId} can't be read: ${answer.status} ${JSON.stringify(answer.body)}`);
        await new Promise((resolve) => setTimeout(resolve, READ_PAUSE_MS));
      }
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
