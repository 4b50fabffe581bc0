import { until } from './app-under-test.ts';

export interface Status {
  readonly name: string;
  readonly runtimeStatus: string;
  readonly instanceId: string;
  readonly input: unknown;
  readonly output: unknown;
  readonly customStatus: unknown;
  readonly createdTime: string;
  readonly lastUpdatedTime: string;
  readonly historyEvents?: Record<string, unknown>[];
}

/** Speaks to a durable app as its users do: over HTTP only, with the addresses that the app gives out. */
export class DurableClient {
  readonly #host: { readonly url: string };
  #management: URL | undefined;

  /** @param host its `url` is read at each call, so that the host may be started later */
  constructor(host: { readonly url: string }) {
    this.#host = host;
  }

  get url(): string {
    return this.#host.url;
  }

  /** A call to the Durable API; `path` is relative to its base, the key comes from the app. */
  async durable(
    method: string,
    path: string,
    options: {
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
      readonly key?: string;
    } = {},
  ): Promise<Response> {
    const management = await this.#findManagement();
    const url = new URL(path, `${management.origin}${management.pathname}`);
    const code = options.key ?? management.searchParams.get('code');
    if (code !== null && code !== '') url.searchParams.set('code', code);
    const hasBody = method === 'POST';
    return fetch(url, {
      method,
      headers: { ...(hasBody ? { 'content-type': 'application/json' } : {}), ...options.headers },
      ...(hasBody ? { body: JSON.stringify(options.body ?? null) } : {}),
    });
  }

  /** Starts an orchestration through the app's HTTP function; gives the instance id. */
  async start(name: string, input: unknown = null, id?: string): Promise<string> {
    const path = id === undefined ? name : `${name}/${id}`;
    const response = await fetch(`${this.url}/api/start/${path}`, {
      method: 'POST',
      body: JSON.stringify(input),
    });
    if (response.status !== 202) throw new Error(`start of ${name}: ${response.status}`);
    const started = (await response.json()) as { id: string; statusQueryGetUri: string };
    this.#management ??= toBase(started.statusQueryGetUri);
    return started.id;
  }

  async status(id: string, query = ''): Promise<Status> {
    const response = await this.durable('GET', `instances/${id}${query}`);
    if (response.status >= 400 && response.status !== 500)
      throw new Error(`status of ${id}: ${response.status}`);
    return (await response.json()) as Status;
  }

  /** Waits until the instance's status fits. */
  async until(id: string, fits: (status: Status) => boolean): Promise<Status> {
    return until(() => this.status(id), fits);
  }

  async finish(id: string): Promise<Status> {
    return this.until(id, ({ runtimeStatus }) =>
      ['Completed', 'Failed', 'Terminated'].includes(runtimeStatus),
    );
  }

  async run(name: string, input: unknown = null): Promise<Status> {
    return this.finish(await this.start(name, input));
  }

  async raise(id: string, event: string, value: unknown): Promise<number> {
    return (await this.durable('POST', `instances/${id}/raiseEvent/${event}`, { body: value })).status;
  }

  /** Runs a method of the durable client inside the app. */
  async call(method: string, ...args: unknown[]): Promise<{ ok?: unknown; error?: string }> {
    const response = await fetch(`${this.url}/api/client/${method}`, {
      method: 'POST',
      body: JSON.stringify(args),
    });
    return (await response.json()) as { ok?: unknown; error?: string };
  }

  async #findManagement(): Promise<URL> {
    if (this.#management === undefined) {
      const response = await fetch(`${this.url}/api/management/any`);
      const { statusQueryGetUri } = (await response.json()) as { statusQueryGetUri: string };
      this.#management = toBase(statusQueryGetUri);
    }
    return this.#management;
  }
}

/** The base of the Durable API, with the query that each call needs. */
function toBase(statusUri: string): URL {
  const url = new URL(statusUri);
  url.pathname = url.pathname.replace(/instances\/.*$/, '');
  return url;
}
