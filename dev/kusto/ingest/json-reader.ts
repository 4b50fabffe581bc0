import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { requireRecordLength } from './record-limit.ts';

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
export function parseJsonExactly(text: string): unknown {
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
    requireRecordLength(rest, lineNumber + 1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  read(rest + decoder.end());
  return dropped;
}
