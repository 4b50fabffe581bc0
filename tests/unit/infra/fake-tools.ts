import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { onTestFinished } from 'vitest';

import { ROOT } from './compiled.ts';

/** How a call of a tool is answered: by the first rule whose words begin the call. */
export interface Rule {
  /** For example `az keyvault secret set`. */
  readonly call: string;
  /** Answers the first such call only. */
  readonly once?: boolean;
  readonly stdout?: string;
  /** With a text here the call fails. */
  readonly stderr?: string;
}

export interface ScriptRun {
  readonly code: number | null;
  readonly output: string;
  /** How the tools were called, in order. */
  readonly lines: readonly string[];
  /** Content of the files that were named by `--file` and `--body`, or by a `file://` address. */
  readonly files: readonly string[];
}

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** A shell script, for it starts in no time: writes down how it was called, and answers by the rules. */
function toolOf(name: string, folder: string, rules: readonly Rule[]): string {
  const answers = rules.map(({ call, once = false, stdout = '', stderr }, index) => {
    const answer = `printf '%s' ${quote(stdout)}`;
    const failure = stderr === undefined ? '' : `; printf '%s' ${quote(stderr)} >&2; exit 1`;
    const used = quote(path.join(folder, `used-${index}`));
    const isLeft = once ? `[ ! -e ${used} ] && : > ${used} && ` : '';
    return `case "$words " in ${quote(`${call} `)}*) ${isLeft}{ ${answer}${failure}; exit 0; };; esac`;
  });
  return `#!/bin/sh
words="${name} $*"
file=
while [ $# -gt 0 ]; do
  if [ "$1" = --file ]; then file="$2"; fi
  if [ "$1" = --body ]; then file="\${2#@}"; fi
  case "$2" in file://*) file="\${2#file://}";; esac
  shift
done
printf '%s\\n' "$words" >> ${quote(path.join(folder, 'calls'))}
if [ -n "$file" ]; then
  /bin/cat "$file" >> ${quote(path.join(folder, 'files'))}
  printf '\\n' >> ${quote(path.join(folder, 'files'))}
fi
${answers.join('\n')}
printf '%s' "no rule for $words" >&2
exit 9
`;
}

/** Runs a script of the repository with stand-ins for `aws`, `az` and `azd`, which answer by these rules only. */
export async function runWithFakeTools(
  script: string,
  args: readonly string[],
  { rules, env = {} }: { readonly rules: readonly Rule[]; readonly env?: Readonly<Record<string, string>> },
): Promise<ScriptRun> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'fake-tools-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const tool of ['aws', 'az', 'azd'])
    await writeFile(path.join(folder, tool), toolOf(tool, folder, rules), { mode: 0o755 });
  const child = spawn(process.execPath, [path.join(ROOT, script), ...args], {
    env: { ...env, PATH: folder, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const linesOf = async (name: string) =>
    (await readFile(path.join(folder, name), 'utf8').catch(() => ''))
      .split('\n')
      .filter((line) => line !== '');
  return { code, output, lines: await linesOf('calls'), files: await linesOf('files') };
}
