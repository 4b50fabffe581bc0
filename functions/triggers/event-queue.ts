import { app } from '@azure/functions';

import { EVENT_QUEUE } from '../../shared/contracts/event-queue.ts';
import { loaderFor } from '../runtime.ts';

/** S3 event notifications. A message that can't be read throws: the host delivers it again, then puts it aside. */
app.storageQueue('receiveEvents', {
  queueName: EVENT_QUEUE,
  connection: 'AzureWebJobsStorage',
  handler: async (message, context) => {
    const { receiveEvent } = await import('../../shared/usecases/receive-event.ts');
    const dequeueCount = Number(context.triggerMetadata?.['dequeueCount'] ?? 1);
    await receiveEvent(await loaderFor(context), message, dequeueCount);
  },
});
