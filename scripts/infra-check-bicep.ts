import { execFile, spawnSync } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';

const run = promisify(execFile);

const MISSING =
  'The Bicep CLI is missing: install it (az bicep install) and put it on the PATH, or name it in BICEP';

/** The Bicep CLI: `BICEP`, else `bicep` on the PATH; `null` where there is none. */
export function findBicep(): string | null {
  const command = process.env['BICEP'] || 'bicep';
  return spawnSync(command, ['--version'], { stdio: 'ignore', timeout: 60_000 }).status === 0
    ? command
    : null;
}

/** @throws Error that says what to do when there is none. */
export function requireBicep(): string {
  const bicep = findBicep();
  if (bicep === null) throw new Error(MISSING);
  return bicep;
}

export interface BicepAnswer {
  readonly stdout: string;
  /** Diagnostics: warnings and errors, one a line. */
  readonly stderr: string;
}

/**
 * Runs Bicep with these variables for `readEnvironmentVariable` beside those of the process.
 *
 * @throws Error with the diagnostics when it fails.
 */
export async function runBicep(
  bicep: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<BicepAnswer> {
  try {
    return await run(bicep, args, { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const { stderr = '' } = error as { readonly stderr?: string };
    throw new Error(`bicep ${args.join(' ')} failed: ${stderr || String(error)}`);
  }
}
