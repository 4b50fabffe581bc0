const namespaces = {
  'with-namespace': ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"',
  'with-sts-namespace': ' xmlns="https://sts.amazonaws.com/doc/2011-06-15/"',
  'without-namespace': '',
} as const;

/** One element: its name, and text, child elements, or nothing. `null` children are left out. */
export interface XmlElement {
  readonly name: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly content: string | readonly (XmlElement | null)[];
}

/** Makes an element with text; numbers and booleans are written as S3 writes them. */
export function text(name: string, value: string | number | boolean): XmlElement {
  return { name, content: String(value) };
}

/** Makes an element with children. */
export function parent(name: string, children: readonly (XmlElement | null)[]): XmlElement {
  return { name, content: children };
}

/**
 * Renders a document. Results carry S3's namespace, errors carry none; all that STS answers carries its own.
 *
 * Control characters become character references, as S3 writes them: XML 1.0 parsers refuse most of them,
 * which is why clients with such keys have to ask for `encoding-type=url`.
 */
export function renderXml(root: XmlElement, namespace: keyof typeof namespaces): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${renderElement(root, namespaces[namespace])}`;
}

function renderElement(element: XmlElement, namespace: string): string {
  const { name, content } = element;
  const attributes = Object.entries(element.attributes ?? {}).map(
    ([attributeName, value]) => ` ${attributeName}="${escapeText(value)}"`,
  );
  const opening = `${name}${namespace}${attributes.join('')}`;
  if (content.length === 0) return `<${opening}/>`;
  if (typeof content === 'string') return `<${opening}>${escapeText(content)}</${name}>`;
  let inner = '';
  for (const child of content) if (child !== null) inner += renderElement(child, '');
  return `<${opening}>${inner}</${name}>`;
}

const namedEntities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

function escapeText(value: string): string {
  return value.replace(
    // oxlint-disable-next-line no-control-regex -- control characters are what is escaped here
    /[&<>"\u0000-\u001f\u007f-\u009f\u2028\ufffe\uffff]/g,
    (character) => namedEntities[character] ?? `&#x${character.charCodeAt(0).toString(16)};`,
  );
}
