import type { ColumnType } from '../../column-types.ts';
import { makeNotSupported } from '../../kusto-error.ts';
import type { ScriptFunction } from '../script-functions.ts';
import type { KqlNode } from '../syntax.ts';
import { convert, type Expression, isNumeric, type Scope, sqlTypes, toDynamic, toText } from '../values.ts';

export interface CallContext {
  readonly name: string;
  readonly scope: Scope;
  readonly node: KqlNode;
  /** By the parser's analysis. */
  readonly resultType: ColumnType | undefined;
}

export type FunctionTranslator = (args: readonly Expression[], context: CallContext) => Expression;

/** A KQL function whose arguments go to a script function of the same name. */
export interface ScriptEntry extends ScriptFunction {
  /** How many arguments must be given; the rest may be missing and is null then. Default: all. */
  readonly required?: number;
  /** Arguments that are taken as JSON of whatever type they have. */
  readonly json?: readonly number[];
}

/** @throws KustoError for an argument that the function does not take. */
export function callScript(name: string, entry: ScriptEntry, args: readonly Expression[]): Expression {
  const { parameters, result } = entry;
  if (args.length < (entry.required ?? parameters.length) || args.length > parameters.length)
    throw makeNotSupported(`${name}() with ${args.length} arguments`);
  const values = parameters.map((parameter, index) => {
    const arg = args[index];
    if (parameter === 'list') throw makeNotSupported(`${name}() with a list`);
    if (arg === undefined) return `null::${sqlTypes[parameter]}`;
    return entry.json?.includes(index) ? toDynamic(arg) : coerce(arg, parameter, name);
  });
  const sql = `kql_${name}(${values.join(', ')})`;
  const type = result === 'list' ? 'dynamic' : result;
  return { sql: type === 'string' ? `coalesce(${sql}, '')` : sql, type };
}

/** What the service converts by itself: numbers that widen, anything to string, dynamics to what they hold. */
export function coerce(value: Expression, type: ColumnType, name: string): string {
  if (value.type === type) return value.sql;
  if (type === 'string') return toText(value);
  const widens = isNumeric(value) && ['int', 'long', 'real'].includes(type) && value.type !== 'decimal';
  if (widens || value.type === 'dynamic' || value.isNull) return convert(value, type).sql;
  throw makeNotSupported(`${name}() of a ${value.type} where it takes a ${type}`);
}

export function one(args: readonly Expression[], name: string): Expression {
  const [value] = args;
  if (value === undefined || args.length > 1)
    throw makeNotSupported(`${name}() with ${args.length} arguments`);
  return value;
}

export function two(args: readonly Expression[], name: string): [Expression, Expression] {
  const [first, second] = args;
  if (first === undefined || second === undefined)
    throw makeNotSupported(`${name}() with ${args.length} arguments`);
  return [first, second];
}

/** A literal that the function needs to know before it runs. */
export function literalOf(value: Expression | undefined, name: string): string {
  if (value?.literal === undefined)
    throw makeNotSupported(`${name}() with an argument that must be a literal`);
  return value.literal;
}
