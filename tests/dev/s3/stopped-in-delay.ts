/**
 * Stops an endpoint while a request is held up for an hour. Nothing ends this process but that nothing is left to be
 * waited for.
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { startS3 } from '../../../dev/s3/index.ts';

const [, , folder = ''] = process.argv;
const s3 = await startS3({ folder, buckets: ['data'], publicBuckets: ['data'] });
s3.injectFault({ action: { kind: 'delay', delayMs: 3_600_000 } });
const failure = once(request(`${s3.settings.endpoint}/data/k`).end(), 'error');
while (s3.requestCounts()['GetObject'] === undefined) await wait(5);
await s3.stop();
await failure;
