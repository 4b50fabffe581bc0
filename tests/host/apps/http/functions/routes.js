import { app } from '@azure/functions';

const show = (name) => async (request) => ({
  jsonBody: {
    name,
    method: request.method,
    params: request.params,
    query: Object.fromEntries(request.query),
    header: request.headers.get('x-test'),
    body: ['GET', 'HEAD'].includes(request.method) ? null : await request.text(),
  },
});

app.http('app', { authLevel: 'anonymous', handler: async () => ({ jsonBody: { app: 'http' } }) });

app.http('plain', { authLevel: 'anonymous', handler: show('plain') });
app.http('item', { route: 'items/{id:int}/{part?}', authLevel: 'anonymous', handler: show('item') });
app.http('latest', { route: 'items/latest', authLevel: 'anonymous', handler: show('latest') });
app.http('ranged', {
  route: 'ranged/{id:guid}/{size:range(1,5)}/{word:alpha:maxlength(3)}',
  authLevel: 'anonymous',
  handler: show('ranged'),
});
app.http('files', {
  route: 'files/{*path}',
  methods: ['GET', 'PUT', 'DELETE'],
  authLevel: 'anonymous',
  handler: show('files'),
});
app.http('everyMethod', {
  route: 'methods',
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
  authLevel: 'anonymous',
  handler: async (request) => ({
    status: 200,
    headers: { 'x-method': request.method },
    body: request.method,
  }),
});
app.http('readOnly', { route: 'split', methods: ['GET'], authLevel: 'anonymous', handler: show('readOnly') });
app.http('writeOnly', {
  route: 'split',
  methods: ['PUT'],
  authLevel: 'anonymous',
  handler: show('writeOnly'),
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
app.http('rich', {
  authLevel: 'anonymous',
  handler: async () => ({
    status: 201,
    headers: { 'x-answer': 'yes', 'content-type': 'text/plain' },
    cookies: [{ name: 'a', value: 'b c', httpOnly: true, maxAge: 60, sameSite: 'Strict' }],
    body: 'made',
  }),
});
app.http('binary', { authLevel: 'anonymous', handler: async () => ({ body: new Uint8Array([0, 255, 1]) }) });
app.http('hooks', { authLevel: 'anonymous', handler: async () => ({ jsonBody: [...globalThis.hookCalls] }) });
