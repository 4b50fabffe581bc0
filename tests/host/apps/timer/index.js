const { app } = require('@azure/functions');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const ticks = { everySecond: [], startup: [], slow: [], hourly: [] };
let running = 0;
let most = 0;

app.http('app', { authLevel: 'anonymous', handler: async () => ({ jsonBody: { app: 'timer' } }) });
app.http('ticks', {
  authLevel: 'anonymous',
  handler: async () => ({ jsonBody: { ...ticks, mostAtOnce: most } }),
});

app.timer('everySecond', {
  schedule: '* * * * * *',
  handler: async (timer) => {
    ticks.everySecond.push({ atMs: Date.now(), timer });
  },
});
/** Takes longer than its interval. */
app.timer('slow', {
  schedule: '*/1 * * * * *',
  handler: async () => {
    running += 1;
    most = Math.max(most, running);
    const startMs = Date.now();
    await sleep(1_400);
    ticks.slow.push({ startMs, endMs: Date.now() });
    running -= 1;
  },
});
app.timer('startup', {
  schedule: '0 30 4 1 1 *',
  runOnStartup: true,
  useMonitor: false,
  retry: { strategy: 'fixedDelay', delayInterval: { milliseconds: 0 }, maxRetryCount: 2 },
  handler: async (timer, context) => {
    const { retryCount } = context.retryContext ?? { retryCount: 0 };
    ticks.startup.push({ retryCount, isPastDue: timer.isPastDue });
    if (retryCount < 2) throw new Error('again');
  },
});
app.timer('hourly', {
  schedule: process.env.HOURLY_SCHEDULE ?? '0 0 * * * *',
  handler: async (timer) => {
    ticks.hourly.push({ timer });
  },
});
