import { defineConfig } from 'vitest/config';

/** One project per kind of test; `vitest --project unit` runs one of them. */
const project = (name: string, include: string[], testTimeout: number) => ({
  test: { name, include, testTimeout, hookTimeout: 60_000, environment: 'node' as const },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    // Files that share one given host must not purge what the other waits for.
    fileParallelism: !process.env['HOST_URL'],
    projects: [
      project('unit', ['tests/unit/**/*.test.ts', 'tests/model/**/*.test.ts'], 20_000),
      project('contract', ['tests/contract/**/*.test.ts'], 60_000),
      project('replay', ['tests/replay/**/*.test.ts'], 60_000),
      project('dev', ['tests/dev/**/*.test.ts'], 60_000),
      project('host', ['tests/host/**/*.test.ts'], process.env['HOST_URL'] ? 600_000 : 60_000),
      project('e2e', ['tests/e2e/**/*.test.ts'], 180_000),
      project('security', ['tests/security/**/*.test.ts'], 60_000),
      project('chaos', ['tests/chaos/**/*.test.ts'], 240_000),
      project('full', ['tests/full/**/*.test.ts'], 180_000),
    ],
  },
});
