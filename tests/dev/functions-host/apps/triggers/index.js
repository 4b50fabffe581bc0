const { appendFileSync } = require('node:fs');
const { app, output } = require('@azure/functions');

const trace = (entry) => appendFileSync(process.env.TRACE_FILE, `${JSON.stringify(entry)}\n`);

app.timer('everySecond', { schedule: '%TIMER_SCHEDULE%', handler: async (timer) => trace({ tick: timer }) });
app.timer('hourly', { schedule: '0 0 * * * *', handler: async (timer) => trace({ hourly: timer }) });
app.timer('startup', {
  schedule: '0 30 4 1 1 *',
  runOnStartup: true,
  useMonitor: false,
  retry: { strategy: 'fixedDelay', delayInterval: { milliseconds: 0 }, maxRetryCount: 2 },
  handler: async (_timer, context) => {
    trace({ startup: context.retryContext.retryCount });
    if (context.retryContext.retryCount < 2) throw new Error('again');
  },
});

if (process.env.AzureWebJobsStorage) {
  const results = output.storageQueue({ queueName: 'results', connection: 'AzureWebJobsStorage' });
  app.storageQueue('worker', {
    queueName: '%QUEUE_NAME%',
    connection: 'AzureWebJobsStorage',
    extraOutputs: [results],
    handler: async (message, context) => {
      trace({ message, dequeueCount: context.triggerMetadata.dequeueCount });
      context.extraOutputs.set(results, [{ got: message }]);
      if (message.poison) throw new Error('poisonous');
    },
  });
}
