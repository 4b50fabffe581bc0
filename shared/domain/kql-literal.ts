/** A name of a database, table or mapping as it stands in a command: `['it\'s']`. */
export function quoteEntity(name: string): string {
  return `[${quoteText(name)}]`;
}

/** A string literal in single quotes. */
export function quoteText(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\\\')
    .replaceAll("'", "\\'")
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t');
  return `'${escaped}'`;
}
