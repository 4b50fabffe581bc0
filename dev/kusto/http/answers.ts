import { typeNames } from '../column-types.ts';
import type { ResultTable } from '../kql/run-query.ts';

interface V1Table {
  readonly TableName: string;
  readonly Columns: readonly {
    readonly ColumnName: string;
    readonly DataType: string;
    readonly ColumnType: string;
  }[];
  readonly Rows: readonly (readonly unknown[])[];
}

function makeV1Table(name: string, table: ResultTable): V1Table {
  return {
    TableName: name,
    Columns: table.columns.map((column) => ({
      ColumnName: column.name,
      DataType: typeNames[column.type].v1,
      ColumnType: column.type,
    })),
    // v1 carries dynamic values as JSON text.
    Rows: table.rows.map((row) =>
      row.map((cell, index) =>
        table.columns[index]?.type === 'dynamic' && cell !== null ? JSON.stringify(cell) : cell,
      ),
    ),
  };
}

/** Answer of `/v1/rest/mgmt`: one table. */
export function makeMgmtAnswer(table: ResultTable): object {
  return { Tables: [makeV1Table('Table_0', table)] };
}

/** Answer of `/v1/rest/query`: data, properties, status, table of contents. */
export function makeV1QueryAnswer(table: ResultTable, activityId: string, clientRequestId: string): object {
  const now = new Date().toISOString();
  const text = (header: string, rows: unknown[][]): ResultTable => ({
    columns: header.split(',').map((name) => ({ name, type: 'string' })),
    rows,
  });
  return {
    Tables: [
      makeV1Table('Table_0', table),
      makeV1Table('Table_1', text('Value', [['{"Visualization":null}']])),
      {
        ...makeV1Table(
          'Table_2',
          text(
            'Timestamp,Severity,SeverityName,StatusCode,StatusDescription,Count,RequestId,ActivityId,SubActivityId,ClientActivityId',
            [
              [
                now,
                4,
                'Info',
                0,
                'Query completed successfully',
                1,
                activityId,
                activityId,
                activityId,
                clientRequestId,
              ],
            ],
          ),
        ),
      },
      makeV1Table(
        'Table_3',
        text('Ordinal,Kind,Name,Id,PrettyName', [
          [0, 'QueryResult', 'PrimaryResult', activityId, ''],
          [1, 'QueryProperties', '@ExtendedProperties', activityId, ''],
          [2, 'QueryStatus', 'QueryStatus', '00000000-0000-0000-0000-000000000000', ''],
        ]),
      ),
    ],
  };
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
          new Date().toISOString(),
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
    { FrameType: 'DataSetCompletion', HasErrors: false, Cancelled: false },
  ];
}
