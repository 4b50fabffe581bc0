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

export async function createKustoClient({ endpoint, database }: { readonly endpoint: string; readonly database: string }): Promise<KustoClient> {
  const { Client, KustoConnectionStringBuilder } = await import('azure-kusto-data');
  const client = new Client(new KustoConnectionStringBuilder(endpoint));
  const query = async (text: string) => {
    const response = await client.executeQuery(database, text);
    return response.primaryResults[0]!.toJSON<Record<string, unknown>>().data;
  };
  return {
    query,
    command: async (text) => {
      await client.executeMgmt(database, text);
    },
    countRows: async (table) => Number((await query(`${table} | count`))[0]!['Count']),
    close: () => client.close(),
  };
}
