import { startS3 } from '../../../dev/s3/index.ts';

// Runs an endpoint alone in a process and tells its parent how much memory it takes: fork it with the data folder.

const samplePeriodMs = 5;
let peakBytes = 0;
setInterval(() => {
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
}, samplePeriodMs);

const [, , folder = ''] = process.argv;
const s3 = await startS3({ folder, buckets: ['data'] });
process.on('disconnect', () => void s3.stop().then(() => process.exit()));
process.on('message', () => {
  const nowBytes = process.memoryUsage.rss();
  process.send?.({ nowBytes, peakBytes: Math.max(peakBytes, nowBytes) });
  peakBytes = nowBytes;
});
process.send?.(s3.settings);
