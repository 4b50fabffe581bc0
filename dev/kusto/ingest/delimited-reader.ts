import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { IngestionError } from './ingestion-error.ts';
import { requireRecordLength } from './record-limit.ts';

const delimiters: Readonly<Record<string, string>> = {
  csv: ',',
  tsv: '\t',
  tsve: '\t',
  psv: '|',
  scsv: ';',
  sohsv: '\u0001',
};

export type FieldsHandler = (fields: readonly string[], lineNumber: number) => void;

/**
 * Reads the csv family, txt and raw. RFC 4180: quoted fields may hold delimiters, line breaks and doubled quotes;
 * LF and CRLF both end a record; blank lines are no records. `lineNumber` counts records from 1.
 * @throws IngestionError `Stream_ClosingQuoteMissing` at the end of a source inside a quoted field.
 */
export async function readDelimited(
  source: Readable,
  format: string,
  onRecord: FieldsHandler,
): Promise<void> {
  if (format === 'raw') {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    for await (const chunk of source) {
      chunks.push(chunk as Buffer);
      sizeBytes += (chunk as Buffer).length;
      requireRecordLength({ length: sizeBytes }, 1);
    }
    onRecord([stripMark(Buffer.concat(chunks).toString('utf8'))], 1);
    return;
  }
  const parser =
    format === 'txt'
      ? new LineSplitter(onRecord)
      : new DelimitedParser(delimiters[format] ?? ',', format === 'tsve', onRecord);
  const decoder = new StringDecoder('utf8');
  let isFirst = true;
  for await (const chunk of source) {
    const text = decoder.write(chunk as Buffer);
    parser.write(isFirst ? stripMark(text) : text);
    isFirst = false;
    // Parsing is synchronous: let requests in between two pieces.
    await new Promise((resolve) => setImmediate(resolve));
  }
  parser.write(decoder.end());
  parser.end();
}

function stripMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}

class LineSplitter {
  readonly #onRecord: FieldsHandler;
  #rest = '';
  #lineNumber = 0;

  constructor(onRecord: FieldsHandler) {
    this.#onRecord = onRecord;
  }

  write(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#emit(line);
    requireRecordLength(this.#rest, this.#lineNumber + 1);
  }

  end(): void {
    this.#emit(this.#rest);
  }

  #emit(line: string): void {
    const text = line.endsWith('\r') ? line.slice(0, -1) : line;
    if (text === '') return;
    this.#lineNumber += 1;
    this.#onRecord([text], this.#lineNumber);
  }
}

class DelimitedParser {
  readonly #delimiter: string;
  readonly #hasEscapes: boolean;
  readonly #onRecord: FieldsHandler;
  #text = '';
  #lineNumber = 0;

  constructor(delimiter: string, hasEscapes: boolean, onRecord: FieldsHandler) {
    this.#delimiter = delimiter;
    this.#hasEscapes = hasEscapes;
    this.#onRecord = onRecord;
  }

  write(text: string): void {
    this.#text += text;
    this.#parse(false);
    requireRecordLength(this.#text, this.#lineNumber + 1);
  }

  end(): void {
    this.#parse(true);
  }

  /** Emits every complete record and keeps the rest; with `isEnd` the rest is a record too. */
  #parse(isEnd: boolean): void {
    const text = this.#text;
    let recordStart = 0;
    let position = 0;
    let fields: string[] = [];
    let wasQuoted = false;
    while (position <= text.length) {
      let value: string;
      if (!this.#hasEscapes && text[position] === '"') {
        wasQuoted = true;
        const end = findClosingQuote(text, position + 1);
        // A quote at the very end may be the first half of a doubled one.
        if (end === -1 || (end === text.length - 1 && !isEnd)) {
          if (isEnd)
            throw new IngestionError(
              'Stream_ClosingQuoteMissing',
              `Record ${this.#lineNumber + 1} has a quoted field that never ends.`,
            );
          break;
        }
        value = text.slice(position + 1, end).replaceAll('""', '"');
        position = end + 1;
        const tail = this.#fieldEnd(text, position);
        value += stripReturn(text.slice(position, tail), text[tail]);
        position = tail;
      } else {
        const end = this.#fieldEnd(text, position);
        value = stripReturn(text.slice(position, end), text[end] ?? (isEnd ? '\n' : undefined));
        if (this.#hasEscapes) value = unescapeField(value);
        position = end;
      }
      if (position >= text.length && !isEnd) break;
      fields.push(value);
      if (text[position] === this.#delimiter) {
        position += 1;
        continue;
      }
      position += 1;
      recordStart = position;
      if (fields.length > 1 || fields[0] !== '' || wasQuoted) {
        this.#lineNumber += 1;
        this.#onRecord(fields, this.#lineNumber);
      }
      fields = [];
      wasQuoted = false;
      if (position >= text.length) break;
    }
    this.#text = text.slice(Math.min(recordStart, text.length));
  }

  #fieldEnd(text: string, from: number): number {
    for (let index = from; index < text.length; index += 1) {
      const char = text[index];
      if (char === this.#delimiter || char === '\n') return index;
    }
    return text.length;
  }
}

function findClosingQuote(text: string, from: number): number {
  let index = text.indexOf('"', from);
  while (index !== -1 && text[index + 1] === '"') index = text.indexOf('"', index + 2);
  return index;
}

function stripReturn(value: string, terminator: string | undefined): string {
  return terminator === '\n' && value.endsWith('\r') ? value.slice(0, -1) : value;
}

function unescapeField(value: string): string {
  const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\' };
  return value.replace(/\\(.)/g, (all, char: string) => escapes[char] ?? all);
}
