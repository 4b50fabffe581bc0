import { readColumnType } from '../column-types.ts';
import { makeNotSupported } from '../kusto-error.ts';
import { childOf, elementsOf, type KqlNode, nameOf, requireChild, textOf } from './syntax.ts';
import { convert, type Expression, type Named, type Names, type Scope } from './values.ts';

type TranslateScalar = (node: KqlNode, scope: Scope) => Expression;

/** Binds the arguments of a function that `let` declared, and the `let`s of its body. */
export function bindArguments(
  name: string,
  declared: Extract<Named, { kind: 'function' }>,
  args: readonly KqlNode[],
  scope: Scope,
  translate: TranslateScalar,
): { readonly body: KqlNode; readonly names: Names } {
  const parameters = elementsOf(childOf(requireChild(declared.declaration, 'Parameters'), 'Parameters'));
  const names = new Map(declared.names);
  for (const [index, parameter] of parameters.entries()) {
    const { name: parameterName, type, defaultValue } = readParameter(parameter, name);
    const named = args.find(
      (arg) => arg.kind === 'SimpleNamedExpression' && nameOf(requireChild(arg, 'Name')) === parameterName,
    );
    const positional = args[index]?.kind === 'SimpleNamedExpression' ? undefined : args[index];
    const arg = named === undefined ? positional : requireChild(named, 'Expression');
    const given = arg === undefined ? undefined : translate(arg, scope);
    const value = given ?? (defaultValue && translate(defaultValue, { ...scope, columns: new Map() }));
    if (value === undefined) throw makeNotSupported(`${name}() without its argument '${parameterName}'`);
    names.set(parameterName, { kind: 'scalar', value: convert(value, type) });
  }
  const body = requireChild(declared.declaration, 'Body');
  for (const statement of elementsOf(childOf(body, 'Statements'))) {
    const value = requireChild(statement, 'Expression');
    if (statement.kind !== 'LetStatement' || value.columns !== null || value.kind === 'FunctionDeclaration')
      throw makeNotSupported(`${statement.kind} of anything but a scalar in the function ${name}()`);
    names.set(nameOf(requireChild(statement, 'Name')), {
      kind: 'scalar',
      value: translate(value, { ...scope, columns: new Map(), names }),
    });
  }
  return { body: requireChild(body, 'Expression'), names };
}

/** @throws KustoError for a parameter that is a table. */
export function readParameter(parameter: KqlNode, owner: string) {
  const declaration = requireChild(parameter, 'NameAndType');
  const type = readColumnType(textOf(requireChild(declaration, 'Type')));
  const name = nameOf(requireChild(declaration, 'Name'));
  if (type === undefined) throw makeNotSupported(`the parameter '${name}' of ${owner} that is not a scalar`);
  const defaultValue = childOf(parameter, 'DefaultValue');
  return { name, type, defaultValue: defaultValue && requireChild(defaultValue, 'Value') };
}
