import { makeNotSupported } from '../../kusto-error.ts';
import { percentile, severalColumns } from '../aggregates.ts';
import { translateExpression } from '../expressions.ts';
import { asExpression, resultColumns } from '../pipeline.ts';
import { childOf, elementsOf, type KqlNode, nameOf, requireChild } from '../syntax.ts';
import type { Expression, Scope, Stage } from '../values.ts';
import type { OperatorContext } from './operator-context.ts';

export function summarize(node: KqlNode, input: Stage, pipe: KqlNode, context: OperatorContext): Stage {
  const columns = resultColumns(pipe);
  const scope = context.scope(input, context.names);
  const by = childOf(node, 'ByClause');
  const keyItems = by === undefined ? [] : elementsOf(childOf(by, 'Expressions'));
  const keys = keyItems.map((item) => translateExpression(expressionOf(item), scope));
  if (keys.some((key) => key.type === 'dynamic'))
    throw makeNotSupported('a group key that is dynamic; convert it first');
  const items = elementsOf(childOf(node, 'Aggregates'));
  const clause = `from ${input.from}`;
  if (items.length === 0) return context.pipeline.add(keys, clause, columns, { distinct: true });
  const keyNames = new Set(keyItems.filter((item) => item.kind === 'NameReference').map(nameOf));
  const values = items.flatMap((item) => aggregatesOf(item, scope, input, keyNames));
  const grouping = keys.length > 0 ? ` group by ${keys.map((_, index) => index + 1).join(', ')}` : '';
  return context.pipeline.add([...keys, ...values], `${clause}${grouping}`, columns);
}

function expressionOf(item: KqlNode): KqlNode {
  if (item.kind === 'CompoundNamedExpression') return requireChild(item, 'Expression');
  return item.kind === 'SimpleNamedExpression' ? requireChild(item, 'Expression') : item;
}

function aggregatesOf(
  item: KqlNode,
  scope: Scope,
  input: Stage,
  keyNames: ReadonlySet<string>,
): readonly Expression[] {
  const node = expressionOf(item);
  const name = node.kind === 'FunctionCallExpression' ? nameOf(requireChild(node, 'Name')).toLowerCase() : '';
  const args =
    node.kind === 'FunctionCallExpression'
      ? elementsOf(childOf(requireChild(node, 'ArgumentList'), 'Expressions'))
      : [];
  const hasStar = args.some((arg) => arg.kind === 'StarExpression');
  const isSeveral = severalColumns.includes(name) && (hasStar || args.length > 1 || name.startsWith('arg_'));
  if (!isSeveral || scope.names.get(name)?.kind === 'function')
    return [translateExpression(node, { ...scope, isAggregate: true })];
  const [first, ...rest] = args;
  if (name === 'percentiles') {
    if (first === undefined) throw makeNotSupported('percentiles() without its arguments');
    const value = translateExpression(first, scope);
    return rest.map((rank) => percentile(value, translateExpression(rank, scope)));
  }
  const isExtreme = name === 'arg_max' || name === 'arg_min';
  if (isExtreme && first === undefined) throw makeNotSupported(`${name}() without its arguments`);
  const key = isExtreme && first !== undefined ? translateExpression(first, scope) : undefined;
  const taken = new Set([
    ...keyNames,
    ...(isExtreme && first?.kind === 'NameReference' ? [nameOf(first)] : []),
  ]);
  const others = (isExtreme ? rest : args).flatMap((arg) =>
    arg.kind === 'StarExpression'
      ? input.columns.filter((column) => !taken.has(column.name)).map(asExpression)
      : [translateExpression(arg, scope)],
  );
  return rowsOf(name, key, others);
}

/** Values of one row: the row of an extreme key, or any row. */
function rowsOf(
  name: string,
  key: Expression | undefined,
  others: readonly Expression[],
): readonly Expression[] {
  const values = key === undefined ? others : [key, ...others];
  const row = `struct_pack(${values.map((value, index) => `f${index} := ${value.sql}`).join(', ')})`;
  if (key !== undefined && ['dynamic', 'bool', 'guid', 'string'].includes(key.type))
    throw makeNotSupported(`${name}() by a ${key.type}`);
  // Rows whose key is null count only when there are no others.
  const chosen =
    key === undefined ? `any_value(${row})` : `coalesce(${name}(${row}, ${key.sql}), any_value(${row}))`;
  return values.map((value, index) => {
    const sql = `(${chosen}).f${index}`;
    return { sql: value.type === 'string' ? `coalesce(${sql}, '')` : sql, type: value.type };
  });
}
