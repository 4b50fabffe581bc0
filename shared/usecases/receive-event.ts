import { parseS3Event, UnreadableEvent } from '../domain/s3-event.ts';
import { LoaderError } from '../errors/loader-error.ts';
import { events } from '../observability/events.ts';
import { listLoads } from './load-catalog.ts';
import type { Loader } from './loader.ts';

/**
 * Takes one notification, from the event queue or over HTTP: every object that it announces goes to the pending list of
 * each load that wants events for its bucket and prefix and, where it names its keys, for that key. A message that comes
 * twice changes nothing.
 *
 * @returns the loads that it concerns.
 * @throws {LoaderError} `unreadableEvent`: it is to be put aside.
 */
export async function receiveEvent(loader: Loader, message: unknown): Promise<readonly string[]> {
  const created = readMessage(loader, message);
  const loads: string[] = [];
  if (created.length === 0) return loads;
  for (const { definition } of await listLoads(loader)) {
    const { bucket, prefix, files } = definition.source;
    if (!definition.events) continue;
    const named = files === null ? null : new Set(files);
    const keys = [
      ...new Set(
        created
          .filter((object) => object.bucket === bucket && object.key.startsWith(prefix))
          .map(({ key }) => key)
          .filter((key) => named === null || named.has(key)),
      ),
    ];
    if (keys.length === 0) continue;
    await loader.loads.addPending({ load: definition.name, bucket }, keys);
    events.eventsReceived(loader.logger, { load: definition.name, objects: keys.length });
    loads.push(definition.name);
  }
  return loads;
}

function readMessage(loader: Loader, message: unknown) {
  try {
    return parseS3Event(message);
  } catch (error) {
    if (!(error instanceof UnreadableEvent)) throw error;
    events.eventUnreadable(loader.logger, { reason: error.message });
    throw new LoaderError('unreadableEvent', error.message, { cause: error });
  }
}
