const { app } = require('@azure/functions');

app.http('settings', {
  authLevel: 'anonymous',
  handler: async () => ({
    jsonBody: {
      file: process.env.FROM_FILE,
      both: process.env.FROM_BOTH,
      envFile: process.env.FROM_ENV_FILE,
      overFile: process.env.OVER_FILE,
      hostname: process.env.WEBSITE_HOSTNAME,
    },
  }),
});
app.http('repeated', {
  authLevel: 'anonymous',
  handler: async (request) => ({ jsonBody: Object.fromEntries(request.query) }),
});
app.http('broken', {
  authLevel: 'anonymous',
  handler: async () => {
    throw new Error('secret detail');
  },
});
app.http('size', {
  methods: ['POST'],
  authLevel: 'anonymous',
  handler: async (request) => ({ jsonBody: (await request.arrayBuffer()).byteLength }),
});
app.http('switchedOff', { authLevel: 'anonymous', handler: async () => ({ body: 'on' }) });
app.http('rejects', {
  authLevel: 'anonymous',
  handler: async () => {
    Promise.reject(new Error('nobody looks at this'));
    await new Promise((resolve) => setTimeout(resolve, 50));
  },
});
/** Within the timeout, but begun later than the one that exceeds it. */
app.http('slow', {
  authLevel: 'anonymous',
  handler: async () => {
    await new Promise((resolve) => setTimeout(resolve, 900));
  },
});
app.http('endless', { authLevel: 'anonymous', handler: () => new Promise(() => undefined) });
app.hook.appTerminate(() => console.error('terminated by the hook'));
