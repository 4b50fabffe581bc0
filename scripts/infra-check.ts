/**
 * Checks the infrastructure without a cloud: Bicep compiles and lints without a warning and is formatted, every file of
 * parameters fits, and what the compiled templates would make is what docs/DEPLOY.md promises (tests/unit/infra).
 *
 *   npm run infra:check
 */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

import { requireBicep, runBicep } from './infra-check-bicep.ts';

const ROOT = path.dirname(import.meta.dirname);
const INFRA = path.join(ROOT, 'infra');

/** Warnings and errors of the compiler and the linter, one each. */
async function lint(bicep: string): Promise<readonly string[]> {
  const { stdout, stderr } = await runBicep(bicep, ['lint', path.join(INFRA, 'main.bicep')]);
  return `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
}

/** Files that the formatter would write differently. */
async function unformatted(bicep: string): Promise<readonly string[]> {
  const scratch = await mkdtemp(path.join(os.tmpdir(), 'infra-check-'));
  try {
    await cp(INFRA, scratch, { recursive: true });
    const files = (await readdir(scratch, { recursive: true })).filter((file) =>
      /\.bicep(param)?$/.test(file),
    );
    for (const pattern of ['**/*.bicep', '*.bicepparam'])
      await runBicep(bicep, ['format', '--pattern', path.join(scratch, pattern)]);
    const changed = await Promise.all(
      files.map(async (file) => {
        const [before, after] = await Promise.all([
          readFile(path.join(INFRA, file), 'utf8'),
          readFile(path.join(scratch, file), 'utf8'),
        ]);
        return before === after ? [] : [`infra/${file} is not formatted: bicep format infra/${file}`];
      }),
    );
    return changed.flat();
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Ends with the code of the tests. They need Bicep: here it is not allowed to be missing. */
function runTests(bicep: string): Promise<number> {
  const vitest = path.join('node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(process.execPath, [vitest, 'run', '--project', 'unit', 'tests/unit/infra'], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, BICEP: bicep },
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 130));
  });
}

try {
  const bicep = requireBicep();
  const problems = [...(await lint(bicep)), ...(await unformatted(bicep))];
  for (const problem of problems) console.error(problem);
  console.log(problems.length === 0 ? 'ok     Bicep: no warnings, formatted' : 'FAILED Bicep');
  const code = await runTests(bicep);
  process.exitCode = problems.length > 0 ? 1 : code;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
