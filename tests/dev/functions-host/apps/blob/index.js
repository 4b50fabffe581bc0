const { app } = require('@azure/functions');
const df = require('durable-functions');

app.storageBlob('blobs', { path: 'container/{name}', connection: 'X', handler: async () => undefined });
app.http('bad name', { handler: async () => undefined });
df.app.entity('counter', () => undefined);
