import type { FunctionsCore, RegisteredFunction } from './functions-core.ts';

const triggers = ['httpTrigger', 'timerTrigger', 'queueTrigger', 'orchestrationTrigger', 'activityTrigger'];
const inputs = ['durableClient', 'orchestrationClient'];
const outputTypes = ['http', 'queue'];
/** What the real host accepts; it leaves out functions with other names. */
const functionName = /^[a-z][a-z0-9_-]{0,127}$/i;
const retryTriggers = ['timertrigger'];

/**
 * Refuses what this host can't do, all problems in one error.
 * @throws when no function is registered, or one has a binding that this host does not know
 */
export function checkFunctions(core: FunctionsCore): void {
  if (core.functions.size === 0) {
    throw new Error(
      'The app registered no functions. Check that its entry files (package.json "main") call app.http, app.timer, ' +
        'df.app.orchestration and so on while they are loaded, and that @azure/functions is installed once.',
    );
  }
  const problems = [...core.functions.values()].flatMap(findProblems);
  if (problems.length > 0) throw new Error(`The app can't run on this host:\n${problems.join('\n')}`);
}

function findProblems(fn: RegisteredFunction): string[] {
  const problems: string[] = [];
  const refuse = (text: string) => problems.push(`  Function "${fn.name}": ${text}`);
  if (!functionName.test(fn.name)) refuse('names have at most 128 letters, digits, - and _, a letter first.');
  for (const [name, binding] of Object.entries(fn.bindings)) {
    const [kind, known] =
      name === fn.triggerName
        ? (['trigger', triggers] as const)
        : binding.direction === 'out'
          ? (['output binding', outputTypes] as const)
          : (['input binding', inputs] as const);
    if (known.some((each) => each.toLowerCase() === binding.type.toLowerCase())) continue;
    refuse(`${kind} "${binding.type}" is not supported. Supported: ${known.join(', ')}.`);
  }
  const outputs = Object.values(fn.bindings).filter((binding) => binding.direction === 'out');
  if (fn.trigger.type.toLowerCase() === 'orchestrationtrigger' && outputs.length > 0) {
    refuse('an orchestrator with output bindings writes them on every replay. Write them from an activity.');
  }
  if (fn.retry !== undefined && !retryTriggers.includes(fn.trigger.type.toLowerCase())) {
    refuse(`a retry policy is not supported on ${fn.trigger.type}. Remove it.`);
  }
  return problems;
}
