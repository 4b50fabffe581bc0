import { app } from '@azure/functions';

import type { createReadiness } from '../../shared/usecases/readiness.ts';
import { API_AUTH_LEVEL } from './caller.ts';
import { answering, json } from './http-answer.ts';

/** Says that the app is up. Nothing about loads or settings: it is the one endpoint that anyone may call. */
app.http('health', {
  methods: ['GET'],
  authLevel: 'anonymous',
  route: 'health',
  handler: async () => ({
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ status: 'ok' }),
  }),
});

let readinessOf: ReturnType<typeof createReadiness> | null = null;

/** Says whether a load could be loaded now. It names clusters and buckets, so it is not for anyone. */
app.http('ready', {
  methods: ['GET'],
  authLevel: API_AUTH_LEVEL,
  route: 'ready',
  handler: answering('reader', async (loader) => {
    const usecase = await import('../../shared/usecases/readiness.ts');
    readinessOf ??= usecase.createReadiness();
    const readiness = await readinessOf(loader);
    return json(readiness.ready ? 200 : 503, readiness, {
      'cache-control': 'no-store',
      ...(readiness.ready ? {} : { 'retry-after': '10' }),
    });
  }),
});
