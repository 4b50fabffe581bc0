const { app } = require('@azure/functions');
const df = require('durable-functions');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let dispatched = 0;

app.http('start', {
  route: 'start/{name}/{id?}',
  methods: ['POST'],
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const client = df.getClient(context);
    return client.createCheckStatusResponse(request, await client.startNew(request.params.name));
  },
});
app.http('dispatched', { authLevel: 'anonymous', handler: async () => ({ jsonBody: dispatched }) });

df.app.activity('echo', { handler: async (input) => input });
df.app.activity('never', {
  handler: async () => {
    dispatched += 1;
  },
});
df.app.activity('slow', {
  handler: async (input) => {
    await sleep(30);
    return input;
  },
});
df.app.activity('fail', {
  handler: async (input) => {
    throw new Error(`no luck with ${JSON.stringify(input)}`);
  },
});
df.app.activity('failForGood', {
  handler: async () => {
    throw new Error(JSON.stringify({ errorType: 'Bad', errorMessage: 'for good', isNonRetriable: true }));
  },
});

// 8.1: tasks that were yielded before, in a new Task.any.
df.app.orchestration('slidingWindow', function* (context) {
  const waiting = [0, 1, 2, 3].map((each) => context.df.callActivity('slow', each));
  let next = 4;
  while (waiting.length > 0) {
    const done = yield context.df.Task.any(waiting);
    waiting.splice(waiting.indexOf(done), 1);
    if (next < 12) waiting.push(context.df.callActivity('slow', next++));
  }
});
// The same with two tasks, the loser of which is listed once more.
df.app.orchestration('yieldsLoserInGroup', function* (context) {
  const first = context.df.callActivity('echo', 1);
  const second = context.df.callActivity('slow', 2);
  yield context.df.Task.any([first, second]);
  yield context.df.Task.all([second, context.df.callActivity('echo', 3)]);
});
// 8.2: goes on after a failure while another child retries.
df.app.orchestration('goesOnWithRetries', function* (context) {
  try {
    yield context.df.Task.all([
      context.df.callActivity('fail', 1),
      context.df.callActivityWithRetry('fail', new df.RetryOptions(50, 5), 2),
    ]);
  } catch {}
  yield context.df.callActivity('echo', 'after');
});
// The same without retries: allowed, with a warning.
df.app.orchestration('goesOnAfterFailure', function* (context) {
  try {
    yield context.df.Task.all([context.df.callActivity('fail', 1), context.df.callActivity('slow', 2)]);
  } catch {}
  return yield context.df.callActivity('echo', 'after');
});
// 8.3: the loser of Task.any retries, is yielded, and new work follows.
df.app.orchestration('yieldsRetryingLoser', function* (context) {
  const loser = context.df.callActivityWithRetry('fail', new df.RetryOptions(100, 3), 1);
  const winner = context.df.callActivity('echo', 2);
  yield context.df.Task.any([winner, loser]);
  try {
    yield loser;
  } catch {}
  return yield context.df.callActivity('echo', 'after');
});
// 8.4: nothing that tells of the failure crosses the border.
df.app.orchestration('throwsEmpty', function* (context) {
  yield context.df.callActivity('echo', 1);
  throw new Error('');
});
df.app.orchestration('throwsText', function* (context) {
  yield context.df.callActivity('echo', 1);
  throw 'only text';
});
df.app.orchestration('throwsObject', function* (context) {
  yield context.df.callActivity('echo', 1);
  throw { code: 7 };
});
df.app.orchestration('throwsNothing', function* (context) {
  yield context.df.callActivity('echo', 1);
  throw undefined;
});
// 8.5
df.app.orchestration('retryTimeout', function* (context) {
  const options = new df.RetryOptions(20, 3);
  options.retryTimeoutInMilliseconds = 1_000;
  yield context.df.callActivityWithRetry('fail', options, 1);
});
df.app.orchestration('nonRetriable', function* (context) {
  yield context.df.callActivityWithRetry('failForGood', new df.RetryOptions(20, 3), 1);
});
// 8.6
df.app.orchestration('continuesWithText', function* (context) {
  yield context.df.callActivity('echo', 1);
  context.df.continueAsNew('text');
});
df.app.orchestration('yieldsAfterContinueAsNew', function* (context) {
  context.df.continueAsNew({ again: true });
  yield context.df.callActivity('never', 1);
});
// 8.7
df.app.orchestration('unknownActivity', function* (context) {
  yield context.df.callActivity('notThere', 1);
});
df.app.orchestration('unknownInGroup', function* (context) {
  yield context.df.Task.all([
    context.df.callActivity('echo', 1),
    context.df.callActivityWithRetry('notThere', new df.RetryOptions(20, 2), 1),
  ]);
});
df.app.orchestration('unknownChild', function* (context) {
  yield context.df.callSubOrchestrator('notThere', 1);
});
// 8.8
df.app.orchestration('forgetsToYield', function* (context) {
  context.df.callActivity('never', 1);
  return yield context.df.callActivity('echo', 1);
});
df.app.orchestration('forgetsRetriedChild', function* (context) {
  context.df.callSubOrchestratorWithRetry('forgetsToYield', new df.RetryOptions(20, 2), null);
  context.df.continueAsNew({});
});
df.app.orchestration('emptyAll', function* (context) {
  yield context.df.Task.all([]);
});
// Decisions that differ between replays.
let flips = 0;
df.app.orchestration('undecided', function* (context) {
  flips += 1;
  yield context.df.callActivity(flips % 2 === 1 ? 'echo' : 'slow', 1);
});
df.app.orchestration('undecidedKind', function* (context) {
  flips += 1;
  if (flips % 2 === 1) yield context.df.callActivity('echo', 1);
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 10));
  yield context.df.callActivity('echo', 2);
});
// What this host does not do.
df.app.orchestration('callsEntity', function* (context) {
  yield context.df.callEntity(new df.EntityId('counter', 'a'), 'get');
});
df.app.orchestration('signalsEntity', function* (context) {
  context.df.signalEntity(new df.EntityId('counter', 'a'), 'add', 1);
  yield context.df.callActivity('echo', 1);
});
df.app.orchestration('callsHttp', function* (context) {
  yield context.df.callHttp({ method: 'GET', url: 'http://127.0.0.1:1/' });
});
df.app.orchestration('locks', function* (context) {
  yield context.df.lock(new df.EntityId('counter', 'a'));
});
df.app.orchestration('longStatus', function* (context) {
  context.df.setCustomStatus('x'.repeat(9_000));
  yield context.df.callActivity('echo', 1);
});
df.app.orchestration('yieldsNoTask', function* () {
  yield Promise.resolve(1);
});
df.app.orchestration('badTimer', function* (context) {
  yield context.df.createTimer(new Date('never'));
});
