/**
 * Worker thread that holds Microsoft's own KQL parser: it installs globals (`Bridge`, `System`, `Kusto`) and takes
 * a second to warm up, and neither should be felt by the endpoint's thread.
 */
import { createRequire } from 'node:module';
import { parentPort } from 'node:worker_threads';
import type { KqlDiagnostic, KqlNode, ParseRequest, ParseResponse, TableSchema } from './syntax.ts';

const require = createRequire(import.meta.url);
require('@kusto/language-service-next/bridge.min.js');
require('@kusto/language-service-next/Kusto.Language.Bridge.min.js');

/** The part of the parser's surface that is used here. */
interface ParserNode {
  readonly Kind: number;
  readonly ChildCount: number;
  readonly IsToken: boolean;
  readonly Text: string;
  readonly NameInParent: string | null;
  readonly ResultType?: ParserType | null;
  readonly TextStart: number;
  readonly LiteralValue?: unknown;
  GetChild(index: number): ParserNode | null;
}
interface ParserList<T> {
  readonly Count: number;
  getItem(index: number): T;
}
interface ParserType {
  readonly Name: string;
  readonly Columns?: ParserList<{ readonly Name: string; readonly Type: { readonly Name: string } }>;
}
interface ParserCode {
  readonly Kind: string;
  readonly Syntax: ParserNode;
  GetDiagnostics(): ParserList<{
    Code: string;
    Message: string;
    Start: number;
    Length: number;
    Severity: string;
  }>;
}
interface Parser {
  readonly Syntax: { readonly SyntaxKind: Readonly<Record<string, number>> };
  readonly Symbols: {
    readonly TableSymbol: {
      readonly $ctor7: new (name: string, schema: string, description: null) => object;
    };
    readonly DatabaseSymbol: { readonly ctor: new (name: string, members: object[]) => object };
  };
  readonly GlobalState: { readonly Default: { WithDatabase(database: object): object } };
  readonly KustoCode: { ParseAndAnalyze(text: string, globals: object): ParserCode };
}
const parser = (globalThis as unknown as { Kusto: { Language: Parser } }).Kusto.Language;
const kindNames = new Map(
  Object.entries(parser.Syntax.SyntaxKind)
    .filter(([, value]) => typeof value === 'number')
    .map(([name, value]) => [value, name]),
);

let cached: { readonly key: string; readonly globals: object } | undefined;

function makeGlobals(request: ParseRequest): object {
  if (cached?.key === request.schemaKey) return cached.globals;
  const tables = request.tables.map((table: TableSchema) => {
    const columns = table.columns.map(
      (column) => `['${column.name.replace(/[\\']/g, '\\$&')}']: ${column.type}`,
    );
    return new parser.Symbols.TableSymbol.$ctor7(table.name, `(${columns.join(', ')})`, null);
  });
  const globals = parser.GlobalState.Default.WithDatabase(
    new parser.Symbols.DatabaseSymbol.ctor(request.database, tables),
  );
  cached = { key: request.schemaKey, globals };
  return globals;
}

function parse(request: ParseRequest): ParseResponse {
  const code = parser.KustoCode.ParseAndAnalyze(request.text, makeGlobals(request));
  const found = code.GetDiagnostics();
  const diagnostics: KqlDiagnostic[] = [];
  for (let index = 0; index < found.Count; index += 1) {
    const { Code, Message, Start, Severity } = found.getItem(index);
    diagnostics.push({ code: Code, message: Message, start: Start, severity: Severity });
  }
  return { id: request.id, diagnostics, syntax: copyNode(code.Syntax) };
}

function copyNode(node: ParserNode): KqlNode {
  const children: KqlNode[] = [];
  for (let index = 0; index < node.ChildCount; index += 1) {
    const child = node.GetChild(index);
    if (child !== null) children.push(copyNode(child));
  }
  const type = node.IsToken ? undefined : node.ResultType;
  const columns = type?.Columns;
  return {
    kind: kindNames.get(node.Kind) ?? String(node.Kind),
    role: node.NameInParent ?? '',
    text: node.IsToken ? node.Text : '',
    start: node.TextStart,
    type: type?.Name ?? '',
    columns:
      columns && typeof columns.Count === 'number'
        ? Array.from({ length: columns.Count }, (_, index) => ({
            name: columns.getItem(index).Name,
            type: columns.getItem(index).Type.Name,
          }))
        : null,
    children,
  };
}

parentPort?.on('message', (request: ParseRequest) => {
  let response: ParseResponse;
  try {
    response = parse(request);
  } catch (error) {
    response = { id: request.id, error: (error as Error).message ?? String(error) };
  }
  parentPort?.postMessage(response);
});
