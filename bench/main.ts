import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { type MeasuredBench, readBaseline, saveBaseline } from './baseline.ts';
import type { Bench, BenchResult, Stoppable } from './bench.ts';
import { fanOut } from './fan-out.ts';
import { importApp } from './import.ts';
import { inventory } from './inventory.ts';
import { largeFanOut } from './large-fan-out.ts';
import { largeListing, listing } from './listing.ts';
import { describeMachine } from './machine.ts';
import { million } from './million.ts';
import { partitions } from './partitions.ts';
import { posting } from './posting.ts';
import { isWithinBound, machineText, resultText } from './report.ts';
import { largeRequests, requests } from './small-objects.ts';
import { standIns } from './stand-ins.ts';
import { window } from './window.ts';

const BENCHES: readonly Bench[] = [
  {
    name: 'fan-out',
    about: 'CPU and memory of runs of 100, 1,000 and 10,000 objects on the local functions host (2 min)',
    isLong: false,
    run: fanOut,
  },
  {
    name: 'import',
    about: 'CPU to load the built app, beside the same app file by file (10 s)',
    isLong: false,
    run: importApp,
  },
  {
    name: 'listing',
    about: 'S3 and table requests to plan 100,000 unchanged objects (1 min)',
    isLong: false,
    run: listing,
  },
  {
    name: 'inventory',
    about: 'rows a second of an S3 Inventory list of 200,000 rows of CSV (1 min)',
    isLong: false,
    run: inventory,
  },
  {
    name: 'posting',
    about:
      'objects a second that the direct path and the activity around it post, beside a plain loop (1 min)',
    isLong: false,
    run: posting,
  },
  {
    name: 'stand-ins',
    about: 'what S3, Kusto, the functions host and the start of the stack can do on this machine (2 min)',
    isLong: false,
    run: standIns,
  },
  {
    name: 'requests',
    about:
      'objects a second and requests to storage of a run of 2,000 small objects on the whole stack (1 min)',
    isLong: false,
    run: requests,
  },
  {
    name: 'large-fan-out',
    about: 'CPU, memory and histories of runs of up to 1,000,000 objects on the local functions host',
    isLong: true,
    run: largeFanOut,
  },
  {
    name: 'large-listing',
    about: 'S3 and table requests to plan 1,000,000 unchanged objects, beside the scan of Azurite (15 min)',
    isLong: true,
    run: largeListing,
  },
  {
    name: 'large-requests',
    about: 'the same of 20,000 objects (8 min)',
    isLong: true,
    run: largeRequests,
  },
  {
    name: 'million',
    about: 'keys a second of listing and comparing 1,000,000 unchanged objects, beside rclone lsf (7 min)',
    isLong: true,
    run: million,
  },
  {
    name: 'partitions',
    about: 'table requests and time of planning 100,000 unchanged objects by the partitions of the ledger',
    isLong: true,
    run: partitions,
  },
  {
    name: 'window',
    about: "wall time of 2,000 objects with ADX's batching window of 5 minutes, on the whole stack (6 min)",
    isLong: true,
    run: window,
  },
];

const HELP = `Measures the app and holds it to its bounds.

usage: npm run bench [-- NAME...] [-- options]

  NAME             benches to run; default: all but the long ones
  --all            the long ones, too
  --json FILE      write machine, figures and tables as JSON
  --save-baseline  keep figures and tables in bench/baseline.json, which later runs are compared with, and in
                   docs/BENCHMARKS.md
  --list           names and subjects
  --help           this text

Ends with code 1 when a stated bound is broken or a bench could not be measured, with code 2 when the command line is
not right. Figures hold for the machine they were measured on; the bounds are ratios, counts of requests, and a time
that ADX's batching window makes up, which hold for any. See docs/BENCHMARKS.md.`;

/** How long an interrupted bench, whose parts are gone, may take to end. */
const MOST_TO_NOTICE_MS = 10_000;

const interruption = new AbortController();
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interruption.abort();
      reject(new Interrupted());
    });
  }
});
interrupted.catch(() => {});

class Interrupted extends Error {}

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    console.error(`${options}\n\n${HELP}`);
    return 2;
  }
  if (options.help) console.log(HELP);
  if (options.list) for (const { name, about } of BENCHES) console.log(`${name.padEnd(15)} ${about}`);
  if (options.help || options.list) return 0;

  const machine = describeMachine();
  console.log(`${machineText(machine)}\n`);
  const baseline = await readBaseline();
  const measured: Record<string, MeasuredBench> = {};
  let code = 0;
  for (const bench of options.benches) {
    try {
      const startedAt = performance.now();
      const result = await runBench(bench);
      const durationMs = performance.now() - startedAt;
      console.log(resultText(bench.name, durationMs, result, baseline[bench.name]));
      const { figures, table } = result;
      measured[bench.name] = {
        measuredAt: new Date().toISOString(),
        durationMs: Math.round(durationMs),
        machine,
        figures,
        ...(table === undefined ? {} : { table }),
      };
      if (!figures.every(isWithinBound)) code = 1;
    } catch (error) {
      if (error instanceof Interrupted) return 130;
      console.error(`${bench.name} could not be measured:`, error);
      code = 1;
    }
  }
  if (options.json !== null) await writeFile(options.json, `${JSON.stringify(measured, null, 2)}\n`);
  if (options.savesBaseline) console.error(`Saved ${await saveBaseline(measured)}.`);
  console.log(code === 0 ? 'All bounds hold.' : 'A bound is broken, or a bench could not be measured.');
  return code;
}

interface Options {
  readonly help: boolean;
  readonly list: boolean;
  readonly json: string | null;
  readonly savesBaseline: boolean;
  readonly benches: readonly Bench[];
}

/** The command line, or what is wrong with it. */
function readOptions(args: readonly string[]): Options | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        all: { type: 'boolean', default: false },
        json: { type: 'string' },
        'save-baseline': { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const unknown = positionals.find((name) => !BENCHES.some((bench) => bench.name === name));
    if (unknown !== undefined) {
      return `There is no bench "${unknown}"; there are ${BENCHES.map(({ name }) => name).join(', ')}.`;
    }
    if (values.json !== undefined && !existsSync(path.dirname(path.resolve(values.json))))
      return `--json ${values.json}: the folder of this file does not exist.`;
    const isWanted = ({ name, isLong }: Bench) =>
      values.all || (positionals.length > 0 ? positionals.includes(name) : !isLong);
    return {
      help: values.help,
      list: values.list,
      json: values.json ?? null,
      savesBaseline: values['save-baseline'],
      benches: BENCHES.filter(isWanted),
    };
  } catch (error) {
    return (error as Error).message;
  }
}

/** Runs one bench, then stops what it started and removes what it wrote, however it ended. */
async function runBench(bench: Bench): Promise<BenchResult> {
  const folder = await mkdtemp(path.join(os.tmpdir(), `s3-adx-loader-bench-${bench.name}-`));
  const started: Promise<Stoppable>[] = [];
  let ended: Promise<unknown> = Promise.resolve();
  try {
    const work = bench.run({
      folder,
      signal: interruption.signal,
      say: (line) => console.error(`${bench.name}: ${line}`),
      start: (start) => {
        interruption.signal.throwIfAborted();
        const starting = start();
        started.push(starting);
        return starting;
      },
    });
    // After an interruption its parts are stopped under its hands; what it throws then is of no interest.
    ended = work.catch(() => {});
    return await Promise.race([work, interrupted]);
  } finally {
    for (const starting of started.reverse()) await (await starting.catch(() => null))?.stop();
    // It may be writing into the folder until it notices.
    await Promise.race([ended, sleep(MOST_TO_NOTICE_MS, null, { ref: false })]);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
