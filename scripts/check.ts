/**
 * Checks all that can be checked without running the app: format, lint, types, unused code, copies, the build's size.
 *
 *   npm run check [-- --fix] [-- NAME...]
 *
 * Every check runs, also after one has failed; ends with code 1 when any has.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

interface Check {
  readonly name: string;
  readonly about: string;
  /** Program and arguments; a program without a folder is one of `node_modules/.bin`. */
  readonly command: readonly string[];
  /** The same with repairs, where the tool can repair. */
  readonly fix?: readonly string[];
}

const CHECKS: readonly Check[] = [
  {
    name: 'format',
    about: 'layout of the code and order of its imports (biome)',
    command: ['biome', 'check', '.'],
    fix: ['biome', 'check', '--write', '.'],
  },
  {
    name: 'lint',
    about: 'mistakes, and the direction of dependencies (oxlint)',
    command: ['oxlint', '--deny-warnings'],
    fix: ['oxlint', '--deny-warnings', '--fix'],
  },
  { name: 'types', about: 'types (tsc)', command: ['tsc', '--noEmit', '-p', '.'] },
  { name: 'unused', about: 'unused files, exports and packages (knip)', command: ['knip', '--no-progress'] },
  { name: 'copies', about: 'code that was copied (jscpd)', command: ['jscpd', '--silent'] },
  {
    name: 'bundle',
    about: 'what is deployed: contents, size, what a start loads',
    command: [process.execPath, path.join('scripts', 'check-bundle.ts')],
  },
];

const HELP = `usage: npm run check [-- NAME...] [-- --fix]

${CHECKS.map(({ name, about }) => `  ${name.padEnd(8)} ${about}`).join('\n')}

  --fix    repair what can be repaired (${CHECKS.filter(({ fix }) => fix !== undefined)
    .map(({ name }) => name)
    .join(', ')})
  --help   this text`;

interface Outcome {
  readonly code: number;
  readonly output: string;
  readonly seconds: number;
}

/** Runs a program to its end. What it prints is kept, so that only the failed checks speak. */
function run([program, ...args]: readonly string[]): Promise<Outcome> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(program!, args, {
      cwd: path.dirname(import.meta.dirname),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes: Buffer) => {
        output += bytes.toString('utf8');
      });
    }
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ code: code ?? 130, output, seconds: (performance.now() - startedAt) / 1000 }),
    );
  });
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      fix: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const unknown = positionals.find((name) => !CHECKS.some((check) => check.name === name));
  if (unknown !== undefined) {
    console.error(`There is no check "${unknown}".\n\n${HELP}`);
    return 2;
  }
  const chosen = CHECKS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  let failed = 0;
  for (const { name, command, fix } of chosen) {
    const { code, output, seconds } = await run(values.fix && fix !== undefined ? fix : command);
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name.padEnd(8)} ${seconds.toFixed(1)} s`);
    if (code === 0) continue;
    failed += 1;
    console.log(output.trimEnd());
  }
  return failed === 0 ? 0 : 1;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  // A command line that can't be read, or a tool that isn't installed.
  console.error(`${(error as Error).message}\n\n${HELP}`);
  process.exit(2);
}
