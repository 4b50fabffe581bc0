import { app, type HttpRequest, type HttpResponseInit } from '@azure/functions';
import * as df from 'durable-functions';

import type { RunState } from '../../shared/domain/run-summary.ts';
import { LoaderError } from '../../shared/errors/loader-error.ts';
import type { ObjectFilter } from '../../shared/usecases/read-run.ts';
import { orchestrationsOf } from '../durable-orchestrations.ts';
import { API_AUTH_LEVEL } from './caller.ts';
import { addressOf, answering, json, readJson, readLimit, startedRun } from './http-answer.ts';

const reading = () => import('../../shared/usecases/read-run.ts');
const suspending = () => import('../../shared/usecases/suspend-run.ts');

app.http('listRuns', {
  methods: ['GET'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs',
  handler: answering('reader', async (loader, request) => {
    const { listRuns } = await reading();
    const limit = readLimit(request, 50, 500);
    return json(
      200,
      await listRuns(loader, { load: request.query.get('load'), limit, after: request.query.get('after') }),
    );
  }),
});

app.http('getRun', {
  methods: ['GET'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs/{id}',
  handler: answering('reader', async (loader, request) => {
    const status = await (await reading()).readRunStatus(loader, request.params['id'] ?? '');
    return json(200, status, status.summary === null ? { 'retry-after': '2' } : {});
  }),
});

app.http('listObjects', {
  methods: ['GET'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs/{id}/objects',
  handler: answering('reader', async (loader, request) => {
    const { listObjects, OBJECT_FILTERS } = await reading();
    const limit = readLimit(request, 100, 1000);
    const state = readState(request, OBJECT_FILTERS);
    return json(
      200,
      await listObjects(loader, request.params['id'] ?? '', {
        state,
        limit,
        after: request.query.get('after'),
      }),
    );
  }),
});

app.http('countRows', {
  methods: ['GET'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs/{id}/rows',
  handler: answering('reader', async (loader, request) => {
    const { recountRows } = await import('../../shared/usecases/count-rows.ts');
    return json(200, await recountRows(loader, request.params['id'] ?? ''));
  }),
});

app.http('cancelRun', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs/{id}/cancel',
  handler: answering('operator', async (loader, request) => {
    const { cancelRun } = await import('../../shared/usecases/cancel-run.ts');
    const runId = request.params['id'] ?? '';
    return ordered(request, runId, await cancelRun(loader, runId));
  }),
});

app.http('suspendRun', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs/{id}/suspend',
  handler: answering('operator', async (loader, request) => {
    const runId = request.params['id'] ?? '';
    const { suspendRun } = await suspending();
    return ordered(request, runId, await suspendRun(loader, runId));
  }),
});

app.http('resumeRun', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs/{id}/resume',
  handler: answering('operator', async (loader, request) => {
    const runId = request.params['id'] ?? '';
    const { resumeRun } = await suspending();
    return ordered(request, runId, await resumeRun(loader, runId));
  }),
});

app.http('rerun', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs/{id}/rerun',
  extraInputs: [df.input.durableClient()],
  handler: answering('operator', async (loader, request, context) => {
    const { parseRerun, startRerun } = await import('../../shared/usecases/rerun.ts');
    const rerun = { runId: request.params['id'] ?? '', ...parseRerun(await readJson(request)) };
    const idempotencyKey = request.headers.get('idempotency-key');
    const { runId } = await startRerun(loader, orchestrationsOf(context), { rerun, idempotencyKey });
    return startedRun(request, runId);
  }),
});

/** The answer to an order that the parts of a run follow within seconds. */
function ordered(request: HttpRequest, runId: string, state: RunState): HttpResponseInit {
  return json(
    202,
    { runId, state },
    { location: addressOf(request, `/api/runs/${runId}`), 'retry-after': '2' },
  );
}

function readState(request: HttpRequest, allowed: readonly ObjectFilter[]): ObjectFilter | null {
  const state = request.query.get('state');
  if (state === null) return null;
  const found = allowed.find((one) => one === state);
  if (found !== undefined) return found;
  throw new LoaderError('invalidRequest', 'The query is not valid', {
    problems: [{ field: 'state', message: `must be one of ${allowed.join(', ')}` }],
  });
}
