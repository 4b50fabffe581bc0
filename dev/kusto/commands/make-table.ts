import type { Column, ColumnType } from '../column-types.ts';
import type { ResultTable } from '../kql/run-query.ts';

/** `makeTable('TableName:string, RowCount:long', rows)`. */
export function makeTable(header: string, rows: readonly (readonly unknown[])[]): ResultTable {
  const columns = header.split(',').map((part): Column => {
    const [name = '', type = 'string'] = part.trim().split(':');
    return { name, type: type as ColumnType };
  });
  return { columns, rows };
}
