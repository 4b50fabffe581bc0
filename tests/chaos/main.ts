import { execFileSync } from 'node:child_process';
import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { buildMutant, MUTANTS } from './mutants.ts';
import { runSeed, type SeedResult } from './seed.ts';
import { UNSCALED } from './tempo.ts';

const HELP = `Loads objects while everything fails, and counts what came of it.

usage: npm run chaos -- --seeds A..B [options]

  --seeds A..B    seeds to run, both included; A alone for one
  --jobs N        seeds at the same time; default 2
  --unscaled      all time constants as in production: a seed takes about two hours
  --mutant NAME   runs the app without one of its guards, until a seed fails: ${Object.keys(MUTANTS).join(', ')}
  --no-record     leaves the results files alone
  --verbose       prints each fault as it strikes
  --help          this text

Each seed is a stack of its own, takes about a minute, and draws all of its faults from its number: a seed that failed is
run again by that. Results are added to tests/chaos/results.jsonl and mutants.jsonl. Ends with code 1 when a promise was
broken; with --mutant, when none was. See tests/chaos/README.md.`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    unscaled: { type: 'boolean', default: false },
    mutant: { type: 'string' },
    'no-record': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const range = /^(\d+)(?:\.\.(\d+))?$/.exec(values.seeds ?? '');
const jobs = Number(values.jobs);
if (range === null || !Number.isInteger(jobs) || jobs < 1) {
  console.error(`--seeds must be a number or A..B, --jobs a whole number of at least 1.\n\n${HELP}`);
  process.exit(2);
}
const mutant = values.mutant;
if (mutant !== undefined && !Object.hasOwn(MUTANTS, mutant)) {
  console.error(`--mutant must be one of ${Object.keys(MUTANTS).join(', ')}.`);
  process.exit(2);
}

const [first, last] = [Number(range[1]), Number(range[2] ?? range[1])];
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const built = mutant === undefined ? null : await buildMutant(mutant);
const seeds = Array.from({ length: last - first + 1 }, (_, index) => first + index);
let failures = 0;

async function record(file: string, line: object): Promise<void> {
  if (values['no-record']) return;
  await appendFile(path.join(import.meta.dirname, file), `${JSON.stringify(line)}\n`);
}

function tell({
  seed,
  seconds,
  kills,
  runs,
  keys,
  rows,
  flaggedDoubles,
  reportedDoubles,
  broken,
}: SeedResult): void {
  const verdict = broken.length === 0 ? 'kept' : `BROKEN: ${broken.slice(0, 10).join('; ')}`;
  console.log(
    `seed ${seed}: ${seconds} s, ${kills} kills, ${runs} runs, ${keys} keys, ${rows} rows, ${flaggedDoubles} flagged and ${reportedDoubles} reported doubles: ${verdict}`,
  );
}

async function worker(): Promise<void> {
  for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
    const ofSeed = seed;
    const onStep = values.verbose ? (text: string) => console.log(`  seed ${ofSeed}: ${text}`) : undefined;
    const result = await runSeed(seed, {
      ...(values.unscaled ? { tempo: UNSCALED } : {}),
      ...(built === null ? {} : { appFolder: built.folder }),
      ...(onStep === undefined ? {} : { onStep }),
    });
    tell(result);
    if (result.broken.length > 0) failures += 1;
    if (mutant === undefined) {
      await record('results.jsonl', {
        at: new Date().toISOString(),
        commit,
        unscaled: values.unscaled,
        ...result,
      });
    } else if (result.broken.length > 0) {
      await record('mutants.jsonl', {
        at: new Date().toISOString(),
        commit,
        mutant,
        seed,
        broken: result.broken,
      });
      seeds.length = 0;
    }
  }
}

try {
  await Promise.all(Array.from({ length: Math.min(jobs, seeds.length) }, worker));
} finally {
  await built?.remove();
}
if (mutant === undefined)
  console.log(failures === 0 ? 'All promises were kept.' : `${failures} seeds failed.`);
else
  console.log(failures > 0 ? `The missing ${mutant} was found out.` : `No seed found the missing ${mutant}.`);
process.exit(failures > 0 === (mutant === undefined) ? 1 : 0);
