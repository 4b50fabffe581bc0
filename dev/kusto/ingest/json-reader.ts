import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { IngestionError } from './ingestion-error.ts';

/** Longer integers and fractions lose digits in a JavaScript number. */
const LONG_NUMBER = /\d{16}|\d\.\d{15}/;

export type RecordHandler = (record: unknown, lineNumber: number) => void;

/** A number in its own digits, as a `JSON.rawJSON` object. */
export function toExactNumber(text: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
}

export function isExactNumber(value: unknown): boolean {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}

/** Numbers that a JavaScript number can't hold become `JSON.rawJSON` objects. */
function parseJsonExactly(text: string): unknown {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  return (
    JSON.parse as (
      text: string,
      reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
    ) => unknown
  )(text, (_key, value, context) => {
    if (typeof value !== 'number' || context.source === undefined || context.source.length < 16) return value;
    return toExactNumber(context.source);
  });
}

/**
 * One record a line. A line that is no JSON object is dropped and nobody is told, as in the service.
 * @returns how many lines were dropped.
 */
export async function readJsonLines(source: Readable, onRecord: RecordHandler): Promise<number> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let lineNumber = 0;
  let dropped = 0;
  const read = (line: string) => {
    const text = line.trim();
    if (text === '') return;
    lineNumber += 1;
    let record: unknown;
    try {
      record = parseJsonExactly(text);
    } catch {
      dropped += 1;
      return;
    }
    if (typeof record !== 'object' || record === null || Array.isArray(record)) dropped += 1;
    else onRecord(record, lineNumber);
  };
  let isFirst = true;
  for await (const chunk of source) {
    let text = decoder.write(chunk as Buffer);
    if (isFirst && text.startsWith('\uFEFF')) text = text.slice(1);
    isFirst = false;
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) read(line);
    await new Promise((resolve) => setImmediate(resolve));
  }
  read(rest + decoder.end());
  return dropped;
}

/**
 * `multijson`: objects one after the other, with or without line breaks, or arrays of objects. `singlejson`: the
 * whole source is one value.
 * @throws IngestionError `BadRequest_InvalidBlob` for anything else: here a malformed record fails the source.
 */
export async function readMultiJson(
  source: Readable,
  isSingle: boolean,
  onRecord: RecordHandler,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
  let lineNumber = 0;
  const emit = (record: unknown) => {
    if (typeof record !== 'object' || record === null)
      throw invalid(`record ${lineNumber + 1} is not an object`);
    lineNumber += 1;
    onRecord(record, lineNumber);
  };
  if (isSingle) {
    emit(parseOrFail(text));
    return;
  }
  for (const part of splitValues(text)) {
    const value = parseOrFail(part);
    if (Array.isArray(value)) value.forEach(emit);
    else emit(value);
  }
}

function parseOrFail(text: string): unknown {
  try {
    return parseJsonExactly(text);
  } catch (error) {
    throw invalid((error as Error).message);
  }
}

function invalid(reason: string): IngestionError {
  return new IngestionError('BadRequest_InvalidBlob', `The source is not valid JSON: ${reason}.`);
}

/** Cuts the text at the end of each top-level object or array. */
function* splitValues(text: string): Generator<string> {
  let depth = 0;
  let start = -1;
  let isInString = false;
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index];
    if (isInString) {
      if (char === '\\') index += 1;
      else if (char === '"') isInString = false;
    } else if (char === '"') {
      if (depth === 0) throw invalid(`unexpected text at position ${index}`);
      isInString = true;
    } else if (char === '{' || char === '[') {
      if (depth === 0) start = index;
      depth += 1;
    } else if (char === '}' || char === ']') {
      depth -= 1;
      if (depth < 0) throw invalid(`unexpected '${char}' at position ${index}`);
      if (depth === 0) yield text.slice(start, index + 1);
    } else if (depth === 0 && char !== undefined && !/[\s,]/.test(char)) {
      throw invalid(`unexpected text at position ${index}`);
    }
  }
  if (depth > 0) throw invalid('it ends inside a value');
}
