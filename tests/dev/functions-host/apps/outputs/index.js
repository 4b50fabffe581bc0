const { app, output } = require('@azure/functions');
const df = require('durable-functions');

/** FUNCTIONS names which ones are registered. */
const wanted = (process.env.FUNCTIONS ?? '').split(',');
const queue = output.storageQueue({ queueName: 'from-activity', connection: 'Work' });

app.http('start', {
  route: 'start/{name}',
  methods: ['POST'],
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const client = df.getClient(context);
    return client.createCheckStatusResponse(request, await client.startNew(request.params.name));
  },
});
df.app.orchestration('writes', function* (context) {
  return yield context.df.callActivity('writer', { n: 1 });
});
if (wanted.includes('activity')) {
  df.app.activity('writer', {
    extraOutputs: [queue],
    handler: async (input, context) => {
      context.extraOutputs.set(queue, [input]);
      return 'written';
    },
  });
}
if (wanted.includes('trigger')) {
  app.storageQueue('reader', {
    queueName: process.env.QUEUE_NAME ?? 'work',
    connection: 'Work',
    handler: async () => undefined,
  });
}
if (wanted.includes('orchestrator')) {
  df.app.orchestration('emits', { extraOutputs: [queue], handler: function* () {} });
}
