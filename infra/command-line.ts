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
 * Runs a command-line tool and gives what it prints. Arguments must be plain words: on Windows they go through the shell,
 * for `az` is a batch file there.
 *
 * @throws {CommandFailed} when it ends with an error; an Error with what to install when it is missing.
 */
export async function runTool(program: 'az' | 'azd' | 'aws', args: readonly string[]): Promise<string> {
  const isWindows = process.platform === 'win32';
  const special = isWindows ? args.find((arg) => !/^[\w@:/.,=\\+-]*$/.test(arg)) : undefined;
  if (special !== undefined) throw new Error(`"${special}" can't be handed to ${program} on Windows`);
  try {
    // The shell would leave an empty one out.
    const words = isWindows ? args.map((arg) => (arg === '' ? '""' : arg)) : args;
    const { stdout } = await run(program, words, { shell: isWindows, maxBuffer: 16 * 1024 * 1024 });
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
