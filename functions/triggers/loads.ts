import { app } from '@azure/functions';
import * as df from 'durable-functions';

import type { CatalogEntry } from '../../shared/usecases/load-catalog.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { orchestrationsOf } from '../durable-orchestrations.ts';
import { API_AUTH_LEVEL } from './caller.ts';
import { addressOf, answering, json, MAX_DEFINITION_BYTES, readJson, startedRun } from './http-answer.ts';

const catalog = () => import('../../shared/usecases/load-catalog.ts');

/** The load, with what is allowed in it and may not be meant. */
async function shownWithWarnings(loader: Loader, entry: CatalogEntry) {
  const { warnOfOverlaps } = await import('../../shared/usecases/overlaps.ts');
  return { ...shown(entry), warnings: await warnOfOverlaps(loader, entry.definition) };
}

function shown({ definition, generation, updatedAt }: CatalogEntry) {
  return { ...definition, generation, updatedAt };
}

app.http('listLoads', {
  methods: ['GET'],
  authLevel: API_AUTH_LEVEL,
  route: 'loads',
  handler: answering('reader', async (loader) =>
    json(200, { loads: (await (await catalog()).listLoads(loader)).map(shown) }),
  ),
});

app.http('getLoad', {
  methods: ['GET'],
  authLevel: API_AUTH_LEVEL,
  route: 'loads/{name}',
  handler: answering('reader', async (loader, request) => {
    const entry = await (await catalog()).getLoad(loader, request.params['name'] ?? '');
    return json(200, await shownWithWarnings(loader, entry));
  }),
});

app.http('putLoad', {
  methods: ['PUT'],
  authLevel: API_AUTH_LEVEL,
  route: 'loads/{name}',
  handler: answering('admin', async (loader, request) => {
    const name = request.params['name'] ?? '';
    const definition = await readJson(request, MAX_DEFINITION_BYTES);
    const { entry, created } = await (await catalog()).putLoad(loader, name, definition);
    const body = await shownWithWarnings(loader, entry);
    return json(created ? 201 : 200, body, { location: addressOf(request, `/api/loads/${name}`) });
  }),
});

app.http('deleteLoad', {
  methods: ['DELETE'],
  authLevel: API_AUTH_LEVEL,
  route: 'loads/{name}',
  handler: answering('admin', async (loader, request) => {
    await (await catalog()).deleteLoad(loader, request.params['name'] ?? '');
    return { status: 204 };
  }),
});

app.http('startRun', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'loads/{name}/runs',
  extraInputs: [df.input.durableClient()],
  handler: answering('operator', async (loader, request, context) => {
    const [{ getLoad }, { parseRunOptions, startRun }, { warnOfOverlaps }] = await Promise.all([
      catalog(),
      import('../../shared/usecases/start-run.ts'),
      import('../../shared/usecases/overlaps.ts'),
    ]);
    const load = request.params['name'] ?? '';
    const { definition } = await getLoad(loader, load);
    const options = parseRunOptions(await readJson(request), definition.source.prefix);
    const idempotencyKey = request.headers.get('idempotency-key');
    const { runId } = await startRun(loader, orchestrationsOf(context), {
      load,
      trigger: 'manual',
      options,
      idempotencyKey,
    });
    return startedRun(request, runId, { warnings: await warnOfOverlaps(loader, definition) });
  }),
});
