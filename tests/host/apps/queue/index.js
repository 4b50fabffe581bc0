const { app, output } = require('@azure/functions');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Every delivery of a message, for GET /api/deliveries. */
const deliveries = [];
let running = 0;
let most = 0;

const connection = 'AzureWebJobsStorage';
const results = output.storageQueue({ queueName: 'host-results', connection });
const fromHttp = output.storageQueue({ queueName: 'host-from-http', connection });
const returned = output.storageQueue({ queueName: 'host-returned', connection });

app.http('app', { authLevel: 'anonymous', handler: async () => ({ jsonBody: { app: 'queue' } }) });
app.http('deliveries', {
  authLevel: 'anonymous',
  handler: async () => ({ jsonBody: { deliveries, mostAtOnce: most } }),
});
app.http('resetMost', {
  methods: ['POST'],
  authLevel: 'anonymous',
  handler: async () => {
    most = 0;
  },
});

app.storageQueue('worker', {
  queueName: 'host-work',
  connection,
  extraOutputs: [results],
  handler: async (message, context) => {
    running += 1;
    most = Math.max(most, running);
    const { id, dequeueCount, insertionTime, expirationTime } = context.triggerMetadata;
    deliveries.push({
      message,
      messageId: id,
      dequeueCount,
      insertionTime,
      expirationTime,
      atMs: Date.now(),
    });
    try {
      // A handler that throws emits nothing, whatever it has set.
      context.extraOutputs.set(results, [{ got: message }, 'text']);
      if (message.sleepMs) await sleep(message.sleepMs);
      if (message.fails >= dequeueCount) throw new Error('no luck');
    } finally {
      running -= 1;
    }
  },
});
/** Hands on as text what came, and gives nothing when there is nothing. */
app.storageQueue('returner', {
  queueName: 'host-to-return',
  connection,
  return: returned,
  handler: async (message) => (message === 'nothing' ? undefined : message),
});
app.http('enqueue', {
  methods: ['POST'],
  authLevel: 'anonymous',
  extraOutputs: [fromHttp],
  handler: async (request, context) => {
    const { messages, status, throws } = await request.json();
    context.extraOutputs.set(fromHttp, messages);
    if (throws) throw new Error('after all');
    return { status, jsonBody: { set: true } };
  },
});
