import type { LoadDefinition } from '../contracts/load-definition.ts';

/** What tells two connections to a bucket apart: equal for sources that are asked at the same place as the same identity. */
export function sourceIdentity({
  bucket,
  region,
  endpoint,
  pathStyle,
  credentials,
}: LoadDefinition['source']): string {
  return JSON.stringify([bucket, region, endpoint, pathStyle, credentials]);
}
