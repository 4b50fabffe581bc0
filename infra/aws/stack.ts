import { CommandFailed, runJson, runTool } from '../command-line.ts';

/** Where a stack is: its name, and the options of the AWS CLI that name its region. */
export interface StackPlace {
  readonly name: string;
  readonly region: readonly string[];
}

export interface Stack {
  readonly parameters: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, string>;
}

interface Described {
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
    const { Parameters = [], Outputs = [] } = Stacks[0] ?? {};
    return {
      parameters: new Map(Parameters.map((one) => [one.ParameterKey, one.ParameterValue])),
      outputs: new Map(Outputs.map((one) => [one.OutputKey, one.OutputValue])),
    };
  } catch (error) {
    if (error instanceof CommandFailed && error.output.includes('does not exist')) return null;
    throw error;
  }
}

/** Makes the stack, or changes it. A parameter that is not named keeps its value. */
export async function deployStack(
  { name, region }: StackPlace,
  template: string,
  overrides: readonly string[],
): Promise<void> {
  await runTool('aws', [
    ...['cloudformation', 'deploy', '--template-file', template, '--stack-name', name, ...region],
    ...['--capabilities', 'CAPABILITY_IAM', '--no-fail-on-empty-changeset', '--parameter-overrides'],
    ...overrides,
  ]);
}

export async function deleteStack({ name, region }: StackPlace): Promise<void> {
  await runTool('aws', ['cloudformation', 'delete-stack', '--stack-name', name, ...region]);
  await runTool('aws', ['cloudformation', 'wait', 'stack-delete-complete', '--stack-name', name, ...region]);
}
