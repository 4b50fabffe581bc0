import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { IngestionError } from './ingestion-error.ts';
import { parseJsonExactly, type RecordHandler } from './json-reader.ts';
import { requireRecordLength } from './record-limit.ts';

/**
 * `multijson`: objects one after the other, with or without line breaks, or arrays of objects. `singlejson`: the
 * whole source is one object.
 * @throws IngestionError `BadRequest_InvalidBlob` for anything else: here a malformed record fails the source.
 */
export async function readMultiJson(
  source: Readable,
  isSingle: boolean,
  onRecord: RecordHandler,
): Promise<void> {
  let recordNumber = 0;
  const splitter = new ObjectSplitter((text) => {
    recordNumber += 1;
    if (isSingle && recordNumber > 1) throw invalid('it holds more than one object');
    onRecord(parseOrFail(text), recordNumber);
  });
  const decoder = new StringDecoder('utf8');
  let isFirst = true;
  for await (const chunk of source) {
    const text = decoder.write(chunk as Buffer);
    splitter.write(isFirst && text.startsWith('\uFEFF') ? text.slice(1) : text);
    isFirst = false;
    requireRecordLength(splitter.rest, recordNumber + 1);
    // Parsing is synchronous: let requests in between two pieces.
    await new Promise((resolve) => setImmediate(resolve));
  }
  splitter.write(decoder.end());
  splitter.end();
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

/** Cuts a text at the end of each object that stands for itself or in an array of its own; what else stands there is an error. */
class ObjectSplitter {
  readonly #onObject: (text: string) => void;
  /** What is not cut off yet, from the beginning of an object. */
  rest = '';
  /** How far `rest` has been looked at. */
  #position = 0;
  #depth = 0;
  #isInArray = false;
  #isInString = false;

  constructor(onObject: (text: string) => void) {
    this.#onObject = onObject;
  }

  write(text: string): void {
    this.rest += text;
    let start = 0;
    let index = this.#position;
    for (; index < this.rest.length; index += 1) {
      const char = this.rest[index];
      if (this.#isInString) {
        if (char === '\\') index += 1;
        else if (char === '"') this.#isInString = false;
      } else if (this.#depth === 0) {
        start = index;
        this.#readOutside(char);
      } else if (char === '"') this.#isInString = true;
      else if (char === '{' || char === '[') this.#depth += 1;
      else if (char === '}' || char === ']') {
        this.#depth -= 1;
        if (this.#depth === 0) {
          this.#onObject(this.rest.slice(start, index + 1));
          start = index + 1;
        }
      }
    }
    this.rest = this.#depth === 0 ? '' : this.rest.slice(start);
    // An escape at the end of a piece reaches into the next one.
    this.#position = this.#depth === 0 ? 0 : index - start;
  }

  /** @throws IngestionError when the text ends within something. */
  end(): void {
    if (this.#depth > 0 || this.#isInArray) throw invalid('it ends inside a value');
  }

  #readOutside(char: string | undefined): void {
    if (char === '{') this.#depth = 1;
    else if (char === '[' && !this.#isInArray) this.#isInArray = true;
    else if (char === ']' && this.#isInArray) this.#isInArray = false;
    else if (char !== undefined && !/[\s,]/.test(char))
      throw invalid(`'${char}' where an object is expected`);
  }
}
