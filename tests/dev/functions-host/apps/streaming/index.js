const { app } = require('@azure/functions');

app.setup({ enableHttpStream: true });
app.http('any', { handler: async () => ({ body: 'x' }) });
