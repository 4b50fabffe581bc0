import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

/**
 * The layers of the code, checked on the import statements themselves. The linter has the same rules and shows them
 * in editors; this test is what can't be switched off by its configuration.
 */
const ROOT = path.resolve(import.meta.dirname, '../..');

interface Import {
  readonly file: string;
  /** Package, `node:` module, or path relative to the root. */
  readonly target: string;
  /** `type`: erased. `value`: loaded with the module. `lazy`: loaded when it is called for. */
  readonly kind: 'type' | 'value' | 'lazy';
}

/** Source files below a folder, relative to the root. */
function sourcesOf(folder: string): readonly string[] {
  // git keeps no empty folders: one that is planned may not be there yet.
  if (!existsSync(path.join(ROOT, folder))) return [];
  return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|mts|js|mjs)$/.test(file))
    .map((file) => path.posix.join(folder, file.split(path.sep).join('/')));
}

const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

/** Comments out, so that an example in one is not taken for code. */
const withoutComments = (source: string) => source.replace(/\/\*[^]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

function importsIn(source: string, file: string): readonly Import[] {
  const code = withoutComments(source);
  const target = (specifier: string) =>
    specifier.startsWith('.') ? path.posix.join(path.posix.dirname(file), specifier) : specifier;
  const found: Import[] = [];
  for (const [, specifier] of code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm))
    found.push({ file, target: target(specifier!), kind: 'value' });
  for (const [, clause = '', specifier] of code.matchAll(
    /^\s*(?:import|export)\b([\w\s{},*$]*?)\bfrom\s*['"]([^'"]+)['"]/gm,
  )) {
    const named = /^\s*\{([^}]*)\}/
      .exec(clause)?.[1]
      ?.split(',')
      .filter((name) => name.trim() !== '');
    const isType =
      /^\s*type\b/.test(clause) ||
      (named !== undefined && named.length > 0 && named.every((name) => /^\s*type\s/.test(name)));
    found.push({ file, target: target(specifier!), kind: isType ? 'type' : 'value' });
  }
  for (const [, before = '', specifier] of code.matchAll(/(typeof\s+)?\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    found.push({ file, target: target(specifier!), kind: before === '' ? 'lazy' : 'type' });
  }
  return found;
}

const importsOf = (folder: string) => sourcesOf(folder).flatMap((file) => importsIn(read(file), file));

/** Imports that are not allowed, in words, so that a failure names them. */
const violations = (folder: string, isAllowed: (one: Import) => boolean) =>
  importsOf(folder)
    .filter((one) => !isAllowed(one))
    .map(({ file, target, kind }) => `${file} -> ${target} (${kind})`);

const isIn = (target: string, ...folders: string[]) =>
  folders.some((folder) => target.startsWith(`${folder}/`));
const isRelative = (target: string) =>
  isIn(target, 'shared', 'functions', 'dev', 'cli', 'bench', 'tests', 'scripts');
const SDK = /^(@aws-sdk\/|@smithy\/|@azure\/(storage-|data-tables|identity|core-)|azure-kusto-)/;
const HOST = /^(@azure\/functions|durable-functions)/;

test('the reader of imports sees every kind', () => {
  const source = [
    "import a from 'a';",
    "import { type B, c } from 'b';",
    "import type { D } from '../d/d.ts';",
    "import { type E, type F } from 'e';",
    "import './side-effect.ts';",
    'import {\n  g,\n  h,\n} from "g";',
    "export { i } from './i.ts';",
    "export type { J } from 'j';",
    "const k = await import('k');",
    "let l: typeof import('l');",
    "// import m from 'm';",
    "/** import n from 'n'; */",
  ].join('\n');
  expect(importsIn(source, 'shared/x/y.ts').map(({ target, kind }) => `${target} ${kind}`)).toEqual([
    'shared/x/side-effect.ts value',
    'a value',
    'b value',
    'shared/d/d.ts type',
    'e type',
    'g value',
    'shared/x/i.ts value',
    'j type',
    'k lazy',
    'l type',
  ]);
});

test('every folder has sources to check', () => {
  const folders = [
    'domain',
    'contracts',
    'errors',
    'ports',
    'usecases',
    'config',
    'observability',
    'adapters',
  ];
  for (const folder of folders) expect(sourcesOf(`shared/${folder}`).length).toBeGreaterThan(0);
  expect(sourcesOf('functions/orchestrators').length).toBeGreaterThan(3);
  expect(importsOf('functions/orchestrators').length).toBeGreaterThan(5);
  expect(
    importsOf('shared').filter(({ kind, target }) => kind === 'lazy' && SDK.test(target)).length,
  ).toBeGreaterThan(3);
});

describe('shared', () => {
  test.each(['shared/domain', 'shared/contracts'])('%s is pure', (folder) => {
    const packages = ['valibot', 'croner', 'node:crypto', 'node:buffer'];
    const isAllowed = ({ target }: Import) =>
      isIn(target, 'shared/domain', 'shared/contracts', 'shared/errors') || packages.includes(target);
    expect(violations(folder, isAllowed)).toEqual([]);
  });

  test('errors import nothing', () => {
    expect(violations('shared/errors', ({ target }) => isIn(target, 'shared/errors'))).toEqual([]);
  });

  test('ports speak in the words of the core', () => {
    const isAllowed = ({ target }: Import) =>
      isIn(target, 'shared/ports', 'shared/domain', 'shared/contracts', 'shared/errors');
    expect(violations('shared/ports', isAllowed)).toEqual([]);
  });

  test('use cases know ports, not the services behind them', () => {
    const isAllowed = ({ target }: Import) =>
      isRelative(target)
        ? isIn(target, 'shared') && !isIn(target, 'shared/adapters')
        : !SDK.test(target) && !HOST.test(target);
    expect(violations('shared/usecases', isAllowed)).toEqual([]);
  });

  test('config and observability know neither use cases nor adapters', () => {
    const isAllowed = ({ target }: Import) => !isIn(target, 'shared/usecases', 'shared/adapters');
    for (const folder of ['shared/config', 'shared/observability'])
      expect(violations(folder, isAllowed)).toEqual([]);
  });

  test('adapters know no use cases, and no other port’s adapter', () => {
    const ownFolder = (file: string) => file.split('/').slice(0, 3).join('/');
    const isAllowed = ({ file, target }: Import) =>
      !isIn(target, 'shared/usecases') && (!isIn(target, 'shared/adapters') || isIn(target, ownFolder(file)));
    expect(violations('shared/adapters', isAllowed)).toEqual([]);
  });

  test('nothing of it knows what stands around it', () => {
    expect(violations('shared', ({ target }) => !isRelative(target) || isIn(target, 'shared'))).toEqual([]);
  });

  test('SDKs are loaded only when they are called for', () => {
    expect(violations('shared', ({ target, kind }) => !SDK.test(target) || kind !== 'value')).toEqual([]);
  });
});

describe('functions', () => {
  test('knows nothing that is not deployed, and loads no SDK', () => {
    const isAllowed = ({ target, kind }: Import) =>
      (!isRelative(target) || isIn(target, 'shared', 'functions')) && (!SDK.test(target) || kind === 'type');
    expect(violations('functions', isAllowed)).toEqual([]);
  });

  test('loads use cases, adapters and settings only when they are called for', () => {
    const heavy = [
      'shared/usecases',
      'shared/adapters',
      'shared/config',
      'shared/contracts/load-definition.ts',
    ];
    // Functions are registered at start, and whether the host asks for keys is part of it.
    const atStart = 'shared/config/http-access.ts';
    const isAllowed = ({ target, kind }: Import) =>
      kind !== 'value' || target === atStart || !heavy.some((one) => target === one || isIn(target, one));
    expect(violations('functions', isAllowed)).toEqual([]);
  });

  test('alone knows Azure Functions, but for the local host and an app of the benchmarks', () => {
    const others = ['shared', 'dev', 'cli', 'bench', 'scripts'];
    const isAllowed = ({ file, target, kind }: Import) =>
      !HOST.test(target) ||
      (kind === 'type' && isIn(file, 'dev/functions-host')) ||
      isIn(file, 'bench/orchestrations-app');
    expect(others.flatMap((folder) => violations(folder, isAllowed))).toEqual([]);
  });
});

describe('orchestrators', () => {
  const FOLDER = 'functions/orchestrators';

  test('import only contracts, pure functions and durable-functions', () => {
    const isAllowed = ({ target }: Import) =>
      isIn(target, FOLDER, 'shared/contracts', 'shared/domain') || target === 'durable-functions';
    expect(violations(FOLDER, isAllowed)).toEqual([]);
  });

  test.each<[string, RegExp]>([
    ['the clock', /\bDate\.now\b|\bnew Date\(\s*\)|(?<!new )\bDate\(\s*\)|\bperformance\b/],
    ['chance', /\bMath\.random\b|\bcrypto\b|\brandomUUID\b/],
    ['the process and its environment', /\bprocess\b|\bglobalThis\b/],
    [
      'timers and promises',
      /\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b|\bPromise\.|\basync\b|\bawait\b/,
    ],
    ['the network', /\bfetch\b|\bWebSocket\b/],
  ])('do not use %s, which a replay would see otherwise', (_, forbidden) => {
    const used = sourcesOf(FOLDER).filter((file) => forbidden.test(withoutComments(read(file))));
    expect(used).toEqual([]);
  });
});
