import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}
const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, LockedPackage> };
const packages = Object.entries(lock.packages).filter(([folder]) => folder !== '');
const deployed = packages.filter(([, { dev }]) => dev !== true);
const security = read('SECURITY.md');

describe('the lock file', () => {
  test('every package is pinned by the hash of its contents', () => {
    expect(packages.length).toBeGreaterThan(200);
    expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-'))).toEqual([]);
  });

  test('no package that is deployed runs a script when it is installed', () => {
    expect(deployed.filter(([, { hasInstallScript }]) => hasInstallScript === true)).toEqual([]);
  });

  test('licences of what is deployed are among those that SECURITY.md lists', () => {
    const allowed = /^- Licences of .* among: (.+)\.$/m.exec(security)?.[1]?.split(', ') ?? [];
    expect(allowed).toContain('MIT');
    const isAllowed = (license: string) =>
      license
        .replace(/^\((.*)\)$/, '$1')
        .split(' AND ')
        .every((one) => allowed.includes(one));
    expect(
      deployed.flatMap(([folder, { license }]) =>
        license !== undefined && isAllowed(license) ? [] : [`${folder}: ${license}`],
      ),
    ).toEqual([]);
  });
});

describe('SECURITY.md', () => {
  test('SECURITY.md names each package that the app asks for, with its licence', () => {
    const rows = [...security.matchAll(/^\| `([^`]+)` \| (\S+) \| (.+) \|$/gm)];
    for (const [, , , reason] of rows) expect(reason!.length).toBeGreaterThan(8);
    expect(Object.fromEntries(rows.map(([, name, license]) => [name, license]))).toEqual(
      Object.fromEntries(
        Object.keys(dependencies).map((name) => [name, lock.packages[`node_modules/${name}`]?.license]),
      ),
    );
  });
});

describe('docs/THREAT-MODEL.md', () => {
  const model = read('docs/THREAT-MODEL.md');
  const named = [...model.matchAll(/`(tests\/[\w./-]+\.test\.ts)`((?::|,) "[^"]+")*/g)].map(
    ([text, file]) => ({
      file: file!,
      names: [...text.matchAll(/"([^"]+)"/g)].map(([, name]) => name!),
    }),
  );

  test('names tests that exist', () => {
    expect(named.length).toBeGreaterThan(20);
    const missing = named.flatMap(({ file, names }) => {
      if (!existsSync(path.join(ROOT, file))) return [file];
      const source = read(file).replaceAll("\\'", "'");
      return names.filter((name) => !source.includes(name)).map((name) => `${file}: ${name}`);
    });
    expect(missing).toEqual([]);
  });

  test('names a test for each measure, or says that there is none', () => {
    const rows = model.split('\n').filter((line) => line.startsWith('| ') && line.split(' | ').length === 3);
    const threats = rows.filter((line) => !line.startsWith('| threat '));
    expect(threats.length).toBeGreaterThan(30);
    expect(threats.filter((line) => !/\| (?:`tests\/.*|none(?::.*)?) \|$/.test(line))).toEqual([]);
    // What has no test is said to be missing, or is not the app's to do.
    expect(threats.filter((line) => line.includes('| not yet') && !line.endsWith('| none |'))).toEqual([]);
  });
});
