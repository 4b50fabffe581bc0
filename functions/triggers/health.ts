import { app } from '@azure/functions';

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
