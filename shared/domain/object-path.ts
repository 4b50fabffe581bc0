/** The path of a URL without host and query, decoded: ADX may write it either way. */
export function pathOf(url: string): string {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/[?;].*$/s, '');
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
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
