import { globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Loads every entry file of the app, in order of name.
 *
 * @throws when `package.json` has no `main`, when it matches no file, and when an entry file throws
 * @returns the files that were loaded
 */
export async function loadApp(appFolder: string): Promise<string[]> {
  const { main, type } = readManifest(appFolder);
  const files = globSync(main, { cwd: appFolder }).sort();
  if (files.length === 0) {
    throw new Error(`No file of ${appFolder} matches "${main}" (package.json "main"). Build the app first.`);
  }
  const require = createRequire(join(appFolder, 'package.json'));
  for (const file of files) {
    const path = join(appFolder, file);
    try {
      if (isModule(file, type)) await import(pathToFileURL(path).href);
      else require(path);
    } catch (error) {
      throw new Error(`The entry file ${path} threw while it was loaded. Correct it and start again.`, {
        cause: error,
      });
    }
  }
  return files;
}

function readManifest(appFolder: string): { main: string; type: string } {
  const path = join(appFolder, 'package.json');
  let manifest: { main?: unknown; type?: unknown };
  try {
    manifest = JSON.parse(readFileSync(path, 'utf8')) as typeof manifest;
  } catch (error) {
    throw new Error(`${path} can't be read as JSON. The app folder needs a package.json.`, { cause: error });
  }
  if (typeof manifest.main !== 'string' || manifest.main === '') {
    throw new Error(`${path} has no "main". Set it to the entry file, or to a glob of entry files.`);
  }
  return { main: manifest.main, type: typeof manifest.type === 'string' ? manifest.type : 'commonjs' };
}

function isModule(file: string, type: string): boolean {
  const extension = extname(file);
  if (extension === '.mjs' || extension === '.mts') return true;
  return type === 'module' && extension !== '.cjs' && extension !== '.cts';
}
