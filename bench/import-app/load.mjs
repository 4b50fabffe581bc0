/**
 * Loads an app as a Functions worker does at its start, and prints what that took as one line of JSON.
 *
 *   node load.mjs <URL of the entry> [--files]
 *
 * With `--files` the files that were loaded are counted, which makes the times worthless. Plain JavaScript,
 * so that Node compiles nothing but the app.
 */
import { statSync } from 'node:fs';
import Module, { registerHooks } from 'node:module';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

let functions = 0;
const nothing = { dispose: () => undefined };

/** What the worker provides. Without it `@azure/functions` goes into its test mode and registers nothing. */
const core = {
  version: '4.0.0',
  hostVersion: '4.0.0',
  registerFunction: () => {
    functions += 1;
    return nothing;
  },
  registerHook: () => nothing,
  setProgrammingModel: () => undefined,
  getProgrammingModel: () => undefined,
  log: () => undefined,
  Disposable: class {},
};
const { require } = Module.prototype;
// The worker itself provides it this way.
Module.prototype.require = function requireOrCore(id) {
  return id === '@azure/functions-core' ? core : require.call(this, id);
};

const [entry, option] = process.argv.slice(2);
const files = { count: 0, bytes: 0 };
if (option === '--files') {
  registerHooks({
    load: (url, context, next) => {
      if (url.startsWith('file:')) {
        files.count += 1;
        files.bytes += statSync(fileURLToPath(url)).size;
      }
      return next(url, context);
    },
  });
}

const cpuBefore = process.cpuUsage();
const startedAt = performance.now();
await import(entry);
const { user, system } = process.cpuUsage(cpuBefore);
const wallMs = performance.now() - startedAt;
console.log(JSON.stringify({ functions, cpuMs: (user + system) / 1000, wallMs, files }));
process.exit(0);
