import type { Problem } from '../errors/loader-error.ts';

/** Deepest nesting of what people send; a definition has four levels. */
const MAX_JSON_DEPTH = 20;
/** Longest text in it; an S3 key has at most 1,024 bytes. */
const MAX_TEXT_CHARACTERS = 8 * 1024;
/** Longest list in it: as many keys as a load may name. Each entry that is wrong would cost time. */
const MAX_LIST_ENTRIES = 10_000;
/** More problems than these tell nobody more. */
export const MAX_PROBLEMS = 50;

/**
 * What is wrong with JSON whatever it is meant to be: nested too deeply, texts that are no Unicode or too long, and names
 * that every object inherits, which a schema does not see.
 */
export function jsonProblems(json: unknown): readonly Problem[] {
  const problems: Problem[] = [];
  // A stack of its own: the caller chooses the depth.
  const open: { readonly value: unknown; readonly at: readonly string[] }[] = [{ value: json, at: [] }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (problems.length >= MAX_PROBLEMS) break;
    const { value, at } = next;
    const report = (message: string) => problems.push({ field: at.join('.') || '(document)', message });
    if (typeof value === 'string') {
      const problem = textProblem(value);
      if (problem !== null) report(problem);
    } else if (typeof value === 'object' && value !== null) {
      if (at.length >= MAX_JSON_DEPTH) report(`is nested more than ${MAX_JSON_DEPTH} levels deep`);
      else if (Array.isArray(value) && value.length > MAX_LIST_ENTRIES)
        report(
          `must be a list of at most ${MAX_LIST_ENTRIES} entries. Select more keys by prefix, wildcard and suffix, by an inventory, or by several loads`,
        );
      else
        for (const [name, below] of Object.entries(value)) {
          const path = [...at, shorten(name)];
          if (!Array.isArray(value) && name in Object.prototype)
            problems.push({
              field: path.join('.'),
              message: 'is not a field of this object; remove it or check its spelling',
            });
          else open.push({ value: below, at: path });
        }
    }
  }
  return problems;
}

function textProblem(text: string): string | null {
  if (text.length > MAX_TEXT_CHARACTERS) return `must be at most ${MAX_TEXT_CHARACTERS} characters long`;
  if (!text.isWellFormed()) return 'must be well-formed Unicode: it has half of a surrogate pair';
  if (text.includes('\0')) return 'must not hold the character NUL';
  return null;
}

/** A name of a field, as it may stand in an answer. */
function shorten(name: string): string {
  return name.length <= 100 ? name : `${name.slice(0, 100)}...`;
}

/** The kind of a value, for messages: its text may be a secret that stands in the wrong place. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return value === '' ? 'an empty text' : 'a text';
  if (typeof value === 'object') return 'an object';
  return String(value);
}

/** Keys and passwords are longer than this; what is shorter helps to find the mistake. */
const LONGEST_REPEATED_CHARACTERS = 15;

/** Problems whose messages repeat none of the document's longer texts: one may be a secret that stands in the wrong place. */
export function withoutTexts(problems: readonly Problem[], json: unknown): readonly Problem[] {
  const texts = textsOf(json).filter((text) => text.length > LONGEST_REPEATED_CHARACTERS);
  return problems.map(({ field, message }) => ({
    field,
    message: texts.reduce((rest, text) => rest.replaceAll(text, '...'), message),
  }));
}

function textsOf(json: unknown): readonly string[] {
  if (typeof json === 'string') return [json];
  return typeof json === 'object' && json !== null ? Object.values(json).flatMap(textsOf) : [];
}
