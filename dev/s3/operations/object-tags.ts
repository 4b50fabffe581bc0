import { invalidArgument, S3Error } from '../protocol/errors.ts';
import { decodePercent } from '../protocol/uri.ts';
import { parent, renderXml, text } from '../protocol/xml.ts';
import { childText, readXml } from '../protocol/xml-reader.ts';
import type { ObjectTag } from '../store/object-version.ts';

/** Of an object. A bucket may have 50. */
const maxObjectTags = 10;
const maxKeyCharacters = 128;
const maxValueCharacters = 256;

/**
 * Reads the tags that an upload brings in `x-amz-tagging`, which is written like a query string.
 *
 * @throws S3Error InvalidArgument, InvalidTag, BadRequest
 */
export function readTagHeader(headers: ReadonlyMap<string, string>): ObjectTag[] {
  const header = headers.get('x-amz-tagging') ?? '';
  const malformed = (): S3Error =>
    invalidArgument(
      'x-amz-tagging',
      header,
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
    );
  const tags = header
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const [key = '', value = '', ...rest] = pair.split('=');
      if (key === '' || rest.length > 0) throw malformed();
      try {
        return { key: decodePercent(key, true), value: decodePercent(value, true) };
      } catch {
        throw malformed();
      }
    });
  if (new Set(tags.map(({ key }) => key)).size < tags.length) throw malformed();
  checkTags(tags, maxObjectTags);
  return tags;
}

/** @throws S3Error MalformedXML, InvalidTag, BadRequest */
export function readTagDocument(document: string, maxTags = maxObjectTags): ObjectTag[] {
  const root = readXml(document);
  const sets = root.children.filter((child) => child.name === 'TagSet');
  if (root.name !== 'Tagging' || sets.length !== 1) throw new S3Error('MalformedXML');
  const tags = (sets[0]?.children ?? []).map((element) => {
    const key = childText(element, 'Key');
    const value = childText(element, 'Value');
    if (element.name !== 'Tag' || key === undefined || value === undefined) throw new S3Error('MalformedXML');
    return { key, value };
  });
  checkTags(tags, maxTags);
  return tags;
}

function checkTags(tags: readonly ObjectTag[], maxTags: number): void {
  const allowed = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
  const keys = new Set<string>();
  for (const { key, value } of tags) {
    const invalid = (message: string, details: Record<string, string> = {}): S3Error =>
      new S3Error('InvalidTag', { message, details: { TagKey: key, ...details } });
    if (key === '' || key.length > maxKeyCharacters || !allowed.test(key))
      throw invalid('The TagKey you have provided is invalid');
    if (value.length > maxValueCharacters || !allowed.test(value))
      throw invalid('The TagValue you have provided is invalid', { TagValue: value });
    if (key.startsWith('aws:')) throw invalid('System tags cannot be added/updated by requester');
    if (keys.has(key)) throw invalid('Cannot provide multiple Tags with the same key');
    keys.add(key);
  }
  if (tags.length > maxTags) {
    const whose = maxTags === maxObjectTags ? 'Object' : 'Bucket';
    throw new S3Error('BadRequest', { message: `${whose} tags cannot be greater than ${maxTags}` });
  }
}

export function renderTags(tags: readonly ObjectTag[]): string {
  const elements = tags.map(({ key, value }) => parent('Tag', [text('Key', key), text('Value', value)]));
  return renderXml(parent('Tagging', [parent('TagSet', elements)]), 'with-namespace');
}
