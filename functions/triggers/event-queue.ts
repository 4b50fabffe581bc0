import { app, output } from '@azure/functions';

import { EVENT_QUEUE } from '../../shared/contracts/event-queue.ts';
import { toLoaderError } from '../../shared/errors/loader-error.ts';
import { loaderFor } from '../runtime.ts';

/** Where the host itself puts messages that could not be taken. */
const poisonQueue = output.storageQueue({
  queueName: `${EVENT_QUEUE}-poison`,
  connection: 'AzureWebJobsStorage',
});

/**
 * S3 event notifications. A message that can't be read is put aside at once; when anything else is in the way, the host
 * delivers the message again and again (see `queues` in host.json), for the event is good.
 */
app.storageQueue('receiveEvents', {
  queueName: EVENT_QUEUE,
  connection: 'AzureWebJobsStorage',
  extraOutputs: [poisonQueue],
  handler: async (message, context) => {
    const { receiveEvent } = await import('../../shared/usecases/receive-event.ts');
    try {
      await receiveEvent(await loaderFor(context), message);
    } catch (thrown) {
      if (toLoaderError(thrown).code !== 'unreadableEvent') throw thrown;
      context.extraOutputs.set(poisonQueue, typeof message === 'string' ? message : JSON.stringify(message));
    }
  },
});
