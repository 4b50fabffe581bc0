import { readColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { quoteText } from '../storage/store.ts';
import { isAggregate, translateAggregate } from './aggregates.ts';
import { translateArithmetic } from './arithmetic.ts';
import { compare, compareOrder, translateIn } from './comparisons.ts';
import { coerce } from './functions/function-entry.ts';
import { translateFunction } from './functions/index.ts';
import { hasTermSql } from './functions/strings.ts';
import { makeLiteral, readLiteral } from './literals.ts';
import { requireRegex } from './regular-expressions.ts';
import { bindArguments } from './script-scope.ts';
import { childOf, elementsOf, type KqlNode, nameOf, requireChild, textOf } from './syntax.ts';
import { convert, type Expression, type Scope, toText } from './values.ts';

const stringOperators: Readonly<Record<string, (left: string, right: string) => string>> = {
  ContainsExpression: (a, b) => `contains(lower(${a}), lower(${b}))`,
  ContainsCsExpression: (a, b) => `contains(${a}, ${b})`,
  StartsWithExpression: (a, b) => `starts_with(lower(${a}), lower(${b}))`,
  StartsWithCsExpression: (a, b) => `starts_with(${a}, ${b})`,
  EndsWithExpression: (a, b) => `ends_with(lower(${a}), lower(${b}))`,
  EndsWithCsExpression: (a, b) => `ends_with(${a}, ${b})`,
  EqualTildeExpression: (a, b) => `(lower(${a}) = lower(${b}))`,
};

type Translator = (node: KqlNode, scope: Scope) => Expression;

const translators: Readonly<Record<string, Translator>> = {
  NameReference: (node, scope) => resolveName(nameOf(node), scope),
  ParenthesizedExpression: (node, scope) => translateExpression(requireChild(node, 'Expression'), scope),
  UnaryPlusExpression: (node, scope) => translateExpression(requireChild(node, 'Expression'), scope),
  UnaryMinusExpression: translateMinus,
  AndExpression: (node, scope) => translateLogic(node, scope, 'and'),
  OrExpression: (node, scope) => translateLogic(node, scope, 'or'),
  EqualExpression: (node, scope) => compare(...operands(node, scope), false),
  NotEqualExpression: (node, scope) => compare(...operands(node, scope), true),
  BangTildeExpression: (node, scope) => negate(translateStringOperator('EqualTildeExpression', node, scope)),
  LessThanExpression: (node, scope) => compareOrder('<', ...operands(node, scope)),
  LessThanOrEqualExpression: (node, scope) => compareOrder('<=', ...operands(node, scope)),
  GreaterThanExpression: (node, scope) => compareOrder('>', ...operands(node, scope)),
  GreaterThanOrEqualExpression: (node, scope) => compareOrder('>=', ...operands(node, scope)),
  BetweenExpression: translateBetween,
  NotBetweenExpression: (node, scope) => negate(translateBetween(node, scope)),
  InExpression: (node, scope) => translateListed(node, scope, false),
  InCsExpression: (node, scope) => translateListed(node, scope, true),
  NotInExpression: (node, scope) => negate(translateListed(node, scope, false)),
  NotInCsExpression: (node, scope) => negate(translateListed(node, scope, true)),
  HasAnyExpression: (node, scope) => translateHasList(node, scope, 'or'),
  HasAllExpression: (node, scope) => translateHasList(node, scope, 'and'),
  MatchesRegexExpression: (node, scope) => {
    const [left, right] = operands(node, scope);
    const { pattern } = requireRegex(right, 'matches regex');
    return { sql: `regexp_matches(${toText(left)}, ${quoteText(pattern)})`, type: 'bool' };
  },
  PathExpression: translatePath,
  ElementExpression: translatePath,
  FunctionCallExpression: translateCall,
  ToScalarExpression: (node, scope) => scope.queries.scalar(requireChild(node, 'Expression'), scope.names),
  AddExpression: (node, scope) => translateArithmetic('Add', node, ...operands(node, scope)),
  SubtractExpression: (node, scope) => translateArithmetic('Subtract', node, ...operands(node, scope)),
  MultiplyExpression: (node, scope) => translateArithmetic('Multiply', node, ...operands(node, scope)),
  DivideExpression: (node, scope) => translateArithmetic('Divide', node, ...operands(node, scope)),
  ModuloExpression: (node, scope) => translateArithmetic('Modulo', node, ...operands(node, scope)),
};

/** Translates a scalar expression. @throws KustoError naming what can't be translated. */
export function translateExpression(node: KqlNode, scope: Scope): Expression {
  const translate = translators[node.kind];
  if (translate !== undefined) return translate(node, scope);
  const literal = readLiteral(node, scope.nowMs);
  if (literal !== undefined) return literal;
  const isNegated = node.kind.startsWith('Not');
  const operator = isNegated ? node.kind.slice(3) : node.kind;
  if (HAS.test(operator)) {
    const value = translateHas(operator, node, scope);
    return isNegated ? negate(value) : value;
  }
  if (stringOperators[operator] !== undefined) {
    const value = translateStringOperator(operator, node, scope);
    return isNegated ? negate(value) : value;
  }
  throw makeNotSupported(`${node.kind.replace(/Expression$/, '')} (${textOf(node).slice(0, 80)})`);
}

function operands(node: KqlNode, scope: Scope): [Expression, Expression] {
  return [
    translateExpression(requireChild(node, 'Left'), scope),
    translateExpression(requireChild(node, 'Right'), scope),
  ];
}

function negate(value: Expression): Expression {
  return { sql: `(not ${value.sql})`, type: 'bool' };
}

function resolveName(name: string, scope: Scope): Expression {
  const column = scope.columns.get(name);
  if (column !== undefined) return column;
  const named = scope.names.get(name);
  if (named?.kind === 'scalar') return named.value;
  throw makeNotSupported(`the name '${name}' here`);
}

function translateMinus(node: KqlNode, scope: Scope): Expression {
  const inner = requireChild(node, 'Expression');
  // The lowest long is written as the minus of a number that is no long.
  if (inner.kind === 'LongLiteralExpression') return makeLiteral('long', `-${textOf(inner)}`, scope.nowMs);
  const value = translateExpression(inner, scope);
  return { sql: `(-${value.sql})`, type: value.type };
}

function translateLogic(node: KqlNode, scope: Scope, operator: 'and' | 'or'): Expression {
  const [left, right] = operands(node, scope).map((value) => coerce(value, 'bool', operator));
  return { sql: `(${left} ${operator} ${right})`, type: 'bool' };
}

/** Texts are never null, so these are never null. */
function translateStringOperator(operator: string, node: KqlNode, scope: Scope): Expression {
  const [left, right] = operands(node, scope);
  const sql = stringOperators[operator]?.(toText(left), toText(right));
  if (sql === undefined) throw makeNotSupported(operator);
  return { sql, type: 'bool' };
}

function translateBetween(node: KqlNode, scope: Scope): Expression {
  const value = translateExpression(requireChild(node, 'Left'), scope);
  const couple = requireChild(node, 'Right');
  const first = translateExpression(requireChild(couple, 'First'), scope);
  let second = translateExpression(requireChild(couple, 'Second'), scope);
  // `between (start .. 7d)` counts from the start.
  if (first.type === 'datetime' && second.type === 'timespan')
    second = { sql: `(${first.sql} + ${second.sql})`, type: 'datetime' };
  const [from, to] = [compareOrder('>=', value, first), compareOrder('<=', value, second)];
  // Null as soon as one of the three is.
  const known = `${value.sql} is not null and ${first.sql} is not null and ${second.sql} is not null`;
  return { sql: `case when ${known} then ${from.sql} and ${to.sql} end`, type: 'bool' };
}

function translateListed(node: KqlNode, scope: Scope, isInsensitive: boolean): Expression {
  const left = translateExpression(requireChild(node, 'Left'), scope);
  const items = elementsOf(childOf(requireChild(node, 'Right'), 'Expressions'));
  const [first] = items;
  if (first !== undefined && items.length === 1 && isTabular(first, scope)) {
    const list = scope.queries.list(first, scope.names);
    return translateIn(left, [], isInsensitive, list);
  }
  return translateIn(
    left,
    items.map((item) => translateExpression(item, scope)),
    isInsensitive,
  );
}

function isTabular(node: KqlNode, scope: Scope): boolean {
  if (node.columns !== null && node.type !== 'tuple') return true;
  return node.kind === 'NameReference' && scope.names.get(nameOf(node))?.kind === 'tabular';
}

/** `has`, `hasprefix`, `hassuffix`, each also as `_cs`. */
function translateHas(operator: string, node: KqlNode, scope: Scope): Expression {
  const [, part = '', cs] = HAS.exec(operator) ?? [];
  const [left, right] = operands(node, scope);
  const sql = hasTermSql(toText(left), right, cs !== undefined, hasParts[part]);
  return { sql, type: 'bool' };
}

const HAS = /^Has(|Prefix|Suffix)(Cs)?Expression$/;
const hasParts: Readonly<Record<string, 'term' | 'prefix' | 'suffix'>> = {
  '': 'term',
  Prefix: 'prefix',
  Suffix: 'suffix',
};

/** An empty list of terms has all of them, and none. */
function translateHasList(node: KqlNode, scope: Scope, operator: 'and' | 'or'): Expression {
  const left = toText(translateExpression(requireChild(node, 'Left'), scope));
  const items = elementsOf(childOf(requireChild(node, 'Right'), 'Expressions'));
  if (items.some((item) => isTabular(item, scope))) throw makeNotSupported('has_any and has_all of a query');
  const terms = items
    .map((item) => translateExpression(item, scope))
    .flatMap((item): Expression[] => {
      if (item.type !== 'dynamic') return [item];
      const list: unknown = item.literal === undefined ? undefined : JSON.parse(item.literal);
      if (!Array.isArray(list) || !list.every((term) => typeof term === 'string'))
        throw makeNotSupported('has_any and has_all of a dynamic that is no literal array of strings');
      return list.map((term: string) => ({ sql: quoteText(term), type: 'string', literal: term }));
    });
  const tests = terms.map((term) => hasTermSql(left, term, false));
  if (tests.length === 0) return { sql: String(operator === 'and'), type: 'bool' };
  return { sql: `(${tests.join(` ${operator} `)})`, type: 'bool' };
}

/** A step into a dynamic: what is not there is null. */
function translatePath(node: KqlNode, scope: Scope): Expression {
  const base = translateExpression(requireChild(node, 'Expression'), scope);
  if (base.type !== 'dynamic') throw makeNotSupported(`a path into a ${base.type}`);
  const selector = requireChild(node, 'Selector');
  if (selector.kind !== 'BracketedExpression')
    return { sql: `kql_dynamic_step(${base.sql}, ${quoteText(nameOf(selector))})`, type: 'dynamic' };
  const index = translateExpression(requireChild(selector, 'Expression'), scope);
  if (index.type === 'string') return { sql: `kql_dynamic_step(${base.sql}, ${index.sql})`, type: 'dynamic' };
  return { sql: `kql_dynamic_item(${base.sql}, ${coerce(index, 'long', 'an index')})`, type: 'dynamic' };
}

function translateCall(node: KqlNode, scope: Scope): Expression {
  const written = nameOf(requireChild(node, 'Name'));
  const args = elementsOf(childOf(requireChild(node, 'ArgumentList'), 'Expressions'));
  const declared = scope.names.get(written);
  if (declared?.kind === 'function') {
    const { isAggregate: _isAggregate, ...outer } = scope;
    const bound = bindArguments(written, declared, args, outer, translateExpression);
    const value = translateExpression(bound.body, { ...scope, columns: new Map(), names: bound.names });
    const type = readColumnType(node.type);
    return type === undefined ? value : convert(value, type);
  }
  const name = written.toLowerCase();
  if (args.some((arg) => arg.kind === 'SimpleNamedExpression'))
    throw makeNotSupported(`named arguments of ${name}()`);
  if (scope.isAggregate === true && isAggregate(name)) {
    const { isAggregate: _isAggregate, ...inner } = scope;
    return translateAggregate(
      name,
      args.map((arg) => translateExpression(arg, inner)),
      scope.hasOrder === true,
    );
  }
  return translateFunction(
    args.map((arg) => translateExpression(arg, scope)),
    { name, scope, node, resultType: readColumnType(node.type) },
  );
}
