import { type ColumnType, readColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { type KqlNode, textOf } from './syntax.ts';
import { convert, type Expression, isNumeric, isTime, sqlTypes } from './values.ts';

export type ArithmeticOperator = 'Add' | 'Subtract' | 'Multiply' | 'Divide' | 'Modulo';

/** Sums and products beyond the type are errors of the query. @throws KustoError for mixtures that are not translated. */
export function translateArithmetic(
  operator: ArithmeticOperator,
  node: KqlNode,
  left: Expression,
  right: Expression,
): Expression {
  const odd = [left, right].find((side) => !isNumeric(side) && !isTime(side) && !side.isNull);
  if (odd !== undefined)
    throw makeNotSupported(`${operator} with a ${odd.type}; convert it first (${textOf(node).slice(0, 80)})`);
  if (isTime(left) || isTime(right)) return combineTimes(operator, left, right);
  const type = readColumnType(node.type) ?? widest(left, right);
  const isMixed = [left.type, right.type].includes('decimal') && [left.type, right.type].includes('real');
  if (isMixed || !isNumeric({ sql: '', type }))
    throw makeNotSupported(`${operator} of ${left.type} and ${right.type}; convert one of them`);
  const [a, b] = [convert(left, type).sql, convert(right, type).sql];
  switch (operator) {
    case 'Add':
      return { sql: `(${a} + ${b})`, type };
    case 'Subtract':
      return { sql: `(${a} - ${b})`, type };
    case 'Multiply':
      return { sql: type === 'decimal' ? `kql_decimal_product(${a}, ${b})` : `(${a} * ${b})`, type };
    case 'Divide':
      if (type === 'decimal') return { sql: `kql_decimal_quotient(${a}, ${b})`, type };
      // Integers are cut towards zero, and by zero give null; reals give infinity.
      return {
        sql: type === 'real' ? `(${a} / ${b})` : `(${a} // nullif(${b}, 0))::${sqlTypes[type]}`,
        type,
      };
    default:
      return { sql: modulo(a, b, type), type };
  }
}

function widest(left: Expression, right: Expression): ColumnType {
  const order: readonly ColumnType[] = ['int', 'long', 'real', 'decimal'];
  return order[Math.max(order.indexOf(left.type), order.indexOf(right.type))] ?? 'long';
}

/** Never negative, whatever the signs. */
function modulo(a: string, b: string, type: ColumnType): string {
  if (type !== 'int' && type !== 'long') throw makeNotSupported(`% of a ${type}`);
  return `(((${a} % nullif(${b}, 0)) + abs(${b})) % nullif(abs(${b}), 0))::${sqlTypes[type]}`;
}

function combineTimes(operator: ArithmeticOperator, left: Expression, right: Expression): Expression {
  const [a, b] = [left.sql, right.sql];
  const isDatetime = (value: Expression) => value.type === 'datetime';
  const datetimes = [left, right].filter(isDatetime).length;
  const refused = makeNotSupported(`${operator} of ${left.type} and ${right.type}`);
  if (operator === 'Add' || operator === 'Subtract') {
    const symbol = operator === 'Add' ? '+' : '-';
    if (!isTime(left) || !isTime(right)) throw refused;
    if (datetimes === 2 && operator === 'Add') throw refused;
    const isMoved = datetimes === 1 && (operator === 'Add' || isDatetime(left));
    if (datetimes === 1 && !isMoved) throw refused;
    return { sql: `(${a} ${symbol} ${b})`, type: datetimes === 1 ? 'datetime' : 'timespan' };
  }
  if (operator === 'Multiply') {
    const [span, factor] = left.type === 'timespan' ? [left, right] : [right, left];
    if (span.type !== 'timespan' || !isNumeric(factor) || factor.type === 'decimal') throw refused;
    if (factor.type === 'real')
      return { sql: `kql_timespan_product(${span.sql}, ${factor.sql})`, type: 'timespan' };
    return { sql: `(${a} * ${b})`, type: 'timespan' };
  }
  if (left.type === 'timespan' && right.type === 'timespan') {
    if (operator === 'Divide') return { sql: `((${a})::double / (${b})::double)`, type: 'real' };
    return { sql: modulo(a, b, 'long'), type: 'timespan' };
  }
  const isWhole = right.type === 'int' || right.type === 'long';
  if (operator === 'Divide' && left.type === 'timespan' && isWhole)
    return { sql: `(${a} // nullif(${b}, 0))`, type: 'timespan' };
  if (operator === 'Modulo' && isDatetime(left) && right.type === 'timespan')
    return { sql: modulo(a, b, 'long'), type: 'timespan' };
  throw refused;
}
