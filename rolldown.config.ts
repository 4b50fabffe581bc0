import { defineConfig } from 'rolldown';

/** One entry that the host loads and chunks that activities load when they are first called. */
export default defineConfig({
  input: { main: 'functions/main.ts' },
  platform: 'node',
  // Provided by the Functions worker.
  external: ['@azure/functions-core'],
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
