import { makeNotSupported } from '../../kusto-error.ts';
import { missingSql, resultColumns } from '../pipeline.ts';
import { childOf, elementsOf, type KqlNode, nameOf, requireChild, textOf } from '../syntax.ts';
import { convert, type Expression, isNumeric, type Stage, type StageColumn } from '../values.ts';
import type { OperatorContext } from './operator-context.ts';
import { readParameters } from './parameters.ts';

/** SQL join of each kind, and the sides whose columns come out. */
const kinds: Readonly<Record<string, { readonly sql: string; readonly sides: readonly ('l' | 'r')[] }>> = {
  innerunique: { sql: 'join', sides: ['l', 'r'] },
  inner: { sql: 'join', sides: ['l', 'r'] },
  leftouter: { sql: 'left join', sides: ['l', 'r'] },
  rightouter: { sql: 'right join', sides: ['l', 'r'] },
  fullouter: { sql: 'full join', sides: ['l', 'r'] },
  leftsemi: { sql: 'semi join', sides: ['l'] },
  rightsemi: { sql: 'semi join', sides: ['r'] },
  leftanti: { sql: 'anti join', sides: ['l'] },
  anti: { sql: 'anti join', sides: ['l'] },
  leftantisemi: { sql: 'anti join', sides: ['l'] },
  rightanti: { sql: 'anti join', sides: ['r'] },
  rightantisemi: { sql: 'anti join', sides: ['r'] },
};

interface Key {
  readonly left: StageColumn;
  readonly right: StageColumn;
}

/** `join` of all kinds, and `lookup`, which is an outer join without the right side's keys. */
export function join(node: KqlNode, left: Stage, pipe: KqlNode, context: OperatorContext): Stage {
  const isLookup = node.kind === 'LookupOperator';
  const { kind: written, ...others } = readParameters(node);
  const [other] = Object.keys(others);
  if (other !== undefined) throw makeNotSupported(`join with ${other}`);
  const kind = (written ?? (isLookup ? 'leftouter' : 'innerunique')).toLowerCase();
  const how = kinds[kind];
  if (how === undefined || (isLookup && kind !== 'leftouter' && kind !== 'inner'))
    throw makeNotSupported(`${isLookup ? 'lookup' : 'join'} of kind ${kind}`);
  const right = context.tabular(requireChild(node, 'Expression'), context.names);
  const keys = readKeys(requireChild(node, isLookup ? 'LookupClause' : 'ConditionClause'), left, right);
  const unique = kind === 'innerunique' ? keepFirstOfKeys(left, keys, context) : left.from;
  const columns = resultColumns(pipe);
  const values = valuesOf(how.sides, left, isLookup ? withoutKeys(right, keys) : right);
  const condition = keys.map((key) => compareKeys(key)).join(' and ');
  // Semi and anti joins keep rows of their first side.
  const isMirrored = how.sides.length === 1 && how.sides[0] === 'r';
  const from = isMirrored
    ? `from ${right.from} r ${how.sql} ${unique} l on ${condition}`
    : `from ${unique} l ${how.sql} ${right.from} r on ${condition}`;
  return context.pipeline.add(values, from, columns);
}

/** One row of the left side for each key; which one is not defined. */
function keepFirstOfKeys(left: Stage, keys: readonly Key[], context: OperatorContext): string {
  const partition = keys.map((key) => key.left.physical).join(', ');
  return context.pipeline.push(
    `select * from ${left.from} qualify row_number() over (partition by ${partition}${left.hasOrder ? ' order by _o' : ''}) = 1`,
  );
}

/** Null is equal to null. */
function compareKeys({ left, right }: Key): string {
  const [a, b]: [Expression, Expression] = [
    { sql: `l.${left.physical}`, type: left.type },
    { sql: `r.${right.physical}`, type: right.type },
  ];
  const refused = () =>
    makeNotSupported(`join of '${left.name}' (${left.type}) with '${right.name}' (${right.type})`);
  if (left.type === 'dynamic' || right.type === 'dynamic') throw refused();
  if (left.type === right.type) return `${a.sql} is not distinct from ${b.sql}`;
  const isInteger = (value: Expression) =>
    isNumeric(value) && value.type !== 'real' && value.type !== 'decimal';
  if (!isInteger(a) || !isInteger(b)) throw refused();
  return `${convert(a, 'long').sql} is not distinct from ${convert(b, 'long').sql}`;
}

function readKeys(clause: KqlNode, left: Stage, right: Stage): Key[] {
  if (clause.kind !== 'JoinOnClause') throw makeNotSupported(`join ${textOf(clause.children[0] ?? clause)}`);
  return elementsOf(childOf(clause, 'Expressions')).flatMap((item) => readCondition(item, left, right));
}

function readCondition(item: KqlNode, left: Stage, right: Stage): Key[] {
  const columnOf = (stage: Stage, name: string): StageColumn => {
    const column = stage.columns.find((candidate) => candidate.name === name);
    if (column === undefined) throw makeNotSupported(`the join key '${name}'`);
    return column;
  };
  if (item.kind === 'ParenthesizedExpression')
    return readCondition(requireChild(item, 'Expression'), left, right);
  if (item.kind === 'AndExpression')
    return ['Left', 'Right'].flatMap((role) => readCondition(requireChild(item, role), left, right));
  if (item.kind === 'NameReference') {
    const name = nameOf(item);
    return [{ left: columnOf(left, name), right: columnOf(right, name) }];
  }
  if (item.kind === 'EqualExpression') {
    const sides = new Map(
      ['Left', 'Right'].map((role) => {
        const path = requireChild(item, role);
        if (path.kind !== 'PathExpression') throw makeNotSupported(`the join condition ${textOf(item)}`);
        return [textOf(requireChild(path, 'Expression')), nameOf(requireChild(path, 'Selector'))];
      }),
    );
    const [leftName, rightName] = [sides.get('$left'), sides.get('$right')];
    if (leftName !== undefined && rightName !== undefined)
      return [{ left: columnOf(left, leftName), right: columnOf(right, rightName) }];
  }
  throw makeNotSupported(`the join condition ${textOf(item).slice(0, 80)}`);
}

function withoutKeys(right: Stage, keys: readonly Key[]): Stage {
  const names = new Set(keys.map((key) => key.right.name));
  return { ...right, columns: right.columns.filter((column) => !names.has(column.name)) };
}

/** A string that has no row on its side is empty, not null. */
function valuesOf(sides: readonly ('l' | 'r')[], left: Stage, right: Stage): Expression[] {
  return sides.flatMap((side) =>
    (side === 'l' ? left : right).columns.map(({ physical, type }): Expression => {
      const sql = `${side}.${physical}`;
      return { sql: type === 'string' ? `coalesce(${sql}, ${missingSql(type)})` : sql, type };
    }),
  );
}
