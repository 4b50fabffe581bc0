import { startFunctionsHost } from '../../../dev/functions-host/index.ts';

// A parent for the test of orphans: starts a host, says its id, and waits to be killed.
const [appFolder = '', stateFile = ''] = process.argv.slice(2);
const host = await startFunctionsHost({ appFolder, stateFile, graceMs: 0 });
process.stdout.write(`${host.pid}\n`);
setInterval(() => undefined, 1_000);
