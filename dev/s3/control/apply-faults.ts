import type { IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { currentSecondMs, type S3Call } from '../operations/call.ts';
import { S3Error } from '../protocol/errors.ts';
import type { BodyLimits } from '../send-reply.ts';
import type { FaultAction } from './fault-rule.ts';

/**
 * Does what faults do before a request runs.
 *
 * @param stopped ends what is held up when the endpoint stops
 * @returns true if the connection was reset
 * @throws S3Error where a fault says so
 */
export async function applyBeforeRequest(
  actions: readonly FaultAction[],
  call: S3Call,
  message: IncomingMessage,
  stopped: AbortSignal,
): Promise<boolean> {
  for (const action of actions) {
    if (action.kind === 'delay') await wait(action.delayMs, undefined, { signal: stopped }).catch(() => null);
    if (stopped.aborted) return true;
    if (action.kind === 'error') throw new S3Error(action.code);
    if (action.kind === 'replace') replaceObject(call, action.body);
  }
  return isReset(actions, 'before', message);
}

/** Resets the connection if a fault says so. @returns whether one did */
export function isReset(
  actions: readonly FaultAction[],
  when: 'before' | 'after',
  message: IncomingMessage,
): boolean {
  if (!actions.some((action) => action.kind === 'reset' && action.when === when)) return false;
  message.socket.resetAndDestroy();
  return true;
}

/** What faults do to the sending of an answer's body. */
export function limitsOf(actions: readonly FaultAction[]): BodyLimits {
  let limits: BodyLimits = { stop: null, bytesPerSecond: null };
  for (const action of actions) {
    if (action.kind === 'trickle') limits = { ...limits, bytesPerSecond: action.bytesPerSecond };
    if (action.kind === 'truncate')
      limits = { ...limits, stop: { afterBytes: action.afterBytes, by: 'close' } };
    if (action.kind === 'reset' && action.when === 'body')
      limits = { ...limits, stop: { afterBytes: action.afterBytes, by: 'reset' } };
  }
  return limits;
}

/** Writes other bytes over an object that is there, as another client would; everything else it keeps. */
function replaceObject(call: S3Call, body: string): void {
  const bucket = call.store.findBucket(call.bucketName);
  const current = bucket === null ? null : call.store.findVersion(bucket.id, call.key);
  if (bucket === null || current === null || current.isDeleteMarker) return;
  const staged = call.store.content.stageBuffer(Buffer.from(body), 'CRC64NVME');
  call.store.putVersion(
    bucket.id,
    {
      key: call.key,
      sizeBytes: staged.segment.sizeBytes,
      etag: staged.md5Hex,
      modifiedMs: currentSecondMs(call),
      attributes: current.attributes,
      checksum: { algorithm: 'CRC64NVME', value: staged.checksum, type: 'FULL_OBJECT' },
      segments: [staged.segment],
      parts: null,
    },
    [staged],
  );
}
