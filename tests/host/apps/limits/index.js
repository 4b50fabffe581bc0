const { app } = require('@azure/functions');
const df = require('durable-functions');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** How many ran at once, at most, and the most events that one orchestrator turn got. */
const most = { activities: 0, orchestrators: 0, events: 0 };
const running = { activities: 0, orchestrators: 0 };
const orchestratorStarted = 12;
/** Spans of the activity `pair`, by input. */
const spans = {};

function enter(kind) {
  running[kind] += 1;
  most[kind] = Math.max(most[kind], running[kind]);
}

const isTurn = (context) => context.invocationContext.options.trigger.type === 'orchestrationTrigger';

// An orchestrator itself never waits; a hook around it may.
app.hook.preInvocation(async (context) => {
  if (!isTurn(context)) return;
  const { history } = context.inputs[0];
  const events = history.filter((each) => !each.IsPlayed && each.EventType !== orchestratorStarted);
  most.events = Math.max(most.events, events.length);
  enter('orchestrators');
  await sleep(60);
});
app.hook.postInvocation((context) => {
  if (isTurn(context)) running.orchestrators -= 1;
});

app.http('app', { authLevel: 'anonymous', handler: async () => ({ jsonBody: { app: 'limits' } }) });
app.http('most', { authLevel: 'anonymous', handler: async () => ({ jsonBody: most }) });
app.http('spans', { authLevel: 'anonymous', handler: async () => ({ jsonBody: spans }) });
app.http('start', {
  route: 'start/{name}/{id?}',
  methods: ['POST'],
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const client = df.getClient(context);
    const id = await client.startNew(request.params.name, { input: await request.json() });
    return client.createCheckStatusResponse(request, id);
  },
});

df.app.activity('work', {
  handler: async (sleepMs) => {
    enter('activities');
    if (sleepMs > 0) await sleep(sleepMs);
    running.activities -= 1;
  },
});
df.app.activity('pair', {
  handler: async (input) => {
    enter('activities');
    const span = { startMs: performance.now() };
    const runs = (spans[input] = [...(spans[input] ?? []), span]);
    await sleep(30);
    span.endMs = performance.now();
    running.activities -= 1;
    return runs.length;
  },
});
df.app.orchestration('fan', function* (context) {
  const { count, sleepMs } = context.df.getInput();
  const tasks = [];
  for (let index = 0; index < count; index += 1) tasks.push(context.df.callActivity('work', sleepMs));
  yield context.df.Task.all(tasks);
  return count;
});
/** Ends when it has got so many events. */
df.app.orchestration('collect', function* (context) {
  const { count } = context.df.getInput();
  let sum = 0;
  for (let index = 0; index < count; index += 1) sum += yield context.df.waitForExternalEvent('add');
  return sum;
});
df.app.orchestration('pairs', function* (context) {
  const { count } = context.df.getInput();
  const tasks = [];
  for (let index = 0; index < count; index += 1) tasks.push(context.df.callActivity('pair', index));
  yield context.df.Task.all(tasks);
  return count;
});
