import type { LoadDefinition } from '../contracts/load-definition.ts';

/**
 * What tells two connections to a bucket apart: equal for sources that are asked at the same place, as the same identity and
 * for the same: keys, or versions.
 */
export function sourceIdentity({
  bucket,
  region,
  endpoint,
  pathStyle,
  pinVersions,
  credentials,
}: LoadDefinition['source']): string {
  return JSON.stringify([
    ...[bucket, region, endpoint, pathStyle, credentials],
    // Absent in loads of older versions.
    ...(pinVersions ? ['pinVersions'] : []),
  ]);
}
