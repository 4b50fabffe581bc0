import { app } from '@azure/functions';

import { API_AUTH_LEVEL } from './caller.ts';
import { answering, json, MAX_DEFINITION_BYTES, readJson } from './http-answer.ts';

/** Tests the ways to a bucket and to a table before, or without, a load that uses them. */
app.http('testConnections', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'connections/test',
  handler: answering('operator', async (loader, request) => {
    const [{ parseConnectionTest }, { testConnections }] = await Promise.all([
      import('../../shared/config/parse-definition.ts'),
      import('../../shared/usecases/test-connections.ts'),
    ]);
    const asked = parseConnectionTest(await readJson(request, MAX_DEFINITION_BYTES));
    return json(200, await testConnections(loader, asked));
  }),
});
