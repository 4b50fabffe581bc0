import { S3Error } from './errors.ts';

/** An element of a request's XML document; namespaces and attributes are dropped. */
export interface ReadElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly ReadElement[];
}

interface OpenElement {
  readonly name: string;
  text: string;
  readonly children: ReadElement[];
}

const tokenPattern =
  /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)([^\s<>/!?]+)([^<>]*?)(\/?)>|([^<]+)/gy;

/** What XML 1.0 has no place for, not even by reference. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for here
const forbiddenCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/**
 * Reads a small XML document as S3's request bodies are: elements and text, no document type. As with S3, keys that hold
 * control characters but tab and line ends can't be named in one.
 *
 * @throws S3Error MalformedXML
 */
export function readXml(document: string): ReadElement {
  const stack: OpenElement[] = [{ name: '', text: '', children: [] }];
  const source = document.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  if (forbiddenCharacters.test(source)) throw new S3Error('MalformedXML');
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < source.length) {
    const token = tokenPattern.exec(source);
    const top = stack.at(-1);
    if (token === null || top === undefined) throw new S3Error('MalformedXML');
    const [, cdata, closing, rawName, , selfClosing, characters] = token;
    if (cdata !== undefined) top.text += cdata;
    else if (characters !== undefined) top.text += decodeReferences(characters);
    else if (rawName !== undefined) {
      const name = rawName.slice(rawName.indexOf(':') + 1);
      if (closing === '/') closeElement(stack, name);
      else {
        stack.push({ name, text: '', children: [] });
        if (selfClosing === '/') closeElement(stack, name);
      }
    }
  }
  const [document_] = stack;
  const root = document_?.children[0];
  if (stack.length !== 1 || root === undefined || document_?.children.length !== 1) {
    throw new S3Error('MalformedXML');
  }
  return root;
}

/** Text of the first child with this name; `undefined` if there is none. */
export function childText(element: ReadElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}

function closeElement(stack: OpenElement[], name: string): void {
  const closed = stack.pop();
  const outer = stack.at(-1);
  if (closed === undefined || outer === undefined || closed.name !== name) throw new S3Error('MalformedXML');
  outer.children.push(closed);
}

const entityCharacters: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};

function decodeReferences(characters: string): string {
  return characters.replace(/&([^;&]*;?)/g, (_, reference: string) => {
    const name = reference.endsWith(';') ? reference.slice(0, -1) : '';
    const named = entityCharacters[name];
    if (named !== undefined) return named;
    const code = /^#x[0-9a-f]+$/i.test(name)
      ? Number.parseInt(name.slice(2), 16)
      : /^#[0-9]+$/.test(name)
        ? Number.parseInt(name.slice(1), 10)
        : Number.NaN;
    const character = code >= 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\0';
    if (forbiddenCharacters.test(character) || !character.isWellFormed()) throw new S3Error('MalformedXML');
    return character;
  });
}
