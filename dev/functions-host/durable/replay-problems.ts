/** Why an instance must fail; `hazard` is a pattern that hangs or misbehaves in Azure. */
export interface ReplayProblem {
  readonly kind: 'nonDeterminism' | 'hazard' | 'unsupported' | 'unknownFunction';
  readonly message: string;
}

/** A decision that the history holds. */
interface RecordedDecision {
  readonly kind: string;
  readonly name: string;
  readonly id: number;
}

/** @param found what the replay decided under the same id; undefined for nothing */
export function describeNonDeterminism(
  recorded: RecordedDecision,
  found: { readonly kind: string; readonly name: string } | undefined,
): ReplayProblem {
  const instead = found === undefined ? 'nothing' : `${found.kind} '${found.name}'`;
  return {
    kind: 'nonDeterminism',
    message:
      `Non-deterministic orchestrator: its history scheduled ${recorded.kind} '${recorded.name}' with sequence id ` +
      `${recorded.id}, but the replay scheduled ${instead} there. Orchestrators must decide from their input, their ` +
      'tasks and context.df alone.',
  };
}

export function describeRetryingLoser(functionName: string, recorded: RecordedDecision): ReplayProblem {
  return hazard(
    `'${functionName}' is a retrying loser of a Task.any that was yielded again, with new work behind it: the extension ` +
      `numbers the new work while the loser still retries (here at sequence id ${recorded.id}), and fails the instance ` +
      'as non-deterministic. Race only tasks without retry options, or retry in a sub-orchestration.',
  );
}

export function describeRetryTimeout(functionName: string): ReplayProblem {
  return hazard(
    `The retry options of '${functionName}' set retryTimeoutInMilliseconds: when it expires, the ` +
      'extension gives up without the timer that durable-functions 3 waits for, and the instance hangs in Azure. ' +
      'Remove it and bound the retries by maxNumberOfAttempts and maxRetryIntervalInMilliseconds.',
  );
}

export function describeNonRetriable(functionName: string): ReplayProblem {
  return hazard(
    `'${functionName}' failed with an error marked as non-retriable under retry options: the extension ` +
      'gives up without the timer that durable-functions 3 waits for, and the instance hangs in Azure. Return such ' +
      'an error as data, or call the activity without retry options.',
  );
}

export function describeBadTimer(fireAt: string | undefined): ReplayProblem {
  return hazard(`A timer's fire time is no date: ${String(fireAt)}. Give createTimer a valid Date.`);
}

export function describeUnknown(what: 'activity' | 'orchestrator', name: string): ReplayProblem {
  return { kind: 'unknownFunction', message: `No ${what} function named '${name}' is registered.` };
}

export function describeUnsupported(actionType: number): ReplayProblem {
  const names: Record<number, string> = {
    7: 'callEntity',
    8: 'callHttp',
    9: 'signalEntity',
    13: 'lock',
    14: 'release of a lock',
  };
  const name = names[actionType] ?? `action ${actionType}`;
  return {
    kind: 'unsupported',
    message: `This host does not support ${name} in orchestrators. Use an activity instead.`,
  };
}

function hazard(message: string): ReplayProblem {
  return { kind: 'hazard', message };
}
