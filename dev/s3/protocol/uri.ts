import { S3Error } from './errors.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes percent-encoded UTF-8 once.
 *
 * @param plusIsSpace as in a query string
 * @throws S3Error InvalidURI if an escape is cut off or the bytes are not UTF-8
 */
export function decodePercent(encoded: string, plusIsSpace: boolean): string {
  const source = plusIsSpace ? encoded.replaceAll('+', ' ') : encoded;
  if (!/[%\u0080-\uffff]/.test(source)) return source;
  if (/%(?![0-9A-Fa-f]{2})/.test(source)) throw new S3Error('InvalidURI', { details: { URI: encoded } });
  // Node hands over request lines as Latin-1, one character a byte.
  const bytes = Buffer.from(
    source.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  try {
    return utf8.decode(bytes);
  } catch {
    throw new S3Error('InvalidURI', { details: { URI: encoded } });
  }
}

/** Encodes everything but RFC 3986's unreserved characters, as Signature Version 4 wants it. */
export function encodeForSignature(decoded: string, slash: 'keep-slash' | 'encode-slash'): string {
  const encoded = encodeURIComponent(decoded).replace(/[!'()*]/g, percentOf);
  return slash === 'keep-slash' ? encoded.replaceAll('%2F', '/') : encoded;
}

/** Encodes a key for a listing with `encoding-type=url`: a form encoding that keeps slashes. */
export function encodeForListing(decoded: string): string {
  return encodeURIComponent(decoded)
    .replace(/[!'()~]/g, percentOf)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/');
}

function percentOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
