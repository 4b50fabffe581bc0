import { makeNotSupported } from '../../kusto-error.ts';
import { translateExpression } from '../expressions.ts';
import { asExpression, expressionOf, resultColumns } from '../pipeline.ts';
import { childOf, elementsOf, type KqlNode, nameOf, requireChild, textOf } from '../syntax.ts';
import type { Expression, Scope, Stage } from '../values.ts';
import type { OperatorContext } from './operator-context.ts';

/** Some of the columns, in the order that the parser gives. */
export function pickColumns(input: Stage, pipe: KqlNode, context: OperatorContext): Stage {
  const columns = resultColumns(pipe);
  const values = columns.map((column) => expressionOf(input, column.name));
  return context.pipeline.carry(input, values, columns);
}

export function project(node: KqlNode, input: Stage, pipe: KqlNode, context: OperatorContext): Stage {
  const scope = context.scope(input, context.names);
  const values = elementsOf(childOf(node, 'Expressions')).map((item) => valueOf(item, scope));
  return context.pipeline.carry(input, values, resultColumns(pipe));
}

/** New columns at the end, or in the place of those whose name they have. All see the columns before. */
export function extend(node: KqlNode, input: Stage, pipe: KqlNode, context: OperatorContext): Stage {
  const columns = resultColumns(pipe);
  const scope = context.scope(input, context.names);
  const items = elementsOf(childOf(node, 'Expressions')).map((item) => ({
    item,
    written: namedAs(item),
    value: valueOf(item, scope),
  }));
  const known = new Set([
    ...input.columns.map((column) => column.name),
    ...items.map(({ written }) => written),
  ]);
  const automatic = columns.filter((column) => !known.has(column.name)).map((column) => column.name);
  const assigned = new Map<string, Expression>();
  for (const { item, written, value } of items) {
    const name = written ?? replacedBy(item, input) ?? automatic.shift();
    if (name === undefined || assigned.has(name))
      throw makeNotSupported(`extend ${textOf(item).slice(0, 80)} without a name of its own`);
    assigned.set(name, value);
  }
  const values = columns.map((column) => assigned.get(column.name) ?? expressionOf(input, column.name));
  return context.pipeline.carry(input, values, columns);
}

export function distinct(node: KqlNode, input: Stage, pipe: KqlNode, context: OperatorContext): Stage {
  const items = elementsOf(childOf(node, 'Expressions'));
  const scope = context.scope(input, context.names);
  const isAll = items.some((item) => item.kind === 'StarExpression');
  const keys = isAll ? input.columns.map(asExpression) : items.map((item) => valueOf(item, scope));
  if (keys.some((key) => key.type === 'dynamic'))
    throw makeNotSupported('distinct of a dynamic; convert it first');
  return context.pipeline.add(keys, `from ${input.from}`, resultColumns(pipe), { distinct: true });
}

/** Value of `name = expression` or of a bare expression. */
export function valueOf(item: KqlNode, scope: Scope): Expression {
  if (item.kind === 'CompoundNamedExpression') throw makeNotSupported('several names for one expression');
  const node = item.kind === 'SimpleNamedExpression' ? requireChild(item, 'Expression') : item;
  return translateExpression(node, scope);
}

function namedAs(item: KqlNode): string | undefined {
  if (item.kind === 'SimpleNamedExpression') return nameOf(requireChild(item, 'Name'));
  return item.kind === 'NameReference' ? nameOf(item) : undefined;
}

const namesLikeArgument =
  /^(?:tostring|toint|tolong|todouble|toreal|tobool|todatetime|totimespan|toguid|todecimal|tohex|bin|bin_at|floor|ceiling|round|startofday|abs|sqrt|log|log10|log2|exp|exp2)$/;

/** `extend tostring(a)` has the name of its argument, and so replaces the column. */
function replacedBy(item: KqlNode, input: Stage): string | undefined {
  if (item.kind !== 'FunctionCallExpression') return undefined;
  const [argument] = elementsOf(childOf(requireChild(item, 'ArgumentList'), 'Expressions'));
  if (argument?.kind !== 'NameReference') return undefined;
  const name = nameOf(argument);
  const isOfColumn = input.columns.some((column) => column.name === name);
  return isOfColumn && namesLikeArgument.test(nameOf(requireChild(item, 'Name'))) ? name : undefined;
}
