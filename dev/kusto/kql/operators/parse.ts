import { type ColumnType, readColumnType } from '../../column-types.ts';
import { makeNotSupported } from '../../kusto-error.ts';
import { quoteText } from '../../storage/store.ts';
import { translateExpression } from '../expressions.ts';
import { expressionOf, missingSql, resultColumns } from '../pipeline.ts';
import { elementsOf, type KqlNode, nameOf, readStringLiteral, requireChild, textOf } from '../syntax.ts';
import { convert, type Expression, type Stage, toText } from '../values.ts';
import type { OperatorContext } from './operator-context.ts';
import { readParameters } from './parameters.ts';

interface Capture {
  readonly name: string;
  readonly type: ColumnType;
}

/** What a number looks like where nothing but a `*` follows it. */
const shapes: Readonly<Partial<Record<ColumnType, string>>> = {
  int: '\\s*[-+]?\\d+',
  long: '\\s*[-+]?\\d+',
  real: '\\s*[-+]?\\d*\\.?\\d+(?:[eE][-+]?\\d+)?',
  bool: '\\s*(?:true|false|[-+]?\\d+)',
};

/** `parse` and `parse-where`, of kind simple and relaxed: one pattern over the whole text. */
export function parseText(
  node: KqlNode,
  input: Stage,
  pipe: KqlNode,
  context: OperatorContext,
  dropsOthers: boolean,
): Stage {
  const { kind = 'simple', ...others } = readParameters(node);
  const [other] = Object.keys(others);
  if (other !== undefined || (kind !== 'simple' && (kind !== 'relaxed' || dropsOthers)))
    throw makeNotSupported(`${dropsOthers ? 'parse-where' : 'parse'} with ${other ?? `kind=${kind}`}`);
  const value = translateExpression(requireChild(node, 'Expression'), context.scope(input, context.names));
  const { pattern, captures } = readPattern(elementsOf(requireChild(node, 'Patterns')));
  const text = toText(value);
  const groups = captures.map((_, index) => `'g${index}'`).join(', ');
  const matched = context.pipeline.push(
    `select *, regexp_matches(${text}, ${quoteText(pattern)}) as _m, ${captures.length === 0 ? 'null' : `regexp_extract(${text}, ${quoteText(pattern)}, [${groups}])`} as _g from ${input.from}`,
  );
  const converted = captures.map(({ type }, index): Expression => {
    const part: Expression = { sql: `_g.g${index}`, type: 'string' };
    return type === 'string' ? part : convert(part, type);
  });
  const failed = converted.filter((part) => part.type !== 'string').map((part) => `${part.sql} is null`);
  // One value that does not convert fails them all.
  const isGood = kind === 'simple' && failed.length > 0 ? `(_m and not (${failed.join(' or ')}))` : '_m';
  const values = new Map(
    captures.map(({ name }, index): [string, Expression] => {
      const part = converted[index] as Expression;
      return [
        name,
        { sql: `case when ${isGood} then ${part.sql} else ${missingSql(part.type)} end`, type: part.type },
      ];
    }),
  );
  const columns = resultColumns(pipe);
  const stage = context.pipeline.add(
    columns.map((column) => values.get(column.name) ?? expressionOf(input, column.name)),
    `from ${matched}${dropsOthers ? ` where ${isGood}` : ''}`,
    columns,
    { extent: input.hasExtent ? '_x' : undefined, order: input.hasOrder ? '_o' : undefined },
  );
  return { ...stage, isSerialized: input.isSerialized === true };
}

/** Texts, `*`, and columns with or without a type. Columns take as little as they can. */
function readPattern(parts: readonly KqlNode[]): { pattern: string; captures: readonly Capture[] } {
  const captures: Capture[] = [];
  let pattern = '(?s)^';
  for (const [index, part] of parts.entries()) {
    const isBeforeStar = parts[index + 1]?.kind === 'StarExpression';
    switch (part.kind) {
      case 'StarExpression':
        pattern += '.*?';
        break;
      case 'StringLiteralExpression':
        pattern += readStringLiteral(textOf(part)).replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
        break;
      case 'NameDeclaration':
        captures.push({ name: nameOf(part), type: 'string' });
        pattern += '(.*?)';
        break;
      case 'NameAndTypeDeclaration': {
        const capture = readCapture(part);
        const shape = shapes[capture.type];
        if (isBeforeStar && shape === undefined)
          throw makeNotSupported(`parse of a ${capture.type} before *`);
        captures.push(capture);
        pattern += isBeforeStar ? `(${shape})` : '(.*?)';
        break;
      }
      default:
        throw makeNotSupported(`parse with ${textOf(part).slice(0, 80)}`);
    }
  }
  return { pattern: `${pattern}$`, captures };
}

function readCapture(part: KqlNode): Capture {
  const type = readColumnType(textOf(requireChild(part, 'Type')));
  if (type === undefined || type === 'decimal' || type === 'dynamic')
    throw makeNotSupported(`parse to ${textOf(requireChild(part, 'Type'))}`);
  return { name: nameOf(requireChild(part, 'Name')), type };
}
