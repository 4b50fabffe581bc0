/**
 * Child process of `startAzurite`: runs Azurite's own command line entry in this process and ends with its
 * parent. Kept apart from index.ts because Azurite has no call that starts all three services.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

// The parent holds the IPC channel open; the channel closes however the parent ends, SIGKILL included.
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined); // Ctrl-C reaches the whole process group; the parent decides.

/**
 * Drivers that Azurite loads at start and uses only with AZURITE_DB or telemetry, neither of which is on here.
 * Not loading them takes the start from about 0.9 s to 0.35 s.
 */
const unusedModules = new Set(['mysql2', 'tedious', 'sequelize', 'applicationinsights']);

interface ModuleLoader {
  _load(request: string, parent: unknown, isMain: boolean): unknown;
}
const loader = require('node:module') as ModuleLoader;
const load = loader._load;
if (process.env['AZURITE_DB'] === undefined) {
  loader._load = (request, parent, isMain) =>
    unusedModules.has(request) ? emptyModule() : load.call(loader, request, parent, isMain);
}

function emptyModule(): unknown {
  return new Proxy(() => undefined, {
    get: (_target, key) => (key === 'Model' ? class {} : key === '__esModule' ? false : () => undefined),
  });
}

/**
 * Azurite removes the expired messages, mostly none, at each request to a queue, and Loki then builds all indexes anew:
 * 2.5 us for each message that waits, for each request. With thousands of messages it answers nobody for half a minute.
 */
interface LokiCollection {
  remove(documents: object): void;
}
const { prototype: collection } = (
  createRequire(require.resolve('azurite/package.json'))('lokijs') as {
    Collection: { prototype: LokiCollection };
  }
).Collection;
const { remove } = collection;
collection.remove = function (documents) {
  if (!Array.isArray(documents) || documents.length > 0) remove.call(this, documents);
};

require('azurite/dist/src/azurite.js');
