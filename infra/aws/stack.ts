import { CommandFailed, runJson, runTool } from '../command-line.ts';

/** Where a stack is: its name, and the options of the AWS CLI that name its region. */
export interface StackPlace {
  readonly name: string;
  readonly region: readonly string[];
}

export interface Stack {
  /** As CloudFormation says it: `CREATE_COMPLETE`, `ROLLBACK_COMPLETE` and so on. */
  readonly status: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, string>;
}

interface Described {
  readonly StackStatus?: string;
  readonly Parameters?: readonly { readonly ParameterKey: string; readonly ParameterValue: string }[];
  readonly Outputs?: readonly { readonly OutputKey: string; readonly OutputValue: string }[];
}

/** A name that CloudFormation takes: letters, digits and hyphens, 128 at most. */
export function stackName(...parts: readonly string[]): string {
  return ['s3-adx-loader', ...parts]
    .join('-')
    .replace(/[^A-Za-z0-9-]/g, '-')
    .slice(0, 128);
}

/** @returns `null` where there is no such stack. */
export async function describeStack({ name, region }: StackPlace): Promise<Stack | null> {
  try {
    const { Stacks } = await runJson<{ readonly Stacks: readonly Described[] }>('aws', [
      ...['cloudformation', 'describe-stacks', '--stack-name', name, ...region],
    ]);
    const { StackStatus = '', Parameters = [], Outputs = [] } = Stacks[0] ?? {};
    return {
      status: StackStatus,
      parameters: new Map(Parameters.map((one) => [one.ParameterKey, one.ParameterValue])),
      outputs: new Map(Outputs.map((one) => [one.OutputKey, one.OutputValue])),
    };
  } catch (error) {
    if (error instanceof CommandFailed && error.output.includes('does not exist')) return null;
    throw error;
  }
}

/** Its first deployment has failed: there is nothing in it, and CloudFormation lets nobody change it. */
const isRolledBack = ({ status }: Stack) => status === 'ROLLBACK_COMPLETE' || status === 'ROLLBACK_FAILED';

/** What a command is about to make of a stack. */
export interface StackUse {
  /** A parameter that only the template of this command has. */
  readonly kind: string;
  /** Parameters that may not change, for what is there would be lost. */
  readonly fixed: StackParameters;
}

/**
 * @param present the stack as it is; `null`: none
 * @throws an Error when the stack is for something else
 */
export function expectSameUse(place: StackPlace, present: Stack | null, { kind, fixed }: StackUse): void {
  if (present === null || isRolledBack(present)) return;
  const remedy =
    'Give what is new another --stack NAME, or --credentials NAME, or take the stack away first: npm run aws -- delete';
  if (!present.parameters.has(kind))
    throw new Error(`Stack ${place.name} is there, and was not made by this command. ${remedy}`);
  for (const [name, value] of Object.entries(fixed)) {
    const is = present.parameters.get(name);
    if (value === undefined || is === undefined || is === String(value)) continue;
    throw new Error(`Stack ${place.name} has ${name}=${is}, which ${name}=${value} would replace. ${remedy}`);
  }
}

/** Parameters by name; one that is `undefined` keeps its value. */
export type StackParameters = Readonly<Record<string, string | boolean | undefined>>;

/** As the AWS CLI takes them. */
export function overridesOf(parameters: StackParameters): readonly string[] {
  return Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
}

/** Makes the stack, or changes it. A parameter that is not named keeps its value. */
export async function deployStack(
  place: StackPlace,
  present: Stack | null,
  template: string,
  overrides: readonly string[],
): Promise<void> {
  const { name, region } = place;
  if (present !== null && isRolledBack(present)) await deleteStack(place);
  try {
    await runTool('aws', [
      ...['cloudformation', 'deploy', '--template-file', template, '--stack-name', name, ...region],
      ...['--capabilities', 'CAPABILITY_IAM', '--no-fail-on-empty-changeset', '--parameter-overrides'],
      ...overrides,
    ]);
  } catch (error) {
    const events = ['aws cloudformation describe-stack-events --stack-name', name, ...region].join(' ');
    throw new Error(`${(error as Error).message}\nWhat failed in it: ${events}`, { cause: error });
  }
}

export async function deleteStack({ name, region }: StackPlace): Promise<void> {
  await runTool('aws', ['cloudformation', 'delete-stack', '--stack-name', name, ...region]);
  await runTool('aws', ['cloudformation', 'wait', 'stack-delete-complete', '--stack-name', name, ...region]);
}
