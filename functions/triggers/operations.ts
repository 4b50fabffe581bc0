import { app } from '@azure/functions';
import * as df from 'durable-functions';

import { orchestrationsOf } from '../durable-orchestrations.ts';
import { API_AUTH_LEVEL } from './caller.ts';
import { addressOf, answering, json, readJson } from './http-answer.ts';

app.http('undoRun', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'runs/{id}/undo',
  extraInputs: [df.input.durableClient()],
  handler: answering('admin', async (loader, request, context) => {
    const { startUndo } = await import('../../shared/usecases/undo-run.ts');
    const runId = request.params['id'] ?? '';
    const { operationId, tag } = await startUndo(loader, orchestrationsOf(context), runId);
    const location = addressOf(request, `/api/operations/${operationId}`);
    return json(202, { operationId, runId, tag, status: location }, { location, 'retry-after': '2' });
  }),
});

app.http('resetLoad', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'loads/{name}/reset',
  extraInputs: [df.input.durableClient()],
  handler: answering('admin', async (loader, request, context) => {
    const { parseReset, startReset } = await import('../../shared/usecases/reset-ledger.ts');
    const load = request.params['name'] ?? '';
    const { prefix } = parseReset(await readJson(request));
    const { operationId } = await startReset(loader, orchestrationsOf(context), { load, prefix });
    const location = addressOf(request, `/api/operations/${operationId}`);
    return json(202, { operationId, load, prefix, status: location }, { location, 'retry-after': '2' });
  }),
});

app.http('cancelOperation', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'operations/{id}/cancel',
  handler: answering('admin', async (loader, request) => {
    const { cancelOperation } = await import('../../shared/usecases/cancel-operation.ts');
    return json(200, await cancelOperation(loader, request.params['id'] ?? ''));
  }),
});

app.http('getOperation', {
  methods: ['GET'],
  authLevel: API_AUTH_LEVEL,
  route: 'operations/{id}',
  handler: answering('reader', async (loader, request) => {
    const { readOperation } = await import('../../shared/usecases/operation-documents.ts');
    const operation = await readOperation(loader, request.params['id'] ?? '');
    return json(200, operation, operation.state === 'running' ? { 'retry-after': '2' } : {});
  }),
});
