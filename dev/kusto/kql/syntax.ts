import { makeNotSupported } from '../kusto-error.ts';

/** A node of the official parser's tree, copied out of its thread. */
export interface KqlNode {
  /** `FilterOperator`, `NameReference`, `BarToken`, ... */
  readonly kind: string;
  /** Name of the property of the parent that holds it: `Condition`, `Left`, ... */
  readonly role: string;
  /** Of tokens only. */
  readonly text: string;
  readonly start: number;
  /** Scalar type by the parser's analysis: `long`, `string`, ...; of tabular nodes their symbol's name. */
  readonly type: string;
  /** Of tabular nodes: what columns come out. */
  readonly columns: readonly { readonly name: string; readonly type: string }[] | null;
  readonly children: readonly KqlNode[];
}

export interface KqlDiagnostic {
  readonly code: string;
  readonly message: string;
  readonly start: number;
  readonly severity: string;
}

export interface TableSchema {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

export interface ParseRequest {
  readonly id: number;
  readonly text: string;
  readonly database: string;
  readonly tables: readonly TableSchema[];
  /** The schema is bound again only when this changes. */
  readonly schemaKey: string;
}

export type ParseResponse =
  | { readonly id: number; readonly diagnostics: readonly KqlDiagnostic[]; readonly syntax: KqlNode }
  | { readonly id: number; readonly error: string };

/** The child in a role, or undefined. */
export function childOf(node: KqlNode, role: string): KqlNode | undefined {
  return node.children.find((child) => child.role === role);
}

/** @throws KustoError naming what the parser's tree lacks. */
export function requireChild(node: KqlNode, role: string): KqlNode {
  const child = childOf(node, role);
  if (child === undefined) throw makeNotSupported(`${node.kind} without ${role}`);
  return child;
}

/** Elements of a list node, without their commas. */
export function elementsOf(list: KqlNode | undefined): KqlNode[] {
  return (list?.children ?? []).flatMap((child) =>
    child.kind === 'SeparatedElement' ? child.children.slice(0, 1) : child.text === '' ? [child] : [],
  );
}

/** A name as written: bare, or in brackets and quotes. */
export function nameOf(node: KqlNode): string {
  if (node.text !== '') return node.text;
  if (node.kind === 'BracketedName') {
    const literal = childOf(node, 'Name');
    return literal === undefined ? '' : readStringLiteral(textOf(literal));
  }
  const name = childOf(node, 'Name') ?? node.children[0];
  return name === undefined ? '' : nameOf(name);
}

/** All token text under a node. */
export function textOf(node: KqlNode): string {
  return node.text !== '' ? node.text : node.children.map(textOf).join('');
}

/** Value of a KQL string literal: quoted either way, verbatim (`@`), obfuscated (`h`), or fenced. */
export function readStringLiteral(text: string): string {
  const body = text.replace(/^[hH]/, '');
  if (body.startsWith('```') || body.startsWith('~~~')) return body.slice(3, -3);
  if (body.startsWith('@')) {
    const quote = body[1] ?? '"';
    return body.slice(2, -1).replaceAll(quote + quote, quote);
  }
  const escapes: Readonly<Record<string, string>> = {
    n: '\n',
    r: '\r',
    t: '\t',
    '0': '\0',
    a: '\x07',
    b: '\b',
    f: '\f',
    v: '\v',
  };
  return body
    .slice(1, -1)
    .replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)/g, (_all, escape: string) =>
      escape.length > 1
        ? String.fromCharCode(Number.parseInt(escape.slice(1), 16))
        : (escapes[escape] ?? escape),
    );
}
