const { appendFileSync, readFileSync } = require('node:fs');
const { app } = require('@azure/functions');
const df = require('durable-functions');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Executions of activities by name and input, for GET /api/executions. */
const executions = {};

/** Counts an execution; where TRACE_FILE names a file, a line in it outlives this process. */
function leaveTrace(text) {
  executions[text] = (executions[text] ?? 0) + 1;
  if (process.env.TRACE_FILE) appendFileSync(process.env.TRACE_FILE, `${text}\n`);
}

app.http('app', { authLevel: 'anonymous', handler: async () => ({ jsonBody: { app: 'durable' } }) });
app.http('executions', { authLevel: 'anonymous', handler: async () => ({ jsonBody: executions }) });
/** Addresses of the Durable API, with the key that it asks for. */
app.http('management', {
  route: 'management/{id}',
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => ({
    jsonBody: df.getClient(context).createHttpManagementPayload(request.params.id),
  }),
});

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
    leaveTrace(`slow ${JSON.stringify(input)}`);
    await sleep(30);
    return (input.value ?? input) * 2;
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
/** Succeeds once it was tried three times, also by other processes. */
df.app.activity('thirdTime', {
  handler: async (input) => {
    const text = `thirdTime ${input}`;
    leaveTrace(text);
    const file = process.env.TRACE_FILE;
    const lines = file ? readFileSync(file, 'utf8').split('\n') : [];
    const tries = file ? lines.filter((line) => line === text).length : executions[text];
    if (tries < 3) throw new Error(`try ${tries}`);
    return 'done';
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
df.app.orchestration('lateLoser', function* (context) {
  const fast = context.df.callActivity('echo', 'won');
  const slow = context.df.callActivity('slow', { of: context.df.instanceId, value: 7 });
  yield context.df.Task.any([fast, slow]);
  const late = yield slow;
  return [fast.result, late, yield context.df.callActivity('echo', 'after')];
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
/** Leaves a child and an activity behind with its first execution; the second one gives the same ids to others. */
df.app.orchestration('leavesWork', function* (context) {
  const { round } = context.df.getInput();
  if (round === 0) {
    const deadline = context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 50));
    const late = [
      context.df.callSubOrchestrator('timer', { waitMs: 400 }),
      context.df.callActivity('echo', { delayMs: 400, of: 'the first' }),
    ];
    yield context.df.Task.any([...late, deadline]);
    context.df.continueAsNew({ round: 1 });
    return;
  }
  return yield context.df.Task.all([
    context.df.callSubOrchestrator('timer', { waitMs: 1_000 }),
    context.df.callActivity('echo', { delayMs: 1_000, of: 'the second' }),
  ]);
});
df.app.orchestration('startsOthers', function* (context) {
  return yield context.df.callActivity('starter', { from: 'activity' });
});

df.app.orchestration('clashes', function* (context) {
  try {
    return yield context.df.callSubOrchestrator('hello', null, context.df.getInput().id);
  } catch (error) {
    return error.message;
  }
});
/** Two early events: one is read, the other is dropped with the execution that buffered it. */
df.app.orchestration('dropsBuffered', function* (context) {
  const { round } = context.df.getInput();
  if (round === 0) {
    yield context.df.waitForExternalEvent('ready');
    yield context.df.waitForExternalEvent('add');
    context.df.continueAsNew({ round: 1 });
    return;
  }
  const add = context.df.waitForExternalEvent('add');
  const deadline = context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 1_500));
  const first = yield context.df.Task.any([add, deadline]);
  if (first === deadline) return 'dropped';
  deadline.cancel();
  return add.result;
});
/** Which parts of it ran while replaying. */
df.app.orchestration('replays', function* (context) {
  const flags = [context.df.isReplaying];
  yield context.df.callActivity('echo', 1);
  flags.push(context.df.isReplaying);
  yield context.df.callActivity('echo', 2);
  flags.push(context.df.isReplaying);
  return flags;
});
/** Both children fail or not; the results keep their order. */
df.app.orchestration('mixedGroup', function* (context) {
  const unit = (input) => context.df.callSubOrchestrator('unit', input);
  return yield context.df.Task.all([unit({ fails: false }), unit({ fails: true }), unit({ fails: false })]);
});
df.app.orchestration('unit', function* (context) {
  try {
    yield context.df.callActivityWithRetry(
      context.df.getInput().fails ? 'fail' : 'echo',
      new df.RetryOptions(20, 2),
      'unit',
    );
    return { ok: true };
  } catch (error) {
    return { ok: false, error: error.message.includes('no luck') };
  }
});
/** The values that the border treats each in its own way. */
df.app.orchestration('values', function* (context) {
  const values = [0, 5, 1.5, true, '', '5', 'text', '"quoted"', [], [1, 'a', null], {}, { a: { b: 1 } }];
  const back = [];
  for (const value of values) back.push(yield context.df.callActivity('echo', value));
  const nothing = yield context.df.callActivity('nothing', null);
  return { values, back, nothing: nothing ?? null };
});
df.app.activity('nothing', { handler: async () => undefined });
df.app.orchestration('backoff', function* (context) {
  const options = new df.RetryOptions(100, 3);
  options.backoffCoefficient = 3;
  const start = context.df.currentUtcDateTime.getTime();
  try {
    yield context.df.callActivityWithRetry('fail', options, context.df.instanceId);
  } catch {}
  return context.df.currentUtcDateTime.getTime() - start;
});
/** Of everything a little, in two executions. */
df.app.orchestration('mixture', function* (context) {
  const { round, sum = 0, attempts = [], events = [] } = context.df.getInput();
  const parts = yield context.df.Task.all([
    context.df.callActivity('echo', `a${round}`),
    context.df.callActivity('echo', `b${round}`),
    context.df.callSubOrchestrator('part', { round }, `${context.df.instanceId}-part-${round}`),
  ]);
  const attempt = yield context.df.callActivityWithRetry(
    'thirdTime',
    new df.RetryOptions(10, 50),
    `${context.df.instanceId}-${round}`,
  );
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 20));
  context.df.setCustomStatus(`waits for go-${round}`);
  const event = yield context.df.waitForExternalEvent(`go-${round}`);
  const next = { sum: sum + parts[2], attempts: [...attempts, attempt], events: [...events, event] };
  if (round === 1) return next;
  context.df.continueAsNew({ round: round + 1, ...next });
});
df.app.orchestration('part', function* (context) {
  yield context.df.callActivity('echo', `c${context.df.getInput().round}`);
  return 1;
});
