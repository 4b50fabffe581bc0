const { appendFileSync } = require('node:fs');
const { app } = require('@azure/functions');
const df = require('durable-functions');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Every execution of an activity leaves a line, so that tests can count across killed hosts. */
function leaveTrace(text) {
  if (process.env.TRACE_FILE) appendFileSync(process.env.TRACE_FILE, `${text}\n`);
}

app.http('start', {
  route: 'start/{name}/{id?}',
  methods: ['POST'],
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const client = df.getClient(context);
    const text = await request.text();
    const id = await client.startNew(request.params.name, {
      ...(request.params.id ? { instanceId: request.params.id } : {}),
      ...(text === '' ? {} : { input: JSON.parse(text) }),
    });
    return client.createCheckStatusResponse(request, id);
  },
});

/** Runs one method of the durable client, as an app would. */
app.http('client', {
  route: 'client/{method}',
  methods: ['POST'],
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const client = df.getClient(context);
    const args = (await request.json()).map((each) => (each && each.date ? new Date(each.date) : each));
    for (const each of args) {
      for (const name of ['createdTimeFrom', 'createdTimeTo'])
        if (each && each[name]) each[name] = new Date(each[name]);
    }
    try {
      return { jsonBody: { ok: (await client[request.params.method](...args)) ?? null } };
    } catch (error) {
      return { status: 200, jsonBody: { error: error.message } };
    }
  },
});

df.app.activity('echo', {
  handler: async (input) => {
    leaveTrace(`echo ${JSON.stringify(input)}`);
    if (input && input.delayMs) await sleep(input.delayMs);
    return input;
  },
});
df.app.activity('slow', {
  handler: async (input) => {
    leaveTrace(`slow ${input}`);
    await sleep(30);
    return input * 2;
  },
});
df.app.activity('fail', {
  handler: async (input) => {
    leaveTrace(`fail ${JSON.stringify(input)}`);
    throw new Error(`no luck with ${JSON.stringify(input)}`);
  },
});
const attempts = new Map();
df.app.activity('failTwice', {
  handler: async (input) => {
    const attempt = (attempts.get(input) ?? 0) + 1;
    attempts.set(input, attempt);
    if (attempt < 3) throw new Error(`attempt ${attempt}`);
    return attempt;
  },
});
df.app.activity('starter', {
  extraInputs: [df.input.durableClient()],
  handler: async (input, context) => df.getClient(context).startNew('hello', { input }),
});

df.app.orchestration('hello', function* (context) {
  const input = context.df.getInput();
  const first = yield context.df.callActivity('echo', input);
  const second = yield context.df.callActivity('echo', 'text');
  context.df.setCustomStatus({ step: 2 });
  return { first, second, guid: context.df.newGuid('a') };
});
df.app.orchestration('fan', function* (context) {
  const { count } = context.df.getInput();
  const tasks = [];
  for (let index = 0; index < count; index += 1) tasks.push(context.df.callActivity('slow', index));
  const results = yield context.df.Task.all(tasks);
  return results.reduce((sum, each) => sum + each, 0);
});
df.app.orchestration('parent', function* (context) {
  const { subs, count } = context.df.getInput();
  const tasks = [];
  for (let index = 0; index < subs; index += 1) tasks.push(context.df.callSubOrchestrator('fan', { count }));
  return (yield context.df.Task.all(tasks)).reduce((sum, each) => sum + each, 0);
});
/** A lane: takes shards one after the other and starts afresh every three. */
df.app.orchestration('lane', function* (context) {
  const { left, sum, perShard } = context.df.getInput();
  if (left === 0) return sum;
  let total = sum;
  let rest = left;
  for (let turn = 0; turn < 3 && rest > 0; turn += 1) {
    total += yield context.df.callSubOrchestrator(
      'fan',
      { count: perShard },
      `${context.df.instanceId}-shard-${rest}`,
    );
    rest -= 1;
  }
  context.df.continueAsNew({ left: rest, sum: total, perShard });
});
df.app.orchestration('lanes', function* (context) {
  const { lanes, shards, perShard } = context.df.getInput();
  const tasks = [];
  for (let index = 0; index < lanes; index += 1) {
    const id = `${context.df.instanceId}-lane-${index}`;
    tasks.push(context.df.callSubOrchestrator('lane', { left: shards, sum: 0, perShard }, id));
  }
  return (yield context.df.Task.all(tasks)).reduce((sum, each) => sum + each, 0);
});
df.app.orchestration('failing', function* (context) {
  yield context.df.callActivity('fail', { why: 'test' });
});
df.app.orchestration('catching', function* (context) {
  const caught = [];
  try {
    yield context.df.callSubOrchestrator('failing', null);
  } catch (error) {
    caught.push(error.message);
  }
  try {
    yield context.df.callSubOrchestratorWithRetry('failing', new df.RetryOptions(20, 2), null);
  } catch (error) {
    caught.push(error.message);
  }
  try {
    yield context.df.callActivityWithRetry('fail', new df.RetryOptions(20, 2), 7);
  } catch (error) {
    caught.push(error.message);
  }
  const attempt = yield context.df.callActivityWithRetry(
    'failTwice',
    new df.RetryOptions(20, 5),
    context.df.instanceId,
  );
  return { caught, attempt };
});
df.app.orchestration('timer', function* (context) {
  const start = context.df.currentUtcDateTime.getTime();
  const { waitMs } = context.df.getInput();
  yield context.df.createTimer(new Date(start + waitMs));
  return context.df.currentUtcDateTime.getTime() - start;
});
df.app.orchestration('race', function* (context) {
  const deadline = context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 60_000));
  const work = context.df.callActivity('echo', 'won');
  const winner = yield context.df.Task.any([work, deadline]);
  if (winner === work) deadline.cancel();
  const after = yield context.df.callActivity('echo', 'after');
  return [work.result, after];
});
df.app.orchestration('waiter', function* (context) {
  const first = yield context.df.waitForExternalEvent('go');
  context.df.setCustomStatus('first');
  const second = yield context.df.waitForExternalEvent('go');
  return [first, second];
});
df.app.orchestration('counter', function* (context) {
  const state = context.df.getInput();
  const add = yield context.df.waitForExternalEvent('add');
  const sum = state.sum + add;
  if (state.left === 1) return sum;
  context.df.continueAsNew({ left: state.left - 1, sum });
});
df.app.orchestration('startsOthers', function* (context) {
  return yield context.df.callActivity('starter', { from: 'activity' });
});

df.app.orchestration('slidingWindow', function* (context) {
  const waiting = [0, 1, 2, 3].map((each) => context.df.callActivity('slow', each));
  let next = 4;
  while (waiting.length > 0) {
    const done = yield context.df.Task.any(waiting);
    waiting.splice(waiting.indexOf(done), 1);
    if (next < 12) waiting.push(context.df.callActivity('slow', next++));
  }
});
df.app.orchestration('unknownActivity', function* (context) {
  yield context.df.callActivity('notThere', 1);
});
df.app.orchestration('unknownChild', function* (context) {
  yield context.df.callSubOrchestrator('notThere', 1);
});
df.app.orchestration('emptyThrow', function* (context) {
  yield context.df.callActivity('echo', 1);
  throw new Error('');
});
df.app.orchestration('retryTimeout', function* (context) {
  const options = new df.RetryOptions(20, 3);
  options.retryTimeoutInMilliseconds = 1_000;
  yield context.df.callActivityWithRetry('fail', options, 1);
});
let flips = 0;
df.app.orchestration('undecided', function* (context) {
  flips += 1;
  yield context.df.callActivity(flips % 2 === 1 ? 'echo' : 'slow', 1);
});
df.app.orchestration('goesOnWithRetries', function* (context) {
  const options = new df.RetryOptions(50, 5);
  try {
    yield context.df.Task.all([
      context.df.callActivity('fail', 1),
      context.df.callActivityWithRetry('fail', options, 2),
    ]);
  } catch {}
  yield context.df.callActivity('echo', 'after');
});
df.app.orchestration('callsEntity', function* (context) {
  yield context.df.callEntity(new df.EntityId('counter', 'a'), 'get');
});
df.app.orchestration('clashes', function* (context) {
  try {
    return yield context.df.callSubOrchestrator('hello', null, context.df.getInput().id);
  } catch (error) {
    return error.message;
  }
});
