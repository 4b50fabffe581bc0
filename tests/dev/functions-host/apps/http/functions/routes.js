import { app } from '@azure/functions';

const show = (name) => async (request) => ({
  jsonBody: {
    name,
    method: request.method,
    params: request.params,
    query: Object.fromEntries(request.query),
    header: request.headers.get('x-test'),
    body: request.method === 'GET' ? null : await request.text(),
  },
});

app.http('plain', { authLevel: 'anonymous', handler: show('plain') });
app.http('item', { route: 'items/{id:int}/{part?}', authLevel: 'anonymous', handler: show('item') });
app.http('latest', { route: 'items/latest', authLevel: 'anonymous', handler: show('latest') });
app.http('files', {
  route: 'files/{*path}',
  methods: ['GET', 'PUT', 'DELETE'],
  authLevel: 'anonymous',
  handler: show('files'),
});
app.http('keyed', { route: 'keyed', authLevel: 'function', handler: show('keyed') });
app.http('owner', { route: 'owner', authLevel: 'admin', handler: show('owner') });
app.http('nothing', { authLevel: 'anonymous', handler: async () => undefined });
app.http('broken', {
  authLevel: 'anonymous',
  handler: async () => {
    throw new Error('secret detail');
  },
});
app.http('endless', { authLevel: 'anonymous', handler: () => new Promise(() => undefined) });
app.http('settings', {
  authLevel: 'anonymous',
  handler: async () => ({
    status: 201,
    headers: { 'x-answer': 'yes' },
    cookies: [{ name: 'a', value: 'b c', httpOnly: true, maxAge: 60, sameSite: 'Strict' }],
    jsonBody: {
      file: process.env.FROM_FILE,
      both: process.env.FROM_BOTH,
      hostname: process.env.WEBSITE_HOSTNAME,
      hooks: globalThis.hookCalls,
    },
  }),
});
app.http('binary', { authLevel: 'anonymous', handler: async () => ({ body: new Uint8Array([0, 255, 1]) }) });
