import { makeNotSupported } from '../kusto-error.ts';
import type { Expression } from './values.ts';

export interface Regex {
  /** As DuckDB's RE2 reads it. */
  readonly pattern: string;
  /** Groups that capture. */
  readonly groupCount: number;
}

/**
 * A pattern that RE2 and the service read alike. @throws KustoError for one that is no literal, that RE2 lacks
 * (lookaround, references back), or that it has under another meaning.
 */
export function requireRegex(value: Expression, name: string): Regex {
  if (value.literal === undefined || value.type !== 'string')
    throw makeNotSupported(`${name} with a regular expression that is not a literal`);
  const pattern = value.literal;
  // Escapes are taken as pairs, and classes as a whole, so that what is left are groups and quantifiers.
  const bare = pattern.replace(/\\./gs, '\\').replace(/\[\^?\]?[^\]]*\]/g, '[]');
  if (/\(\?(?:[=!]|<[=!])/.test(bare))
    throw makeNotSupported(`${name} with lookaround in a regular expression`);
  if (/\\[1-9]/.test(pattern.replaceAll('\\\\', '')))
    throw makeNotSupported(`${name} with a reference back in a regular expression`);
  const unlike = /\\[CQEKGR]|\\b\{|\(\?[a-z]*[xuR]/.exec(pattern.replaceAll('\\\\', ''));
  if (unlike !== null) throw makeNotSupported(`${name} with '${unlike[0]}' in a regular expression`);
  const groups = bare.match(/\((?!\?)|\(\?P?<(?![=!])/g) ?? [];
  return { pattern, groupCount: groups.length };
}
