import { app } from '@azure/functions';

import { API_AUTH_LEVEL } from './caller.ts';
import { answering, json, readJson } from './http-answer.ts';

/**
 * An S3 event notification, for those who can call HTTP but not write to the queue: EventBridge by an API destination.
 * Answered when it is on the pending lists for good, so that a caller that tries again until then loses none.
 */
app.http('postEvent', {
  methods: ['POST'],
  authLevel: API_AUTH_LEVEL,
  route: 'events',
  // As cheap as a look, and as many: an event for each object.
  handler: answering(
    'operator',
    async (loader, request) => {
      const { receiveEvent } = await import('../../shared/usecases/receive-event.ts');
      return json(200, { loads: await receiveEvent(loader, await readJson(request)) });
    },
    { countedAs: 'reader' },
  ),
});
