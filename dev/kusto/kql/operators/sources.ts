import { typeNames } from '../../column-types.ts';
import { makeNotSupported } from '../../kusto-error.ts';
import { quoteText } from '../../storage/store.ts';
import { translateExpression } from '../expressions.ts';
import { missingSql, type Pipeline, resultColumns } from '../pipeline.ts';
import { childOf, elementsOf, type KqlNode, requireChild } from '../syntax.ts';
import { convert, type Expression, isNumeric, type Stage, sqlTypes } from '../values.ts';
import type { OperatorContext } from './operator-context.ts';

/** Values by rows; each is read as the type of its column. */
export function makeDataTable(node: KqlNode, context: OperatorContext): Stage {
  const columns = resultColumns(node);
  const scope = context.scope(undefined, context.names);
  const values = elementsOf(childOf(node, 'Values')).map((value, index) => {
    const { type } = columns[index % columns.length] ?? { type: 'string' };
    return convert(translateExpression(value, scope), type).sql;
  });
  if (columns.length === 0 || values.length % columns.length !== 0)
    throw makeNotSupported(`a datatable of ${values.length} values in ${columns.length} columns`);
  const rows: string[] = [];
  for (let start = 0; start < values.length; start += columns.length)
    rows.push(`(${rows.length}, ${values.slice(start, start + columns.length).join(', ')})`);
  const names = columns.map((_, index) => `v${index}`);
  const source =
    rows.length === 0
      ? `(select ${columns.map((column, index) => `${missingSql(column.type)} as v${index}`).join(', ')} where false)`
      : `(values ${rows.join(', ')}) as v(_r, ${names.join(', ')})`;
  return context.pipeline.add(
    columns.map((column, index): Expression => ({ sql: `v${index}`, type: column.type })),
    `from ${source}`,
    columns,
    { order: rows.length === 0 ? '0' : '_r' },
  );
}

/** Both ends are in the range. */
export function makeRange(node: KqlNode, context: OperatorContext): Stage {
  const columns = resultColumns(node);
  const type = columns[0]?.type;
  const scope = context.scope(undefined, context.names);
  const [from, to, step] = ['From', 'To', 'Step'].map((role) =>
    translateExpression(requireChild(node, role), scope),
  );
  if (from === undefined || to === undefined || step === undefined || type === undefined)
    throw makeNotSupported('range without its ends');
  const isTime = type === 'datetime' || type === 'timespan';
  const stepType = isTime ? 'timespan' : type;
  if (!isTime && type !== 'int' && type !== 'long') throw makeNotSupported(`range of ${type}s`);
  if (!isTime && ![from, to, step].every(isNumeric)) throw makeNotSupported(`range of ${from.type}s`);
  const [a, b, s] = [convert(from, type).sql, convert(to, type).sql, convert(step, stepType).sql];
  const source = `(select unnest(generate_series((${a})::bigint, (${b})::bigint, (${s})::bigint)) as v)`;
  const stage = context.pipeline.add([{ sql: `v::${sqlTypes[type]}`, type }], `from ${source}`, columns, {
    order: `row_number() over (order by v * sign((${s})::bigint))`,
  });
  return { ...stage, isSerialized: true };
}

export function makeSchemaRows(input: Stage, pipeline: Pipeline): Stage {
  const rows = input.columns.map(
    ({ name, type }, index) =>
      `(${quoteText(name)}, ${index}, ${quoteText(typeNames[type].clr)}, ${quoteText(type)})`,
  );
  const stage = pipeline.add(
    [
      { sql: 'a', type: 'string' },
      { sql: 'b::bigint', type: 'long' },
      { sql: 'c', type: 'string' },
      { sql: 'd', type: 'string' },
    ],
    `from (values ${rows.join(', ')}) as v(a, b, c, d)`,
    [
      { name: 'ColumnName', type: 'string' },
      { name: 'ColumnOrdinal', type: 'long' },
      { name: 'DataType', type: 'string' },
      { name: 'ColumnType', type: 'string' },
    ],
    { order: 'b' },
  );
  return { ...stage, isSerialized: true };
}
