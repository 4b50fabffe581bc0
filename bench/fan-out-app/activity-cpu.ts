import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

type Callback = (...args: unknown[]) => unknown;

interface HookContext {
  readonly invocationContext: {
    readonly functionName: string;
    readonly options: { readonly trigger: { readonly type: string } };
  };
  functionCallback: Callback;
}

/** The part of the worker's module that is used here. */
interface FunctionsCore {
  registerHook(name: 'preInvocation', hook: (context: HookContext) => void): void;
}

/** What a host can't tell apart by itself: its activities share a thread with it. */
export interface ActivityCpu {
  readonly activityCpuMs: number;
}

/**
 * Adds up the CPU time during which any activity is at work. With ports that answer in memory an activity
 * never waits for the event loop, so nothing of the host's own runs in between. Written to the file that
 * `BENCH_CPU_FILE` names whenever a run has finished.
 */
export function measureActivities(): void {
  const core = createRequire(import.meta.url)('@azure/functions-core') as FunctionsCore;
  const file = process.env['BENCH_CPU_FILE'];
  let atWork = 0;
  let since = 0;
  let activityCpuMs = 0;

  core.registerHook('preInvocation', (context) => {
    const { functionName, options } = context.invocationContext;
    if (options.trigger.type !== 'activityTrigger') return;
    const { functionCallback } = context;
    context.functionCallback = async (...args) => {
      if (atWork === 0) since = cpuMs();
      atWork += 1;
      try {
        return await functionCallback(...args);
      } finally {
        atWork -= 1;
        if (atWork === 0) activityCpuMs += cpuMs() - since;
        if (functionName === 'finishRun' && file !== undefined) {
          writeFileSync(file, JSON.stringify({ activityCpuMs } satisfies ActivityCpu));
        }
      }
    };
  });
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
