import { type ColumnType, readColumnType } from '../../column-types.ts';
import { makeNotSupported } from '../../kusto-error.ts';
import { translateExpression } from '../expressions.ts';
import { expressionOf, resultColumns } from '../pipeline.ts';
import { childOf, elementsOf, type KqlNode, nameOf, requireChild, textOf } from '../syntax.ts';
import { convert, type Expression, type Stage } from '../values.ts';
import type { OperatorContext } from './operator-context.ts';
import { readParameters } from './parameters.ts';

/** Lists of one row go side by side, the shorter ones filled up with nulls. */
export function expandValues(node: KqlNode, input: Stage, pipe: KqlNode, context: OperatorContext): Stage {
  const { kind, bagexpansion, with_itemindex: indexName, ...others } = readParameters(node);
  const [other] = Object.keys(others);
  if (other !== undefined) throw makeNotSupported(`mv-expand with ${other}`);
  const isPairs = (kind ?? bagexpansion ?? 'bag') === 'array';
  const scope = context.scope(input, context.names);
  const columns = resultColumns(pipe);
  const items = elementsOf(childOf(node, 'Expressions')).map((item) => readItem(item));
  const lists = items.map((item) => {
    const value = translateExpression(item.expression, scope);
    if (value.type !== 'dynamic') throw makeNotSupported(`mv-expand of a ${value.type}`);
    return `${isPairs ? 'kql_expand_pairs' : 'kql_expand_bags'}(${value.sql})`;
  });
  const limitClause = childOf(node, 'RowLimitClause');
  const limit = limitClause && translateExpression(requireChild(limitClause, 'RowLimit'), scope).sql;
  const all = context.pipeline.push(
    `select *, ${lists.map((list, index) => `${list} as l${index}`).join(', ')} from ${input.from}`,
  );
  const longest = `greatest(${lists.map((_, index) => `len(l${index})`).join(', ')})`;
  const size = limit === undefined ? longest : `least(${longest}, ${limit})`;
  const rows = context.pipeline.push(`select *, unnest(range(1, ${size} + 1)) as _i from ${all}`);
  const expanded = new Map(
    items.map((item, index): [string, Expression] => [
      item.name,
      convertItem({ sql: `l${index}[_i]`, type: 'dynamic' }, item.type),
    ]),
  );
  const last = columns.length - 1;
  const stage = context.pipeline.add(
    columns.map((column, index) => {
      if (indexName !== undefined && index === last) return { sql: '(_i - 1)', type: 'long' };
      return expanded.get(column.name) ?? expressionOf(input, column.name);
    }),
    `from ${rows}`,
    columns,
    {
      extent: input.hasExtent ? '_x' : undefined,
      order: input.hasOrder ? 'row_number() over (order by _o, _i)' : undefined,
    },
  );
  return { ...stage, isSerialized: input.isSerialized === true };
}

function readItem(item: KqlNode): { name: string; expression: KqlNode; type: ColumnType } {
  const inner = requireChild(item, 'Expression');
  const isNamed = inner.kind === 'SimpleNamedExpression';
  const expression = isNamed ? requireChild(inner, 'Expression') : inner;
  const clause = childOf(item, 'ToTypeOf');
  const typeName = clause && textOf(requireChild(clause, 'TypeOf')).replace(/^typeof\((.*)\)$/s, '$1');
  const type = typeName === undefined ? 'dynamic' : readColumnType(typeName);
  if (type === undefined || type === 'timespan' || type === 'decimal')
    throw makeNotSupported(`mv-expand to typeof(${typeName})`);
  if (!isNamed && inner.kind !== 'NameReference')
    throw makeNotSupported(`mv-expand of ${textOf(inner).slice(0, 80)} without a name`);
  return { name: nameOf(isNamed ? requireChild(inner, 'Name') : inner), expression, type };
}

/** Unlike `to...()`, numbers come from numbers only, and datetimes and guids from strings. */
function convertItem(value: Expression, type: ColumnType): Expression {
  if (type === 'dynamic' || type === 'string') return convert(value, type);
  const kind = `kql_dynamic_type(${value.sql})`;
  const isWanted =
    type === 'datetime' || type === 'guid'
      ? `${kind} = 'string'`
      : type === 'bool'
        ? `${kind} in ('bool', 'long')`
        : `${kind} in ('long', 'double')`;
  return { sql: `case when ${isWanted} then ${convert(value, type).sql} end`, type };
}
