import { type Column, requireColumnType, typeNames } from '../column-types.ts';
import type { ResultTable } from '../kql/run-query.ts';
import { makeErrorBody } from '../kusto-error.ts';
import { formatDatetime, ticksFromUnixMs } from '../ticks.ts';

interface V1Table {
  readonly TableName: string;
  readonly Columns: readonly {
    readonly ColumnName: string;
    readonly DataType: string;
    readonly ColumnType: string;
  }[];
  readonly Rows: readonly (readonly unknown[])[];
}

/** Names and cells of a v1 table. Queries and commands differ in how they write a bool. */
function makeV1Table(name: string, table: ResultTable, source: 'query' | 'command'): V1Table {
  const isQuery = source === 'query';
  return {
    TableName: name,
    Columns: table.columns.map((column) => ({
      ColumnName: column.name,
      DataType: column.type === 'bool' && !isQuery ? 'Boolean' : typeNames[column.type].v1,
      ColumnType: column.type,
    })),
    Rows: table.rows.map((row) =>
      row.map((cell, index) => {
        // v1 carries dynamic values as JSON text.
        if (table.columns[index]?.type === 'dynamic' && cell !== null) return JSON.stringify(cell);
        return typeof cell === 'boolean' && isQuery ? Number(cell) : cell;
      }),
    ),
  };
}

/** Answer of `/v1/rest/mgmt`: one table. */
export function makeMgmtAnswer(table: ResultTable): object {
  return { Tables: [makeV1Table('Table_0', table, 'command')] };
}

/** Columns from `Name:type,...`. */
function columnsOf(header: string): Column[] {
  return header.split(',').map((part) => {
    const [name = '', type = 'string'] = part.split(':');
    return { name, type: requireColumnType(type) };
  });
}

/** Answer of `/v1/rest/query`: data, properties, status, table of contents. */
export function makeV1QueryAnswer(table: ResultTable, activityId: string, clientRequestId: string): object {
  const now = formatDatetime(ticksFromUnixMs(Date.now()));
  const none = '00000000-0000-0000-0000-000000000000';
  const properties: ResultTable = {
    columns: columnsOf('Value:string'),
    rows: [['{"Visualization":null}']],
  };
  const done = 'Query completed successfully';
  const status: ResultTable = {
    columns: columnsOf(
      'Timestamp:datetime,Severity:int,SeverityName:string,StatusCode:int,StatusDescription:string,Count:int,RequestId:guid,ActivityId:guid,SubActivityId:guid,ClientActivityId:string',
    ),
    rows: [
      table.limit === undefined
        ? [now, 4, 'Info', 0, done, 1, activityId, activityId, activityId, clientRequestId]
        : [
            now,
            2,
            'Error',
            -2133196797,
            table.limit.message,
            1,
            activityId,
            activityId,
            activityId,
            clientRequestId,
          ],
    ],
  };
  const contents: ResultTable = {
    columns: columnsOf('Ordinal:long,Kind:string,Name:string,Id:string,PrettyName:string'),
    rows: [
      [0, 'QueryResult', 'PrimaryResult', activityId, ''],
      [1, 'QueryProperties', '@ExtendedProperties', activityId, ''],
      [2, 'QueryStatus', 'QueryStatus', none, ''],
    ],
  };
  const tables = [table, properties, status, contents];
  return { Tables: tables.map((each, index) => makeV1Table(`Table_${index}`, each, 'query')) };
}

const frameColumns = (header: string) =>
  header.split(',').map((part) => {
    const [ColumnName, ColumnType] = part.split(':');
    return { ColumnName, ColumnType };
  });

/** Answer of `/v2/rest/query`: frames, not progressive. */
export function makeV2Answer(table: ResultTable, activityId: string, clientRequestId: string): object[] {
  return [
    { FrameType: 'DataSetHeader', IsProgressive: false, Version: 'v2.0' },
    {
      FrameType: 'DataTable',
      TableId: 0,
      TableKind: 'QueryProperties',
      TableName: '@ExtendedProperties',
      Columns: frameColumns('TableId:int,Key:string,Value:dynamic'),
      Rows: [[1, 'Visualization', '{"Visualization":null}']],
    },
    {
      FrameType: 'DataTable',
      TableId: 1,
      TableKind: 'PrimaryResult',
      TableName: 'PrimaryResult',
      Columns: table.columns.map((column) => ({ ColumnName: column.name, ColumnType: column.type })),
      Rows: table.rows,
    },
    {
      FrameType: 'DataTable',
      TableId: 2,
      TableKind: 'QueryCompletionInformation',
      TableName: 'QueryCompletionInformation',
      Columns: frameColumns(
        'Timestamp:datetime,ClientRequestId:string,ActivityId:guid,Level:int,LevelName:string,StatusCode:int,EventTypeName:string,Payload:string',
      ),
      Rows: [
        [
          formatDatetime(ticksFromUnixMs(Date.now())),
          clientRequestId,
          activityId,
          4,
          'Info',
          0,
          'QueryInfo',
          '{"Count":1,"Text":"Query completed successfully"}',
        ],
      ],
    },
    {
      FrameType: 'DataSetCompletion',
      HasErrors: table.limit !== undefined,
      Cancelled: false,
      ...(table.limit && { OneApiErrors: [makeErrorBody(table.limit, { activityId, clientRequestId })] }),
    },
  ];
}
