import { defineConfig, type Plugin } from 'rolldown';

/**
 * Packages that durable-functions requires at its start and needs later: to send HTTP requests, to check a URL, to make
 * a timer. Measured: axios alone, with the fetch of Node that it probes for, is half of the time to load the app.
 */
const NEEDED_LATER: readonly string[] = ['axios', 'moment', 'validator'];

/** Turns `const x = require("axios")` into a `require("axios")` wherever `x` is used; the first use evaluates the package. */
function requireLater(): Plugin {
  const found = new Set<string>();
  return {
    name: 'require-later',
    transform: {
      filter: { id: /[\\/]node_modules[\\/]durable-functions[\\/]lib[\\/]src[\\/].*\.js$/ },
      handler(code) {
        let changed = code;
        for (const name of NEEDED_LATER) {
          const [statement, variable] =
            new RegExp(`^const (\\w+) = require\\("${name}"\\);$`, 'm').exec(changed) ?? [];
          if (statement === undefined || variable === undefined) continue;
          found.add(name);
          changed = changed
            .replace(statement, '')
            .replaceAll(new RegExp(`\\b${variable}\\b(?=[.(])`, 'g'), `require("${name}")`);
        }
        return changed === code ? null : changed;
      },
    },
    generateBundle() {
      const missing = NEEDED_LATER.filter((name) => !found.has(name));
      if (missing.length > 0)
        this.error(`durable-functions no longer requires ${missing.join(', ')}: adapt rolldown.config.ts`);
    },
  };
}

/** One entry that the host loads and chunks that activities load when they are first called. */
export default defineConfig({
  input: { main: 'functions/main.ts' },
  platform: 'node',
  // The first is provided by the Functions worker. The second is a package of development that `debug` takes, and does
  // without, where it is not installed: what is deployed must not depend on that.
  external: ['@azure/functions-core', 'supports-color'],
  plugins: [requireLater()],
  output: {
    dir: 'dist',
    format: 'esm',
    cleanDir: true,
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    minify: true,
    sourcemap: false,
  },
});
