import type { ColumnType } from '../column-types.ts';
import { readColumnType } from '../column-types.ts';
import { textConverters } from '../ingest/convert-value.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { quoteText } from '../storage/store.ts';
import { parseDatetime, parseTimespan, ticksFromUnixMs } from '../ticks.ts';
import { isAggregate, translateAggregate } from './aggregates.ts';
import { translateFunction } from './functions.ts';
import { childOf, elementsOf, type KqlNode, nameOf, readStringLiteral, textOf } from './syntax.ts';
import { castDynamic, type Expression, type Scope, sqlTypes, toText } from './values.ts';

const comparisons: Readonly<Record<string, string>> = {
  GreaterThanExpression: '>',
  GreaterThanOrEqualExpression: '>=',
  LessThanExpression: '<',
  LessThanOrEqualExpression: '<=',
};

const stringOperators: Readonly<Record<string, (left: string, right: string) => string>> = {
  ContainsExpression: (a, b) => `contains(lower(${a}), lower(${b}))`,
  ContainsCsExpression: (a, b) => `contains(${a}, ${b})`,
  StartsWithExpression: (a, b) => `starts_with(lower(${a}), lower(${b}))`,
  StartsWithCsExpression: (a, b) => `starts_with(${a}, ${b})`,
  EndsWithExpression: (a, b) => `ends_with(lower(${a}), lower(${b}))`,
  EndsWithCsExpression: (a, b) => `ends_with(${a}, ${b})`,
  EqualTildeExpression: (a, b) => `(lower(${a}) = lower(${b}))`,
};

const numericTypes: readonly ColumnType[] = ['int', 'long', 'real', 'decimal'];

/** Translates a scalar expression. @throws KustoError naming what can't be translated. */
export function translateExpression(node: KqlNode, scope: Scope): Expression {
  switch (node.kind) {
    case 'NameReference':
      return resolveName(nameOf(node), scope);
    case 'ParenthesizedExpression':
      return translateExpression(requireChild(node, 'Expression'), scope);
    case 'StringLiteralExpression': {
      const literal = readStringLiteral(textOf(node));
      return { sql: quoteText(literal), type: 'string', literal };
    }
    case 'CompoundStringLiteralExpression': {
      const literal = node.children
        .flatMap((child) => collectTokens(child))
        .map(readStringLiteral)
        .join('');
      return { sql: quoteText(literal), type: 'string', literal };
    }
    case 'UnaryMinusExpression':
    case 'UnaryPlusExpression': {
      const value = translateExpression(requireChild(node, 'Expression', 1), scope);
      return node.kind === 'UnaryPlusExpression' ? value : { sql: `(-${value.sql})`, type: value.type };
    }
    case 'AndExpression':
    case 'OrExpression': {
      const [left, right] = operands(node, scope);
      return {
        sql: `(${left.sql} ${node.kind === 'AndExpression' ? 'and' : 'or'} ${right.sql})`,
        type: 'bool',
      };
    }
    case 'EqualExpression':
    case 'NotEqualExpression':
      return compareEqual(node, scope);
    case 'BetweenExpression':
    case 'NotBetweenExpression':
      return translateBetween(node, scope);
    case 'InExpression':
    case 'NotInExpression':
    case 'InCsExpression':
    case 'NotInCsExpression':
      return translateIn(node, scope);
    case 'HasExpression':
    case 'NotHasExpression':
    case 'HasCsExpression':
    case 'NotHasCsExpression':
      return translateHas(node, scope);
    case 'PathExpression':
    case 'ElementExpression':
      return translatePath(node, scope);
    case 'FunctionCallExpression':
      return translateCall(node, scope);
    case 'DynamicExpression': {
      const text = textOf(node)
        .replace(/^dynamic\s*\(/, '')
        .replace(/\)$/, '')
        .trim();
      return makeDynamicLiteral(text, textOf(node));
    }
    default:
  }
  const literal = readLiteral(node, scope);
  if (literal !== undefined) return literal;
  const comparison = comparisons[node.kind];
  if (comparison !== undefined) {
    const [left, right] = unify(...operands(node, scope), node);
    // A comparison with null is false.
    return { sql: `coalesce(${left.sql} ${comparison} ${right.sql}, false)`, type: 'bool' };
  }
  const negated = node.kind.startsWith('Not');
  const stringOperator =
    stringOperators[negated ? node.kind.slice(3) : node.kind] ??
    (node.kind === 'BangTildeExpression' ? stringOperators['EqualTildeExpression'] : undefined);
  if (stringOperator !== undefined) {
    const [left, right] = operands(node, scope);
    const sql = `coalesce(${stringOperator(toText(left), toText(right))}, false)`;
    return { sql: negated || node.kind === 'BangTildeExpression' ? `(not ${sql})` : sql, type: 'bool' };
  }
  const arithmetic = /^(Add|Subtract|Multiply|Divide|Modulo)Expression$/.exec(node.kind)?.[1];
  if (arithmetic !== undefined) return translateArithmetic(arithmetic, node, scope);
  throw makeNotSupported(`${node.kind.replace(/Expression$/, '')} (${textOf(node).slice(0, 80)})`);
}

function requireChild(node: KqlNode, role: string, position = 0): KqlNode {
  const child = childOf(node, role) ?? node.children[position];
  if (child === undefined) throw makeNotSupported(`${node.kind} without ${role}`);
  return child;
}

function collectTokens(node: KqlNode): string[] {
  return node.text !== '' ? [node.text] : node.children.flatMap(collectTokens);
}

function operands(node: KqlNode, scope: Scope): [Expression, Expression] {
  return [
    translateExpression(requireChild(node, 'Left'), scope),
    translateExpression(requireChild(node, 'Right', 2), scope),
  ];
}

function resolveName(name: string, scope: Scope): Expression {
  const found = scope.columns.get(name) ?? scope.values.get(name);
  if (found === undefined) throw makeNotSupported(`the name '${name}' here`);
  return found;
}

function readLiteral(node: KqlNode, scope: Scope): Expression | undefined {
  const match = /^(Long|Int|Real|Decimal|Boolean|DateTime|Timespan|Guid|Null)LiteralExpression$/.exec(
    node.kind,
  );
  if (match === null) return undefined;
  const text = textOf(node);
  const inner = (/^[a-z]+\s*\((.*)\)$/is.exec(text)?.[1] ?? text).trim();
  const body = /^(['"]).*\1$/s.test(inner) ? readStringLiteral(inner) : inner;
  const isNull = body.toLowerCase() === 'null';
  const typed = (type: ColumnType, sql: string): Expression => ({
    sql: isNull ? `null::${sqlTypes[type]}` : sql,
    type,
    literal: body,
    isNull,
  });
  switch (match[1]) {
    case 'Long':
      return typed('long', `${body}::bigint`);
    case 'Int':
      return typed('int', `${body}::integer`);
    case 'Real':
      return typed('real', `${quoteText(body)}::double`);
    case 'Decimal':
      return typed('decimal', `${body}::decimal(38,17)`);
    case 'Boolean':
      return typed('bool', textConverters.bool(body) ? 'true' : 'false');
    case 'Guid':
      return typed('guid', quoteText(String(textConverters.guid(body) ?? '')));
    case 'Timespan': {
      const ticks = parseTimespan(body);
      if (ticks === null && !isNull) throw makeNotSupported(`the timespan '${body}'`);
      return typed('timespan', `${ticks}::bigint`);
    }
    case 'DateTime': {
      const ticks = /^now$/i.test(body) ? ticksFromUnixMs(scope.nowMs) : parseDatetime(body);
      if (ticks === null && !isNull) throw makeNotSupported(`the datetime '${body}'`);
      return typed('datetime', `${ticks}::bigint`);
    }
    default:
      return typed('dynamic', 'null::varchar');
  }
}

function makeDynamicLiteral(text: string, source: string): Expression {
  if (text.toLowerCase() === 'null') return { sql: 'null::varchar', type: 'dynamic', isNull: true };
  try {
    JSON.parse(text);
  } catch {
    throw makeNotSupported(`the literal ${source.slice(0, 80)} (only JSON)`);
  }
  return { sql: quoteText(text), type: 'dynamic', literal: text };
}

/** Makes both sides comparable. @throws KustoError when Kusto would have to guess. */
function unify(left: Expression, right: Expression, node: KqlNode): [Expression, Expression] {
  if (left.type === right.type) return [left, right];
  if (left.isNull || right.isNull) return [left, right];
  const isNumeric = (value: Expression) => numericTypes.includes(value.type);
  if (isNumeric(left) && isNumeric(right)) return [left, right];
  if (left.type === 'dynamic' && right.type !== 'dynamic')
    return [{ sql: castDynamic(left.sql, right.type), type: right.type }, right];
  if (right.type === 'dynamic') return [left, { sql: castDynamic(right.sql, left.type), type: left.type }];
  if (left.type === 'guid' && right.type === 'string')
    return [left, { ...right, sql: `lower(${right.sql})` }];
  if (left.type === 'string' && right.type === 'guid') return [{ ...left, sql: `lower(${left.sql})` }, right];
  throw makeNotSupported(`comparing ${left.type} with ${right.type} (${textOf(node).slice(0, 80)})`);
}

function compareEqual(node: KqlNode, scope: Scope): Expression {
  const [left, right] = unify(...operands(node, scope), node);
  const sql = `coalesce(${left.sql} = ${right.sql}, false)`;
  return { sql: node.kind === 'EqualExpression' ? sql : `(not ${sql})`, type: 'bool' };
}

function translateBetween(node: KqlNode, scope: Scope): Expression {
  const value = translateExpression(requireChild(node, 'Left'), scope);
  const couple = requireChild(node, 'Right', 2);
  const first = translateExpression(requireChild(couple, 'First', 1), scope);
  let second = translateExpression(requireChild(couple, 'Second', 3), scope);
  // `between (start .. 7d)` counts from the start.
  if (first.type === 'datetime' && second.type === 'timespan')
    second = { sql: `(${first.sql} + ${second.sql})`, type: 'datetime' };
  const [a, low] = unify(value, first, node);
  const [b, high] = unify(value, second, node);
  const sql = `coalesce(${a.sql} >= ${low.sql} and ${b.sql} <= ${high.sql}, false)`;
  return { sql: node.kind === 'BetweenExpression' ? sql : `(not ${sql})`, type: 'bool' };
}

function translateIn(node: KqlNode, scope: Scope): Expression {
  const left = translateExpression(requireChild(node, 'Left'), scope);
  const items = elementsOf(childOf(requireChild(node, 'Right', 2), 'Expressions')).map((item) =>
    translateExpression(item, scope),
  );
  const values = items.flatMap((item): Expression[] => {
    if (item.type !== 'dynamic') return [item];
    const list: unknown = item.literal === undefined ? undefined : JSON.parse(item.literal);
    if (!Array.isArray(list)) throw makeNotSupported('in with a dynamic that is no literal array');
    return list.map((entry: unknown) =>
      typeof entry === 'string'
        ? { sql: quoteText(entry), type: 'string' }
        : { sql: String(entry), type: 'long' },
    );
  });
  const isInsensitive = textOf(childOf(node, 'Operator') ?? node.children[1] ?? node).endsWith('~');
  const fold = (sql: string) => (isInsensitive ? `lower(${sql})` : sql);
  const listed = values.map((value) => fold(unify(left, value, node)[1].sql)).join(', ');
  const own = left.type === 'dynamic' ? toText(left) : left.sql;
  const sql = values.length === 0 ? 'false' : `coalesce(${fold(own)} in (${listed}), false)`;
  return { sql: node.kind.startsWith('Not') ? `(not ${sql})` : sql, type: 'bool' };
}

/** `has` finds whole terms: runs of letters and digits, so `_` separates. */
function translateHas(node: KqlNode, scope: Scope): Expression {
  const [left, right] = operands(node, scope);
  if (right.literal === undefined || right.type !== 'string')
    throw makeNotSupported('has with a term that is not a string literal');
  if (right.literal === '') throw makeNotSupported('has with an empty term');
  const pattern = right.literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const before = /^[\p{L}\p{N}]/u.test(right.literal) ? '(^|[^\\p{L}\\p{N}])' : '';
  const after = /[\p{L}\p{N}]$/u.test(right.literal) ? '($|[^\\p{L}\\p{N}])' : '';
  const flags = node.kind.includes('Cs') ? 'c' : 'i';
  const sql = `coalesce(regexp_matches(${toText(left)}, ${quoteText(before + pattern + after)}, '${flags}'), false)`;
  return { sql: node.kind.startsWith('Not') ? `(not ${sql})` : sql, type: 'bool' };
}

function translatePath(node: KqlNode, scope: Scope): Expression {
  const base = translateExpression(requireChild(node, 'Expression'), scope);
  if (base.type !== 'dynamic') throw makeNotSupported(`a path into a ${base.type}`);
  const selector = requireChild(node, 'Selector', 2);
  if (selector.kind !== 'BracketedExpression')
    return {
      sql: `json_extract(${base.sql}, ${quoteText(`$."${nameOf(selector)}"`)})::varchar`,
      type: 'dynamic',
    };
  const index = translateExpression(requireChild(selector, 'Expression', 1), scope);
  if (index.literal === undefined)
    throw makeNotSupported('a dynamic path with an index that is not a literal');
  const step = index.type === 'string' ? `."${index.literal}"` : `[${Number(index.literal)}]`;
  return { sql: `json_extract(${base.sql}, ${quoteText(`$${step}`)})::varchar`, type: 'dynamic' };
}

function translateArithmetic(operator: string, node: KqlNode, scope: Scope): Expression {
  const [left, right] = operands(node, scope);
  const type = readColumnType(node.type);
  if (type === undefined) throw makeNotSupported(`${operator} of ${left.type} and ${right.type}`);
  const dynamicSide = [left, right].find(
    (side) => side.type === 'dynamic' || side.type === 'string' || side.type === 'bool',
  );
  if (dynamicSide !== undefined)
    throw makeNotSupported(`${operator} with a ${dynamicSide.type}; convert it first`);
  const isTime = (value: Expression) => value.type === 'datetime' || value.type === 'timespan';
  const [a, b] = [left.sql, right.sql];
  const integers = !numericTypes.slice(2).includes(left.type) && !numericTypes.slice(2).includes(right.type);
  switch (operator) {
    case 'Add':
      return { sql: `(${a} + ${b})`, type };
    case 'Subtract':
      return { sql: `(${a} - ${b})`, type };
    case 'Multiply':
      if (isTime(left) || isTime(right)) throw makeNotSupported('multiplying timespans');
      return { sql: `(${a} * ${b})`, type };
    case 'Divide':
      if (isTime(left) && isTime(right)) return { sql: `(${a} / nullif(${b}, 0)::double)`, type };
      if (isTime(left) || isTime(right)) throw makeNotSupported('dividing timespans by numbers');
      // Integers divide to integers, cut towards zero; by zero gives null.
      return integers
        ? { sql: `(${a} // nullif(${b}, 0))`, type }
        : { sql: `(${a} / ${b}::double)::${sqlTypes[type]}`, type };
    default:
      if (isTime(left) || isTime(right) || !integers)
        throw makeNotSupported('% of anything but int and long');
      // The remainder is never negative.
      return { sql: `(((${a} % nullif(${b}, 0)) + abs(${b})) % nullif(abs(${b}), 0))`, type };
  }
}

function translateCall(node: KqlNode, scope: Scope): Expression {
  const name = nameOf(requireChild(node, 'Name')).toLowerCase();
  const list = requireChild(node, 'ArgumentList', 1);
  const args = elementsOf(childOf(list, 'Expressions'));
  const named = args.find((arg) => arg.kind === 'SimpleNamedExpression');
  if (named !== undefined) throw makeNotSupported(`named arguments of ${name}()`);
  if (scope.isAggregate === true && isAggregate(name)) {
    const { isAggregate: _isAggregate, ...inner } = scope;
    return translateAggregate(
      name,
      args.map((arg) => translateExpression(arg, inner)),
    );
  }
  return translateFunction(
    name,
    args.map((arg) => translateExpression(arg, scope)),
    { scope, node, resultType: readColumnType(node.type) },
  );
}
