/**
 * Holds the deployed package to its size and the app to its quick start. Run it after the build:
 *
 *   node scripts/check-bundle.ts
 *
 * Prints a table and what is wrong; ends with code 1 when anything is.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/** What may be in the package; `.funcignore` must leave out the rest of the repository. */
export const PACKAGED: ReadonlySet<string> = new Set(['dist', 'host.json', 'package.json', 'loads']);

/** The whole package, before it is zipped. */
const PACKAGE_BUDGET_BYTES = 6_000_000;

/**
 * `main.js` and what it imports statically: what every start of a worker reads and compiles. Measured: 684 kB, nearly
 * all of it durable-functions 3.5 with axios, moment and lodash; the budget is that and a tenth.
 */
const EAGER_BUDGET_BYTES = 750_000;

/**
 * Texts that minified code of an SDK still holds. Each must be found in a chunk that is loaded later: when a new
 * version of an SDK has lost its text, the check says so instead of finding nothing for ever.
 */
const SDK_MARKS: readonly { readonly sdk: string; readonly text: string }[] = [
  { sdk: '@aws-sdk', text: '@aws-sdk/' },
  { sdk: '@aws-sdk (signatures)', text: 'AWS4-HMAC-SHA256' },
  { sdk: 'azure-kusto', text: 'KustoConnectionStringBuilder' },
  { sdk: '@azure/identity', text: 'ManagedIdentityCredential' },
  { sdk: '@azure/storage-blob', text: 'x-ms-blob-type' },
  { sdk: '@azure/storage-queue', text: 'visibilitytimeout' },
  { sdk: '@azure/data-tables', text: 'data-tables' },
];

export interface BundleReport {
  /** One line each: what, and how large. */
  readonly rows: readonly {
    readonly what: string;
    readonly bytes: number;
    readonly budgetBytes: number | null;
  }[];
  readonly problems: readonly string[];
}

/** Measures the build of the app in `root` and finds what is wrong with it. */
export function checkBundle(root: string): BundleReport {
  const files = packagedFiles(root);
  const eager = eagerGraph(root, path.join('dist', 'main.js'));
  const lazy = files.filter(
    (file) => file.startsWith(`dist${path.sep}`) && file.endsWith('.js') && !eager.includes(file),
  );
  const sizeOf = (list: readonly string[]) =>
    list.reduce((sum, file) => sum + statSync(path.join(root, file)).size, 0);
  const rows = [
    { what: `package (${files.length} files)`, bytes: sizeOf(files), budgetBytes: PACKAGE_BUDGET_BYTES },
    { what: `eager (${eager.length} files)`, bytes: sizeOf(eager), budgetBytes: EAGER_BUDGET_BYTES },
    { what: `lazy (${lazy.length} files)`, bytes: sizeOf(lazy), budgetBytes: null },
  ];
  const tooLarge = rows.flatMap(({ what, bytes, budgetBytes }) =>
    budgetBytes !== null && bytes >= budgetBytes
      ? [`${what} has ${bytes} bytes; it must stay below ${budgetBytes}`]
      : [],
  );
  return { rows, problems: [...tooLarge, ...surplus(files), ...sdkProblems(root, eager, lazy)] };
}

/** Files that `.funcignore` leaves, relative to the root. */
export function packagedFiles(root: string, ignored = ignoredNames(root)): readonly string[] {
  return readdirSync(root, { withFileTypes: true })
    .filter(({ name }) => !ignored.has(name))
    .flatMap((entry) =>
      entry.isDirectory()
        ? readdirSync(path.join(root, entry.name), { recursive: true, withFileTypes: true })
            .filter((file) => file.isFile())
            .map((file) => path.relative(root, path.join(file.parentPath, file.name)))
        : [entry.name],
    );
}

function ignoredNames(root: string): ReadonlySet<string> {
  const ignored = new Set(
    readFileSync(path.join(root, '.funcignore'), 'utf8')
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#')),
  );
  for (const name of ignored) {
    // Tools differ in how they read patterns, and agree on plain names.
    if (/[*?![\]/\\]/.test(name))
      throw new Error(`.funcignore: "${name}" is a pattern; list plain names of the root folder only`);
  }
  return ignored;
}

function surplus(files: readonly string[]): readonly string[] {
  const roots = new Set(
    files.filter((file) => !PACKAGED.has(file.split(path.sep)[0]!)).map((file) => file.split(path.sep)[0]!),
  );
  const outside = [...roots].map((name) => `"${name}" would be deployed: add it to .funcignore`);
  const inside = files.filter(
    (file) =>
      PACKAGED.has(file.split(path.sep)[0]!) && /(^|[\\/])(node_modules|dev|tests?|fakes)[\\/]/.test(file),
  );
  return [...outside, ...inside.map((file) => `"${file}" has no place in the package`)];
}

/** A file of the build and all that it imports statically, relative to the root. */
function eagerGraph(root: string, entry: string): readonly string[] {
  const seen = new Set<string>();
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const [, target] of readFileSync(path.join(root, file), 'utf8').matchAll(
      /\b(?:from|import)\s*["'](\.[^"']+)["']/g,
    )) {
      open.push(path.join(path.dirname(file), target!));
    }
  }
  return [...seen];
}

function sdkProblems(root: string, eager: readonly string[], lazy: readonly string[]): readonly string[] {
  const read = (files: readonly string[]) =>
    files.map((file) => ({ file, code: readFileSync(path.join(root, file), 'utf8') }));
  const [early, late] = [read(eager), read(lazy)];
  return SDK_MARKS.flatMap(({ sdk, text }) => {
    const found = early
      .filter(({ code }) => code.includes(text))
      .map(
        ({ file }) =>
          `${sdk} is in ${file}, which every start loads: import it where it is used, by import()`,
      );
    if (late.some(({ code }) => code.includes(text))) return found;
    return [
      ...found,
      `no chunk holds "${text}", by which ${sdk} is told: choose another text in scripts/check-bundle.ts`,
    ];
  });
}

if (import.meta.main) {
  const { rows, problems } = checkBundle(path.dirname(import.meta.dirname));
  for (const { what, bytes, budgetBytes } of rows) {
    const budget = budgetBytes === null ? '' : `of ${String(Math.round(budgetBytes / 1000)).padStart(5)} kB`;
    console.log(`${what.padEnd(22)} ${String(Math.round(bytes / 1000)).padStart(6)} kB ${budget}`.trimEnd());
  }
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}
