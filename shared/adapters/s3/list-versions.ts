import type { DeleteMarkerEntry, ListObjectVersionsCommandOutput, ObjectVersion } from '@aws-sdk/client-s3';

import type { S3Object } from '../../domain/s3-object.ts';
import { LoaderError } from '../../errors/loader-error.ts';
import type { ListedPage } from '../../ports/source.ts';
import { decoderOf, isInOrder, notInOrder, toS3Object } from './listing.ts';

/** Where an answer begins: behind all versions of a key, or, with both, behind one of them. */
export interface VersionMarkers {
  readonly KeyMarker?: string;
  readonly VersionIdMarker?: string;
}

export interface VersionListing {
  readonly bucket: string;
  /** `null`: from the first key. */
  readonly startAfter: string | null;
  /** One request for versions, with `EncodingType` `url`. `most`: how many; default 1,000. */
  readonly list: (markers: VersionMarkers, most?: number) => Promise<ListObjectVersionsCommandOutput>;
  /** Whether the listing of keys, without versions, shows any. */
  readonly hasKeys: () => Promise<boolean>;
}

/**
 * Answers that a page takes at most to find an object. Where all versions of millions of keys are old or delete markers
 * the page ends without one, so that whoever lists can show that it lives.
 */
const MOST_ANSWERS = 10;

/**
 * One page of a bucket that keeps versions: each key's latest version, without keys whose latest is a delete marker.
 *
 * S3 answers with versions of all ages, 1,000 at a time, the keys in order and the latest version of a key first. So all
 * is known of a key once any of its versions was shown, and the listing goes on behind that key: what the answer has cut
 * off are older versions, which nobody asks for, however many there are.
 *
 * @throws {LoaderError} `invalidDefinition`, where the service lists in another order, or lists no versions.
 */
export async function listVersions(listing: VersionListing): Promise<ListedPage> {
  const { bucket, startAfter, list } = listing;
  let upTo = startAfter;
  let markers: VersionMarkers = startAfter === null ? {} : { KeyMarker: startAfter };
  for (let answers = 0; answers < MOST_ANSWERS; answers += 1) {
    const answer = await list(markers);
    const { objects, lastKey } = readAnswer(bucket, answer, upTo);
    upTo = lastKey ?? upTo;
    if (answer.IsTruncated !== true) {
      if (upTo === null) await expectVersions(listing);
      return { objects, isLast: true };
    }
    if (objects.length > 0 && upTo !== null) return { objects, isLast: false, upTo };
    markers = lastKey === null ? nextMarkers(answer) : { KeyMarker: lastKey };
  }
  if (upTo === startAfter || upTo === null)
    throw new Error('a listing of versions does not come to any version');
  return { objects: [], isLast: false, upTo };
}

interface ReadAnswer {
  readonly objects: readonly S3Object[];
  /** Of which the answer shows any version; `null`: it shows none. */
  readonly lastKey: string | null;
}

function readAnswer(
  bucket: string,
  answer: ListObjectVersionsCommandOutput,
  after: string | null,
): ReadAnswer {
  const { Versions: versions = [], DeleteMarkers: deleted = [] } = answer;
  const decode = decoderOf(answer);
  const keysOf = (entries: readonly (ObjectVersion | DeleteMarkerEntry)[]) =>
    entries.map(({ Key }) => decode(Key ?? ''));
  const [versionKeys, deletedKeys] = [keysOf(versions), keysOf(deleted)];
  if (!isInOrder(versionKeys, after, true) || !isInOrder(deletedKeys, after, true)) throw notInOrder(bucket);

  const latest = new Map<string, S3Object>();
  for (const [index, version] of versions.entries()) {
    // While a key is being written two versions may seem to be its latest; the newer one comes first.
    const key = versionKeys[index]!;
    if (version.IsLatest === true && !latest.has(key)) latest.set(key, toS3Object(version, decode));
  }
  const deletedNow = new Set(deletedKeys.filter((_, index) => deleted[index]!.IsLatest === true));
  // It passes where the key is just being written; a service that does not list the latest first would lose keys.
  if (versionKeys.some((key) => !latest.has(key) && !deletedNow.has(key)))
    throw new Error('a listing of versions shows a key without its latest version');
  const ends = [versionKeys.at(-1), deletedKeys.at(-1)].filter((key) => key !== undefined);
  const lastKey = ends.reduce<string | null>(
    (last, key) => (last === null || Buffer.compare(Buffer.from(last), Buffer.from(key)) < 0 ? key : last),
    null,
  );
  return { objects: [...latest.values()], lastKey };
}

/** Only where an answer shows no version: the key that S3 names may be one of which not even the latest was shown. */
function nextMarkers(answer: ListObjectVersionsCommandOutput): VersionMarkers {
  const { NextKeyMarker, NextVersionIdMarker } = answer;
  if (NextKeyMarker === undefined) throw new Error('an empty page does not say how to go on');
  return {
    KeyMarker: decoderOf(answer)(NextKeyMarker),
    ...(NextVersionIdMarker === undefined ? {} : { VersionIdMarker: NextVersionIdMarker }),
  };
}

/** A service that does not know the question may answer it with nothing; and keys that are listed have versions. */
async function expectVersions({ bucket, list, hasKeys }: VersionListing): Promise<void> {
  if (!(await hasKeys())) return;
  // The first of them may have come only now.
  const { Versions = [], DeleteMarkers = [] } = await list({}, 1);
  if (Versions.length + DeleteMarkers.length === 0) throw noVersions(bucket);
}

/** The service behind the endpoint lists no versions. */
export function noVersions(bucket: string): LoaderError {
  return new LoaderError(
    'invalidDefinition',
    `The endpoint of the bucket "${bucket}" does not list versions of objects (ListObjectVersions). Leave source.pinVersions out.`,
    { problems: [{ field: 'source.pinVersions', message: 'must be false: the service lists no versions' }] },
  );
}
