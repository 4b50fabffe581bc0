/** An answer that is whole in memory. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case; several values make several header lines. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array | null;
}

/** An answer with a JSON body. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): HttpAnswer {
  const body = Buffer.from(JSON.stringify(value));
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body };
}

/** An answer without a body. */
export function status(code: number): HttpAnswer {
  return { status: code, headers: {}, body: null };
}
