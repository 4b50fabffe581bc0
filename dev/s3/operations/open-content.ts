import type { ObjectStore } from '../store/object-store.ts';
import type { Segment } from '../store/object-version.ts';
import type { StreamedBody } from './call.ts';

/**
 * Opens a range of an object's bytes. They stay what they are while they are read, whatever happens to the
 * object meanwhile.
 */
export function openContent(
  store: ObjectStore,
  segments: readonly Segment[],
  range: { readonly start: number; readonly end: number },
): StreamedBody {
  const pieces: { segment: Segment; start: number; end: number; inlineBody: Buffer | null }[] = [];
  let offset = 0;
  for (const segment of segments) {
    const start = Math.max(range.start - offset, 0);
    const end = Math.min(range.end - offset, segment.sizeBytes - 1);
    if (start <= end) {
      const inlineBody = segment.place === 'inline' ? store.readInline(segment) : null;
      pieces.push({ segment, start, end, inlineBody });
    }
    offset += segment.sizeBytes;
  }
  const release = store.content.hold(pieces.map((piece) => piece.segment));
  async function* read(): AsyncGenerator<Buffer> {
    for (const { segment, start, end, inlineBody } of pieces) {
      if (inlineBody !== null) yield inlineBody.subarray(start, end + 1);
      else yield* store.content.readFile(segment, start, end);
    }
  }
  return { chunks: read(), close: release };
}
