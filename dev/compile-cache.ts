import { fileURLToPath } from 'node:url';

/**
 * Environment in which Node keeps what it has compiled of the modules it loads, types taken off, under `node_modules`.
 * The next process of the same kind then starts with less CPU time: 0.36 s instead of 0.65 s for the functions host, seen
 * on 2 cores.
 */
export const compileCacheEnv: Readonly<Record<string, string>> = {
  NODE_COMPILE_CACHE:
    process.env['NODE_COMPILE_CACHE'] ??
    fileURLToPath(new URL('../node_modules/.cache/node', import.meta.url)),
};
