import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { onTestFinished } from 'vitest';

import { ROOT } from './compiled.ts';

/** How a call of a tool is answered: by the first rule whose words begin the call. */
export interface Rule {
  /** For example `az keyvault secret set`. */
  readonly call: string;
  readonly stdout?: string;
  /** With a text here the call fails. */
  readonly stderr?: string;
}

export interface Call {
  readonly words: readonly string[];
  /** Content of the file that `--file` names. */
  readonly file: string | null;
}

export interface ScriptRun {
  readonly code: number | null;
  readonly output: string;
  readonly calls: readonly Call[];
  /** `calls`, one line each. */
  readonly lines: readonly string[];
}

const TOOL = `#!${process.execPath}
import { appendFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
const words = [path.basename(process.argv[1]), ...process.argv.slice(2)];
const at = words.indexOf('--file');
const file = at < 0 ? null : readFileSync(words[at + 1], 'utf8');
const folder = path.dirname(process.argv[1]);
appendFileSync(path.join(folder, 'calls.jsonl'), JSON.stringify({ words, file }) + '\\n');
const rules = JSON.parse(readFileSync(path.join(folder, 'rules.json'), 'utf8'));
const rule = rules.find(({ call }) => (words.join(' ') + ' ').startsWith(call + ' '));
if (rule === undefined) {
  console.error('no rule for ' + words.join(' '));
  process.exit(9);
}
process.stdout.write(rule.stdout ?? '');
if (rule.stderr !== undefined) {
  process.stderr.write(rule.stderr);
  process.exit(1);
}
`;

/** Runs a script of the repository with stand-ins for `aws`, `az` and `azd`, which answer by these rules only. */
export async function runWithFakeTools(
  script: string,
  args: readonly string[],
  { rules, env = {} }: { readonly rules: readonly Rule[]; readonly env?: Readonly<Record<string, string>> },
): Promise<ScriptRun> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'fake-tools-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(path.join(folder, 'package.json'), '{"type":"module"}');
  await writeFile(path.join(folder, 'rules.json'), JSON.stringify(rules));
  await writeFile(path.join(folder, 'calls.jsonl'), '');
  for (const tool of ['aws', 'az', 'azd']) {
    await writeFile(path.join(folder, tool), TOOL);
    await chmod(path.join(folder, tool), 0o755);
  }
  const child = spawn(process.execPath, [path.join(ROOT, script), ...args], {
    env: { ...env, PATH: folder, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const calls = (await readFile(path.join(folder, 'calls.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Call);
  return { code, output, calls, lines: calls.map(({ words }) => words.join(' ')) };
}
