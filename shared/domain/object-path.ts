/** The path of a URL without host and query, decoded: ADX may write it either way. */
export function pathOf(url: string): string {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/[?;].*$/s, '');
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Whether `pathOf` may take the URL of this key for that of another one, if ADX has decoded it. */
export function isCutWhenDecoded(key: string): boolean {
  return /[?;%]/.test(key);
}

/**
 * Whether a URL may be the decoded one of another key than `pathOf` says: what is cut off belongs to no signature, or what is
 * decoded is nothing that is ever encoded.
 */
export function mayBeOfAnotherKey(url: string): boolean {
  const [path = ''] = url.split(/[?;]/, 1);
  const isCut = path !== url && !url.includes('X-Amz-Signature=');
  return (
    isCut || (path.match(/%[2-7][\da-f]/gi) ?? []).some((code) => /[\w.~/-]/.test(decodeURIComponent(code)))
  );
}

/**
 * A regular expression (RE2) that finds every URL whose path ends with one of the keys, however it is encoded, and others
 * that are alike. Paths are to be compared by `pathOf` after that.
 */
export function patternOfKeys(keys: readonly string[]): string {
  // Letters, digits and slashes are never encoded; what stands between them may be of any length.
  const patternOf = (key: string) => key.replaceAll(/[^\w/.-]+|\./g, (part) => (part === '.' ? '[.]' : '.+'));
  return `(?s)/(?:${keys.map(patternOf).join('|')})(?:[?;].*)?$`;
}
