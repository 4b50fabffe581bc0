import { type Column, type ColumnType, readColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import type { KqlNode } from './syntax.ts';
import { convert, type Expression, isNumeric, type Stage, type StageColumn, sqlTypes } from './values.ts';

/** A relation that a query can start from. */
export interface BaseRelation {
  /** SQL for `from`. */
  readonly from: string;
  readonly columns: readonly StageColumn[];
  /** SQL for the extent number of a row; undefined where rows have none. */
  readonly extentNumber?: string | undefined;
}

interface StageOptions {
  readonly extent?: string | undefined;
  readonly order?: string | undefined;
  readonly distinct?: boolean;
}

/** The CTEs of a query as they grow, one for each operator. */
export class Pipeline {
  readonly ctes: string[] = [];

  push(sql: string, isMaterialized = false): string {
    const name = `q${this.ctes.length}`;
    this.ctes.push(`${name} as ${isMaterialized ? 'materialized ' : ''}(${sql})`);
    return name;
  }

  /** Same columns, fewer rows. */
  keep(input: Stage, clause: string): Stage {
    return { ...input, from: this.push(`select * from ${input.from} ${clause}`) };
  }

  /** Same rows, other columns: extent and order stay with them. */
  carry(input: Stage, values: readonly Expression[], columns: readonly Column[]): Stage {
    const stage = this.add(values, `from ${input.from}`, columns, {
      extent: input.hasExtent ? '_x' : undefined,
      order: input.hasOrder ? '_o' : undefined,
    });
    return { ...stage, isSerialized: input.isSerialized === true };
  }

  add(
    values: readonly Expression[],
    clause: string,
    columns: readonly Column[],
    options: StageOptions = {},
  ): Stage {
    if (values.length !== columns.length)
      throw makeNotSupported(`this operator (${values.length} values for ${columns.length} columns)`);
    const selected = [
      ...values.map((value, index) => `${castTo(value, columns[index] as Column)} as c${index}`),
      ...(options.extent === undefined ? [] : [`${options.extent} as _x`]),
      ...(options.order === undefined ? [] : [`${options.order} as _o`]),
    ];
    const name = this.push(
      `select ${options.distinct ? 'distinct ' : ''}${selected.join(', ') || 'null as _n'} ${clause}`,
    );
    return {
      from: name,
      columns: columns.map(({ name: columnName, type }, index) => ({
        name: columnName,
        type,
        physical: `c${index}`,
      })),
      hasExtent: options.extent !== undefined,
      hasOrder: options.order !== undefined,
    };
  }

  /** Rows in the order of `clause`, from now on. */
  order(input: Stage, clause: string): Stage {
    const columns = [...input.columns.map((column) => column.physical), ...(input.hasExtent ? ['_x'] : [])];
    const from = this.push(
      `select ${[...columns, `row_number() over (${clause}) as _o`].join(', ')} from ${input.from}`,
    );
    return { ...input, from, hasOrder: true, isSerialized: true };
  }
}

export function asExpression(column: StageColumn): Expression {
  return { sql: column.physical, type: column.type };
}

export function expressionOf(input: Stage, name: string): Expression {
  const column = input.columns.find((candidate) => candidate.name === name);
  if (column === undefined) throw makeNotSupported(`the column '${name}' here`);
  return asExpression(column);
}

/** Columns that come out of an operator, by the parser's analysis. */
export function resultColumns(node: KqlNode): Column[] {
  if (node.columns === null) throw makeNotSupported(`${node.kind}: its columns are not known`);
  return node.columns.map((column) => {
    const type = readColumnType(column.type);
    if (type === undefined) throw makeNotSupported(`column '${column.name}' of type ${column.type}`);
    return { name: column.name, type };
  });
}

/** What stands where a row has no value. */
export function missingSql(type: ColumnType): string {
  return type === 'string' ? "''" : `null::${sqlTypes[type]}`;
}

/** The translation and the parser's own analysis must agree on the type, or the query is refused. */
function castTo(value: Expression, column: Column): string {
  if (value.type === column.type && !value.isNull) return value.sql;
  if (value.isNull) return missingSql(column.type);
  const areNumbers = isNumeric(value) && isNumeric({ sql: '', type: column.type });
  const isWidened = areNumbers && value.type !== 'real' && value.type !== 'decimal';
  if (isWidened || column.type === 'dynamic') return convert(value, column.type).sql;
  throw makeNotSupported(
    `column '${column.name}': a ${value.type} where the parser expects a ${column.type}`,
  );
}
