import { execFile, spawn, spawnSync } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';

import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';

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

/** How long Bicep may take to end by itself. */
const STOP_TIMEOUT_MS = 10_000;

export interface BicepAnswer {
  readonly stdout: string;
  /** Diagnostics: warnings and errors, one a line. */
  readonly stderr: string;
}

/** @throws Error with the diagnostics when it fails. */
export async function runBicep(bicep: string, args: readonly string[]): Promise<BicepAnswer> {
  try {
    return await run(bicep, args, { maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const { stderr = '' } = error as { readonly stderr?: string };
    throw new Error(`bicep ${args.join(' ')} failed: ${stderr || String(error)}`);
  }
}

export interface BicepDiagnostic {
  readonly source: string;
  readonly level: string;
  readonly code: string;
  readonly message: string;
}

/** One Bicep process for several questions: most of the time of a question is the start of the process. */
export interface BicepSession {
  /** The ARM template of a Bicep file, and what the compiler and the linter say. */
  compile(
    file: string,
  ): Promise<{ readonly template: string; readonly diagnostics: readonly BicepDiagnostic[] }>;
  /** What a file of parameters would deploy: JSON, all evaluated but what only the service knows. */
  predict(
    file: string,
    scope: { readonly tenantId: string; readonly subscriptionId: string },
  ): Promise<string>;
  stop(): Promise<void>;
}

/** @param env - variables for `readEnvironmentVariable`, beside those of this process. */
export function startBicep(bicep: string, env: Readonly<Record<string, string>>): BicepSession {
  const child = spawn(bicep, ['jsonrpc', '--stdio'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const connection = createMessageConnection(
    new StreamMessageReader(child.stdout),
    new StreamMessageWriter(child.stdin),
  );
  connection.listen();
  return {
    compile: async (file) => {
      const { contents, diagnostics } = await connection.sendRequest<{
        /** Left out when it does not compile. */
        readonly contents?: string | null;
        readonly diagnostics: readonly BicepDiagnostic[];
      }>('bicep/compile', { path: file });
      if (contents == null) throw new Error(`${file} does not compile: ${JSON.stringify(diagnostics)}`);
      return { template: contents, diagnostics };
    },
    predict: async (file, scope) => {
      const { snapshot } = await connection.sendRequest<{ readonly snapshot: string }>('bicep/getSnapshot', {
        path: file,
        metadata: scope,
      });
      return snapshot;
    },
    stop: async () => {
      // It ends by itself at the end of its input; a signal at that moment makes it print a stack.
      connection.end();
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
      connection.dispose();
    },
  };
}
