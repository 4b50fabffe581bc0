import { makeNotSupported } from '../../kusto-error.ts';
import { makeScalarFunctions } from '../script-functions.ts';
import type { Expression } from '../values.ts';
import { conditionFunctions } from './conditions.ts';
import { conversionFunctions, conversionScripts } from './conversions.ts';
import { datetimeFunctions, datetimeScripts, hiddenDatetimeScripts } from './datetimes.ts';
import { dynamicFunctions, dynamicScripts, hiddenDynamicScripts } from './dynamics.ts';
import { type CallContext, callScript, type FunctionTranslator, type ScriptEntry } from './function-entry.ts';
import { hiddenNumberScripts, numberFunctions, numberScripts } from './numbers.ts';
import { hiddenStringScripts, stringFunctions, stringScripts } from './strings.ts';

const translators: Readonly<Record<string, FunctionTranslator>> = {
  ...conversionFunctions,
  ...conditionFunctions,
  ...stringFunctions,
  ...datetimeFunctions,
  ...dynamicFunctions,
  ...numberFunctions,
};

const scripts: Readonly<Record<string, ScriptEntry>> = {
  ...stringScripts,
  ...datetimeScripts,
  ...dynamicScripts,
  ...numberScripts,
};

/** Names of the functions that are translated. */
export const supportedFunctions: readonly string[] = [...Object.keys(translators), ...Object.keys(scripts)];

/** What a database needs before queries are run on it. */
export function makeQueryFunctions(): ReturnType<typeof makeScalarFunctions> {
  return makeScalarFunctions({
    ...scripts,
    ...conversionScripts,
    ...hiddenStringScripts,
    ...hiddenDatetimeScripts,
    ...hiddenDynamicScripts,
    ...hiddenNumberScripts,
  });
}

/** @throws KustoError naming a function that is not translated, or arguments that it does not take. */
export function translateFunction(args: readonly Expression[], context: CallContext): Expression {
  const { name } = context;
  if (Object.hasOwn(translators, name)) return (translators[name] as FunctionTranslator)(args, context);
  if (Object.hasOwn(scripts, name)) return callScript(name, scripts[name] as ScriptEntry, args);
  throw makeNotSupported(`the function ${name}()`);
}
