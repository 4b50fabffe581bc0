const { app } = require('@azure/functions');
const df = require('durable-functions');

/** Activities that do nothing, in sub-orchestrations of 100 as the product's shards: what is left is the host's own work. */
df.app.activity('nothing', { handler: () => ({ ok: true }) });

df.app.orchestration('hundred', function* (context) {
  yield context.df.Task.all(Array.from({ length: 100 }, (_, n) => context.df.callActivity('nothing', { n })));
});

df.app.orchestration('hundreds', function* (context) {
  const { hundreds } = context.df.getInput();
  yield context.df.Task.all(
    Array.from({ length: hundreds }, (_, n) =>
      context.df.callSubOrchestrator('hundred', null, `${context.df.instanceId}-${n}`),
    ),
  );
});

/** As people write it first: one orchestrator that fans out to an activity for each object. */
df.app.orchestration('naive', function* (context) {
  const { activities } = context.df.getInput();
  yield context.df.Task.all(
    Array.from({ length: activities }, (_, n) => context.df.callActivity('nothing', { n })),
  );
});

app.http('startNaive', {
  route: 'naive/{activities}',
  methods: ['POST'],
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const input = { activities: Number(request.params.activities) };
    return { jsonBody: await df.getClient(context).startNew('naive', { input }) };
  },
});

app.http('start', {
  route: 'start/{hundreds}',
  methods: ['POST'],
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const input = { hundreds: Number(request.params.hundreds) };
    return { jsonBody: await df.getClient(context).startNew('hundreds', { input }) };
  },
});
