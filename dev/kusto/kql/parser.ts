import { Worker } from 'node:worker_threads';
import { KustoError, makeSyntaxError } from '../kusto-error.ts';
import type { KqlNode, ParseRequest, ParseResponse } from './syntax.ts';

/** The KQL parser in its thread. Starting it takes a second or two; `ready` says when it has parsed once. */
export class KqlParser {
  readonly ready: Promise<void>;
  readonly #worker = new Worker(new URL('parser-worker.ts', import.meta.url));
  readonly #waiting = new Map<
    number,
    { resolve(response: ParseResponse): void; reject(error: Error): void }
  >();
  #nextId = 1;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (response: ParseResponse) => {
      this.#waiting.get(response.id)?.resolve(response);
      this.#waiting.delete(response.id);
    });
    this.#worker.on('error', (error) => {
      for (const { reject } of this.#waiting.values()) reject(error as Error);
      this.#waiting.clear();
    });
    this.ready = this.parse({
      text: 'T | where a > 1 | summarize count() by a',
      database: 'd',
      tables: [{ name: 'T', columns: [{ name: 'a', type: 'long' }] }],
      schemaKey: '',
    }).then(() => undefined);
    this.ready.catch(() => undefined);
  }

  /** @throws KustoError for what the parser refuses: unknown names, wrong types, syntax. */
  async parse(request: Omit<ParseRequest, 'id'>): Promise<KqlNode> {
    const id = this.#nextId;
    this.#nextId += 1;
    const response = await new Promise<ParseResponse>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id });
    });
    if ('error' in response)
      throw new KustoError('General_InternalServerError', response.error, {
        httpStatus: 500,
        permanent: false,
      });
    const problem = response.diagnostics.find((diagnostic) => diagnostic.severity === 'Error');
    if (problem !== undefined) {
      const where = `${problem.message} (at position ${problem.start})`;
      // The parser's own numbers: below KS100 (and KS176, no operator) the text can't be read; others mean nothing sensible.
      if (/^KS0|^KS176/.test(problem.code)) throw makeSyntaxError(`Query could not be parsed: ${where}`);
      throw new KustoError('General_BadRequest', `Semantic error: SEM0100: ${where}`, {
        type: 'Kusto.Data.Exceptions.SemanticException',
        innerCode: 'SEM0100',
      });
    }
    return response.syntax;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(new Error('The KQL parser has been stopped.'));
    this.#waiting.clear();
  }
}
