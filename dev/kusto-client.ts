/** Asks the Kusto endpoint, as any user would: by Microsoft's own client. */
export interface KustoClient {
  /** Runs a management command. */
  command(text: string): Promise<void>;
  /** Rows of a table. */
  countRows(table: string): Promise<number>;
  /** Rows of a query's primary result. */
  query(text: string): Promise<readonly Record<string, unknown>[]>;
  close(): void;
}

/** @param kusto - the endpoint's settings; with a token in them the client is its administrator. */
export async function createKustoClient({
  endpoint,
  database,
  token,
}: {
  readonly endpoint: string;
  readonly database: string;
  readonly token: string;
}): Promise<KustoClient> {
  const { Client, KustoConnectionStringBuilder } = await import('azure-kusto-data');
  const client = new Client(
    token === ''
      ? new KustoConnectionStringBuilder(endpoint)
      : KustoConnectionStringBuilder.withAccessToken(endpoint, token),
  );
  const query = async (text: string) => {
    const response = await client.executeQuery(database, text).catch((error: unknown) => fail(error, text));
    return response.primaryResults[0]!.toJSON<Record<string, unknown>>().data;
  };
  return {
    query,
    command: async (text) => {
      await client.executeMgmt(database, text).catch((error: unknown) => fail(error, text));
    },
    countRows: async (table) => Number((await query(`${table} | count`))[0]!['Count']),
    close: () => client.close(),
  };
}

/** The client's own errors say "status code 400" and keep Kusto's words inside. */
function fail(error: unknown, text: string): never {
  const inner = (error as { response?: { data?: { error?: Record<string, unknown> } } }).response?.data
    ?.error;
  throw new Error(`${text}: ${String(inner?.['@message'] ?? inner?.['message'] ?? error)}`, { cause: error });
}
