import { makeNotSupported } from '../../kusto-error.ts';
import { quoteText } from '../../storage/store.ts';
import { missingSql, resultColumns } from '../pipeline.ts';
import { childOf, elementsOf, type KqlNode } from '../syntax.ts';
import type { Expression, Stage } from '../values.ts';
import type { OperatorContext } from './operator-context.ts';
import { readParameters } from './parameters.ts';

interface Branch {
  readonly stage: Stage;
  /** What `withsource` calls it: the table, or its place in the union. */
  readonly source: string;
}

/** Columns pair by name, and by type; what a branch lacks is null. Rows are never made distinct. */
export function union(
  node: KqlNode,
  piped: { readonly stage: Stage; readonly node: KqlNode } | undefined,
  pipe: KqlNode,
  context: OperatorContext,
): Stage {
  const { kind: _kind, withsource, isfuzzy: fuzzy, ...others } = readParameters(node);
  const [other] = Object.keys(others);
  if (other !== undefined) throw makeNotSupported(`union with ${other}`);
  const branches: Branch[] = [];
  const add = (stage: Stage, table: string | undefined) =>
    branches.push({ stage, source: table ?? `union_arg${branches.length}` });
  if (piped !== undefined) add(piped.stage, context.tableOf(piped.node, context.names));
  for (const item of elementsOf(childOf(node, 'Expressions'))) {
    if (item.kind === 'NameReference' && childOf(item, 'Name')?.kind === 'WildcardedName')
      throw makeNotSupported('union of tables by a wildcard');
    const table = context.tableOf(item, context.names);
    const isMissing =
      table !== undefined && !context.names.has(table) && context.findTable(table) === undefined;
    if (isMissing && fuzzy === 'true') continue;
    add(context.tabular(item, context.names), table);
  }
  const columns = resultColumns(pipe);
  const [first, ...rest] = columns;
  const isSourceFirst = withsource !== undefined && first?.name === withsource;
  if (withsource !== undefined && !isSourceFirst) throw makeNotSupported(`withsource=${withsource} here`);
  const data = isSourceFirst ? rest : columns;
  const selects = branches.map(({ stage, source }) => {
    const values = data.map((column, index) => `${branchValue(stage, column, columns)} as c${index}`);
    const label = isSourceFirst ? [`${quoteText(source)} as s`] : [];
    return `select ${[...label, ...values].join(', ') || 'null as _n'} from ${stage.from}`;
  });
  const name = context.pipeline.push(selects.join(' union all '));
  const values: Expression[] = data.map((column, index) => ({ sql: `c${index}`, type: column.type }));
  return context.pipeline.add(
    isSourceFirst ? [{ sql: 's', type: 'string' }, ...values] : values,
    `from ${name}`,
    columns,
  );
}

/** Columns of one name and several types come out apart, as `name_type`. */
function branchValue(
  stage: Stage,
  column: { readonly name: string; readonly type: Expression['type'] },
  all: readonly { readonly name: string }[],
): string {
  const own = stage.columns.find((candidate) => candidate.name === column.name);
  if (own?.type === column.type) return own.physical;
  const suffix = `_${column.type}`;
  const base = column.name.endsWith(suffix) ? column.name.slice(0, -suffix.length) : undefined;
  const isSplit = base !== undefined && !all.some((candidate) => candidate.name === base);
  const split = stage.columns.find((candidate) => candidate.name === base && candidate.type === column.type);
  if (isSplit && split !== undefined) return split.physical;
  if (own !== undefined)
    throw makeNotSupported(`union of '${column.name}' as ${own.type} and as ${column.type}`);
  return missingSql(column.type);
}
