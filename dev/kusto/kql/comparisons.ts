import { KustoError, makeNotSupported } from '../kusto-error.ts';
import { quoteText } from '../storage/store.ts';
import { makeLiteral } from './literals.ts';
import { convert, type Expression, isNumeric, toDynamic, toText } from './values.ts';

/** Makes both sides comparable. @throws KustoError when Kusto would have to guess. */
function unify(left: Expression, right: Expression): [Expression, Expression] {
  if (left.type === 'dynamic' && right.type === 'dynamic' && !left.isNull && !right.isNull)
    throw new KustoError(
      'General_BadRequest',
      'Semantic error: SEM0001: Cannot compare values of types dynamic and dynamic without an explicit cast.',
      { innerCode: 'SEM0001', type: 'Kusto.Data.Exceptions.SemanticException' },
    );
  if (left.type === right.type) return [left, right];
  if (left.isNull) return [convert(left, right.type), right];
  if (right.isNull) return [left, convert(right, left.type)];
  if (left.type === 'dynamic') return [convert(left, right.type), right];
  if (right.type === 'dynamic') return [left, convert(right, left.type)];
  if (isNumeric(left) && isNumeric(right)) return unifyNumbers(left, right);
  // A literal is read as the type of the other side.
  if (right.type === 'string' && right.literal !== undefined)
    return [left, makeLiteral(left.type, right.literal, 0)];
  if (left.type === 'string' && left.literal !== undefined)
    return [makeLiteral(right.type, left.literal, 0), right];
  if (left.type === 'guid' && right.type === 'string') return [left, convert(right, 'guid')];
  if (left.type === 'string' && right.type === 'guid') return [convert(left, 'guid'), right];
  throw makeNotSupported(`comparing ${left.type} with ${right.type}`);
}

function unifyNumbers(left: Expression, right: Expression): [Expression, Expression] {
  const types = [left.type, right.type];
  if (types.includes('decimal')) {
    if (types.includes('real')) throw makeNotSupported('comparing decimal with real; convert one of them');
    return [convert(left, 'decimal'), convert(right, 'decimal')];
  }
  const type = types.includes('real') ? 'real' : 'long';
  return [convert(left, type), convert(right, type)];
}

/** NaN is neither equal to anything nor before or after it, where DuckDB has it as the largest number. */
function withoutNan(sql: string, values: readonly Expression[]): string {
  const checked = values.filter((value) => value.type === 'real' && value.literal === undefined);
  const isNever = values.some((value) => value.type === 'real' && value.literal === 'NaN');
  if (isNever) return 'false';
  if (checked.length === 0) return sql;
  return `(${sql} and not ${checked.map((value) => `isnan(${value.sql})`).join(' and not ')})`;
}

/** Never null while one side has a value: a null equals no value. Null when both are. */
export function compare(left: Expression, right: Expression, isNegated: boolean): Expression {
  const values = unify(left, right);
  const [a, b] = values;
  const equal = withoutNan(`${a.sql} = ${b.sql}`, values);
  const areBothKnown = [a, b].some((value) => value.literal !== undefined || value.type === 'string');
  const total = `coalesce(${equal}, false)`;
  const sql = areBothKnown
    ? total
    : `case when ${a.sql} is not null or ${b.sql} is not null then ${total} end`;
  return { sql: isNegated ? `(not ${sql})` : sql, type: 'bool' };
}

/** Null when a side is. */
export function compareOrder(operator: string, left: Expression, right: Expression): Expression {
  const values = unify(left, right);
  const [a, b] = values;
  if (a.type === 'string' || a.type === 'guid') throw makeNotSupported(`${operator} of ${a.type}s`);
  return { sql: withoutNan(`(${a.sql} ${operator} ${b.sql})`, values), type: 'bool' };
}

/** `list` is a subquery; else the items are values, or one dynamic array. Never null. */
export function translateIn(
  left: Expression,
  items: readonly Expression[],
  isInsensitive: boolean,
  list?: Expression,
): Expression {
  const fold = (sql: string) => (isInsensitive ? `lower(${sql})` : sql);
  const own = left.type === 'dynamic' ? { sql: toText(left), type: 'string' as const } : left;
  if (list !== undefined) {
    const [a, b] = unify(own, { sql: 'v', type: list.type });
    return {
      sql: `coalesce(${fold(a.sql)} in (select ${fold(b.sql)} from (${list.sql}) l(v)), false)`,
      type: 'bool',
    };
  }
  const values = items.flatMap((item): Expression[] =>
    item.type === 'dynamic' ? listedValues(item, own) : [item],
  );
  const dynamics = items.filter(
    (item) => item.type === 'dynamic' && item.literal === undefined && !item.isNull,
  );
  const tests = values.map((value) => {
    const [a, b] = unify(own, value);
    return `coalesce(${fold(a.sql)} = ${fold(b.sql)}, false)`;
  });
  for (const array of dynamics) {
    if (isInsensitive) throw makeNotSupported('in~ with a dynamic that is no literal');
    tests.push(`coalesce(kql_set_has_element(${array.sql}, ${toDynamic(own)}), false)`);
  }
  return { sql: tests.length === 0 ? 'false' : `(${tests.join(' or ')})`, type: 'bool' };
}

/** Items of a literal array; other dynamics are looked into when the query runs. */
function listedValues(item: Expression, own: Expression): Expression[] {
  if (item.isNull || item.literal === undefined) return [];
  const list: unknown = JSON.parse(item.literal);
  if (!Array.isArray(list)) throw makeNotSupported('in with a dynamic that is no array');
  return list.flatMap((entry: unknown): Expression[] => {
    if (entry === null) return [];
    if (typeof entry === 'string') return [{ sql: quoteText(entry), type: 'string', literal: entry }];
    if (typeof entry === 'object' || own.type === 'string')
      throw makeNotSupported(`in with a dynamic of other values than the ${own.type} that is looked for`);
    return [makeLiteral(own.type, String(entry), 0)];
  });
}
