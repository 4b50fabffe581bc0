import { makeNotSupported } from '../../kusto-error.ts';
import { translateExpression } from '../expressions.ts';
import { childOf, elementsOf, type KqlNode, requireChild, textOf } from '../syntax.ts';
import type { Stage } from '../values.ts';
import type { OperatorContext } from './operator-context.ts';

/** SQL has no functions of other rows in its `where`, so such a condition is a column first. */
export function filter(node: KqlNode, input: Stage, { pipeline, scope, names }: OperatorContext): Stage {
  const condition = translateExpression(requireChild(node, 'Condition'), scope(input, names));
  if (condition.type !== 'bool') throw makeNotSupported(`where with a ${condition.type}`);
  if (!condition.sql.includes(' over (')) return pipeline.keep(input, `where ${condition.sql}`);
  const tested = pipeline.push(`select *, ${condition.sql} as _w from ${input.from}`);
  return { ...input, from: pipeline.push(`select * exclude (_w) from ${tested} where _w`) };
}

export function sort(node: KqlNode, input: Stage, context: OperatorContext): Stage {
  return sortBy(elementsOf(childOf(node, 'Expressions')), input, context);
}

export function top(node: KqlNode, input: Stage, context: OperatorContext): Stage {
  const sorted = sortBy([requireChild(node, 'ByExpression')], input, context);
  return context.pipeline.keep(sorted, `order by _o limit ${countOf(node, context)}`);
}

export function take(node: KqlNode, input: Stage, context: OperatorContext): Stage {
  return context.pipeline.keep(
    input,
    `${input.hasOrder ? 'order by _o ' : ''}limit ${countOf(node, context)}`,
  );
}

/** Number of rows of take and top. */
function countOf(node: KqlNode, { scope, names }: OperatorContext): string {
  const value = translateExpression(requireChild(node, 'Expression'), scope(undefined, names));
  if (value.type !== 'long' && value.type !== 'int')
    throw makeNotSupported(`a row count of type ${value.type}`);
  return `(${value.sql})`;
}

function sortBy(items: readonly KqlNode[], input: Stage, { pipeline, scope, names }: OperatorContext): Stage {
  const columns = scope(input, names);
  const keys = items.map((item) => {
    const isOrdered = item.kind === 'OrderedExpression';
    const value = translateExpression(isOrdered ? requireChild(item, 'Expression') : item, columns);
    if (value.type === 'dynamic' || value.type === 'guid')
      throw makeNotSupported(`sorting by a ${value.type}; convert it first`);
    const ordering = isOrdered ? textOf(requireChild(item, 'Ordering')) : '';
    const direction = ordering.startsWith('asc') ? 'asc' : 'desc';
    // Nulls are the smallest unless the query says otherwise.
    const isFirst =
      ordering.endsWith('nullsfirst') || (!ordering.endsWith('nullslast') && direction === 'asc');
    return `${value.sql} ${direction} nulls ${isFirst ? 'first' : 'last'}`;
  });
  return pipeline.order(input, `order by ${keys.join(', ')}`);
}
