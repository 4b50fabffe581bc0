import { type LocalKusto, startLocalKusto } from './local-kusto.ts';

/** What a query answered, byte by byte: numbers are not read, so none is rounded. */
export interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

export interface KqlEndpoint {
  readonly local: LocalKusto;
  post(version: 'v1' | 'v2', body: object): Promise<RawAnswer>;
  /** `Rows` of the primary result of a v2 answer, as they stand in it. */
  rawRows(query: string, parameters?: Readonly<Record<string, unknown>>): Promise<string>;
  /** `name:type` of its columns. */
  columns(query: string): Promise<string[]>;
  /** The error of a query that must fail. */
  error(query: string, parameters?: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
}

const PRIMARY = '"TableKind":"PrimaryResult"';
const NEXT = '},{"FrameType":"DataTable","TableId":2,';

/** An endpoint of its own, asked over HTTP without any client. */
export async function startKqlEndpoint(): Promise<KqlEndpoint> {
  const local = await startLocalKusto({ profile: 'single' });
  const post = async (version: 'v1' | 'v2', body: object): Promise<RawAnswer> => {
    const response = await fetch(`${local.kusto.settings.endpoint}/${version}/rest/query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ db: 'local', ...body }),
    });
    return { status: response.status, text: await response.text() };
  };
  const ask = (query: string, parameters?: Readonly<Record<string, unknown>>) =>
    post('v2', { csl: query, ...(parameters && { properties: { Parameters: parameters } }) });
  const primary = async (query: string, parameters?: Readonly<Record<string, unknown>>) => {
    const { status, text } = await ask(query, parameters);
    if (status !== 200) throw new Error(`${status}: ${text}`);
    const start = text.indexOf(PRIMARY);
    return text.slice(start, text.indexOf(NEXT, start));
  };
  return {
    local,
    post,
    rawRows: async (query, parameters) => {
      const table = await primary(query, parameters);
      return table.slice(table.indexOf('"Rows":') + '"Rows":'.length);
    },
    columns: async (query) => {
      const table = await primary(query);
      const from = table.indexOf('"Columns":') + '"Columns":'.length;
      const columns = JSON.parse(table.slice(from, table.indexOf(',"Rows":'))) as {
        ColumnName: string;
        ColumnType: string;
      }[];
      return columns.map((column) => `${column.ColumnName}:${column.ColumnType}`);
    },
    error: async (query, parameters) => {
      const { status, text } = await ask(query, parameters);
      const { error } = JSON.parse(text) as { error?: Record<string, unknown> };
      return { status, ...error };
    },
  };
}
