import { childOf, type KqlNode, nameOf, requireChild, textOf } from '../syntax.ts';

/** Parameters of an operator by name (`kind`, `withsource`, ...); hints change no result and are left out. */
export function readParameters(node: KqlNode): Record<string, string> {
  const parameters: Record<string, string> = {};
  for (const parameter of childOf(node, 'Parameters')?.children ?? []) {
    const name = textOf(requireChild(parameter, 'Name'));
    if (name.startsWith('hint.')) continue;
    const value = requireChild(parameter, 'Expression');
    parameters[name] = value.kind === 'NameDeclaration' ? nameOf(value) : textOf(value);
  }
  return parameters;
}
