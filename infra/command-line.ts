import { execFile } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A program that answered with an error. `output` is what it wrote to stderr. */
export class CommandFailed extends Error {
  readonly output: string;

  constructor(program: string, args: readonly string[], output: string) {
    super(`${program} ${args.join(' ')} failed: ${output.trim()}`);
    this.output = output;
  }
}

/**
 * Runs a command-line tool and gives what it prints.
 *
 * @throws {CommandFailed} when it ends with an error; an Error with what to install when it is missing.
 */
export async function runTool(program: 'az' | 'azd' | 'aws', args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(program, args, { maxBuffer: 16 * 1024 * 1024 });
    return stdout;
  } catch (error) {
    const { code, stderr } = error as { readonly code?: number | string; readonly stderr?: string };
    if (code === 'ENOENT') throw new Error(`${program} is not installed; docs/DEPLOY.md says what is needed`);
    throw new CommandFailed(program, args, stderr ?? String(error));
  }
}

export async function runJson<Answer>(program: 'az' | 'aws', args: readonly string[]): Promise<Answer> {
  return JSON.parse(await runTool(program, [...args, '--output', 'json'])) as Answer;
}

/** Prints what went wrong instead of a stack: these scripts are run by people. */
export async function runScript(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
