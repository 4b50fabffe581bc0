import type { ColumnType } from '../column-types.ts';
import { KustoError, makeNotSupported } from '../kusto-error.ts';
import { translateExpression } from './expressions.ts';
import { distinct, extend, pickColumns, project, valueOf } from './operators/columns.ts';
import { join } from './operators/join.ts';
import { expandValues } from './operators/mv-expand.ts';
import type { OperatorContext } from './operators/operator-context.ts';
import { parseText } from './operators/parse.ts';
import { filter, sort, take, top } from './operators/rows.ts';
import { makeDataTable, makeRange, makeSchemaRows } from './operators/sources.ts';
import { summarize } from './operators/summarize.ts';
import { union } from './operators/union.ts';
import { makeParameterValue } from './parameters.ts';
import { asExpression, type BaseRelation, Pipeline, resultColumns } from './pipeline.ts';
import { bindArguments, readParameter } from './script-scope.ts';
import {
  childOf,
  elementsOf,
  type KqlNode,
  nameOf,
  readStringLiteral,
  requireChild,
  textOf,
} from './syntax.ts';
import type { Expression, ExtentColumns, Named, Names, Scope, Stage } from './values.ts';

export type { BaseRelation } from './pipeline.ts';

export interface TranslationContext {
  /** @returns undefined when there is no such table. */
  findTable(name: string): BaseRelation | undefined;
  /** CTE body `select n, id, tags, t` of all extents. */
  readonly extentsSql: string;
  readonly nowMs: number;
  /** Values of `declare query_parameters`, as KQL literals. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
}

export interface TranslatedQuery {
  readonly sql: string;
  readonly columns: readonly { readonly name: string; readonly type: ColumnType }[];
}

/** Translates a parsed query into one SQL statement with one CTE per operator. @throws KustoError naming what it can't. */
export function translateQuery(syntax: KqlNode, context: TranslationContext): TranslatedQuery {
  return new QueryTranslator(context).translate(syntax);
}

class QueryTranslator {
  readonly #context: TranslationContext;
  readonly #pipeline = new Pipeline();
  #names: Map<string, Named> = new Map();
  #usesExtents = false;

  constructor(context: TranslationContext) {
    this.#context = context;
  }

  translate(syntax: KqlNode): TranslatedQuery {
    const statements = elementsOf(childOf(syntax, 'Statements'));
    const last = statements.at(-1);
    if (last?.kind !== 'ExpressionStatement')
      throw makeNotSupported(last === undefined ? 'an empty query' : last.kind);
    for (const statement of statements.slice(0, -1)) this.#define(statement);
    const stage = this.#tabular(requireChild(last, 'Expression'), this.#names);
    const selected = stage.columns.map((column) => column.physical).join(', ');
    const extents = this.#usesExtents ? [`ext as materialized (${this.#context.extentsSql})`] : [];
    const withClause = [...extents, ...this.#pipeline.ctes].join(',\n');
    return {
      sql: `with ${withClause}\nselect ${selected || 'null'} from ${stage.from}${stage.hasOrder ? ' order by _o' : ''}`,
      columns: stage.columns.map(({ name, type }) => ({ name, type })),
    };
  }

  #define(statement: KqlNode): void {
    if (statement.kind === 'QueryParametersStatement') {
      for (const parameter of elementsOf(childOf(statement, 'Parameters'))) this.#defineParameter(parameter);
      return;
    }
    if (statement.kind !== 'LetStatement') throw makeNotSupported(statement.kind);
    this.#names.set(
      nameOf(requireChild(statement, 'Name')),
      this.#named(requireChild(statement, 'Expression')),
    );
  }

  #defineParameter(parameter: KqlNode): void {
    const { name, type, defaultValue } = readParameter(parameter, 'query_parameters');
    const given = this.#context.parameters?.[name];
    const value =
      given === undefined
        ? defaultValue && translateExpression(defaultValue, this.#scope(undefined, this.#names))
        : makeParameterValue(name, type, given, this.#context.nowMs);
    if (value === undefined)
      throw new KustoError(
        'General_BadRequest',
        `Query parameter '${name}' has neither a value nor a default.`,
      );
    this.#names.set(name, { kind: 'scalar', value });
  }

  #named(value: KqlNode): Named {
    const names = new Map(this.#names);
    if (value.kind === 'FunctionDeclaration') return { kind: 'function', declaration: value, names };
    if (!this.#isTabular(value, names))
      return { kind: 'scalar', value: translateExpression(value, this.#scope(undefined, names)) };
    return { kind: 'tabular', stage: this.#tabular(value, names), table: this.#tableOf(value, names) };
  }

  #isTabular(node: KqlNode, names: Names): boolean {
    if (node.kind === 'NameReference') {
      const named = names.get(nameOf(node));
      if (named !== undefined) return named.kind === 'tabular';
    }
    return node.columns !== null && node.type !== 'tuple';
  }

  /** The table whose rows these are, under whatever name; undefined once an operator has touched them. */
  #tableOf(node: KqlNode, names: Names): string | undefined {
    if (node.kind === 'ParenthesizedExpression')
      return this.#tableOf(requireChild(node, 'Expression'), names);
    if (node.kind !== 'NameReference') return undefined;
    const named = names.get(nameOf(node));
    if (named !== undefined) return named.kind === 'tabular' ? named.table : undefined;
    return nameOf(node);
  }

  #tabular(node: KqlNode, names: Names): Stage {
    switch (node.kind) {
      case 'PipeExpression':
        return this.#operator(
          requireChild(node, 'Operator'),
          this.#tabular(requireChild(node, 'Expression'), names),
          node,
          names,
        );
      case 'ParenthesizedExpression':
        return this.#tabular(requireChild(node, 'Expression'), names);
      case 'MaterializeExpression': {
        const stage = this.#tabular(requireChild(node, 'Expression'), names);
        return { ...stage, from: this.#pipeline.push(`select * from ${stage.from}`, true) };
      }
      case 'NameReference': {
        const named = names.get(nameOf(node));
        if (named?.kind === 'tabular') return named.stage;
        if (named?.kind === 'function') return this.#callTabular(nameOf(node), named, [], names);
        return this.#table(nameOf(node));
      }
      case 'FunctionCallExpression':
        return this.#tabularCall(node, names);
      case 'PrintOperator': {
        const items = elementsOf(childOf(node, 'Expressions'));
        const scope = this.#scope(undefined, names);
        return this.#pipeline.add(
          items.map((item) => valueOf(item, scope)),
          '',
          resultColumns(node),
        );
      }
      case 'DataTableExpression':
        return makeDataTable(node, this.#operatorContext(names));
      case 'RangeOperator':
        return makeRange(node, this.#operatorContext(names));
      case 'UnionOperator':
        return union(node, undefined, node, this.#operatorContext(names));
      default:
        throw makeNotSupported(`${node.kind} as the source of a query`);
    }
  }

  #tabularCall(node: KqlNode, names: Names): Stage {
    const name = nameOf(requireChild(node, 'Name'));
    const args = elementsOf(childOf(requireChild(node, 'ArgumentList'), 'Expressions'));
    const declared = names.get(name);
    if (declared?.kind === 'function') return this.#callTabular(name, declared, args, names);
    const [first] = args;
    if (name === 'table' && args.length === 1 && first?.kind === 'StringLiteralExpression')
      return this.#table(readStringLiteral(textOf(first)));
    throw makeNotSupported(`the function ${name}() as the source of a query`);
  }

  #callTabular(
    name: string,
    declared: Extract<Named, { kind: 'function' }>,
    args: readonly KqlNode[],
    names: Names,
  ): Stage {
    const bound = bindArguments(name, declared, args, this.#scope(undefined, names), translateExpression);
    return this.#tabular(bound.body, bound.names);
  }

  #table(name: string): Stage {
    const base = this.#context.findTable(name);
    if (base === undefined) {
      throw new KustoError(
        'General_BadRequest',
        `Semantic error: SEM0100: '${name}' could not be resolved to a table.`,
        { innerCode: 'SEM0100', type: 'Kusto.Data.Exceptions.SemanticException' },
      );
    }
    return this.#pipeline.add(base.columns.map(asExpression), `from ${base.from}`, base.columns, {
      extent: base.extentNumber,
    });
  }

  #operatorContext(names: Names): OperatorContext {
    return {
      pipeline: this.#pipeline,
      names,
      tabular: (node, inner) => this.#tabular(node, inner),
      scope: (stage, inner) => this.#scope(stage, inner),
      tableOf: (node, inner) => this.#tableOf(node, inner),
      findTable: (name) => this.#context.findTable(name),
    };
  }

  #operator(node: KqlNode, input: Stage, pipe: KqlNode, names: Names): Stage {
    if (node.kind === 'AsOperator') return this.#name(node, input);
    const operator = operators[node.kind];
    if (operator === undefined) throw makeNotSupported(`the operator ${textOf(node.children[0] ?? node)}`);
    const hasParameters = (childOf(node, 'Parameters')?.children.length ?? 0) > 0;
    if (hasParameters && !operatorsWithParameters.includes(node.kind)) requireOnlyHints(node);
    return operator(node, input, pipe, this.#operatorContext(names));
  }

  /** `as` names the rows for what follows in the query. */
  #name(node: KqlNode, input: Stage): Stage {
    this.#names.set(nameOf(requireChild(node, 'Name')), { kind: 'tabular', stage: input });
    return input;
  }

  #scope(stage: Stage | undefined, names: Names): Scope {
    const columns = new Map((stage?.columns ?? []).map((column) => [column.name, asExpression(column)]));
    const scope: Scope = {
      columns,
      names,
      nowMs: this.#context.nowMs,
      hasOrder: stage?.hasOrder === true,
      isSerialized: stage?.isSerialized === true,
      queries: {
        scalar: (node, inner) => {
          const first = this.#firstColumn(node, inner);
          const sql = `(select ${first.sql} from ${first.from} limit 1)`;
          return { sql: first.type === 'string' ? `coalesce(${sql}, '')` : sql, type: first.type };
        },
        list: (node, inner) => {
          const first = this.#firstColumn(node, inner);
          return { sql: `select ${first.sql} from ${first.from}`, type: first.type };
        },
      },
    };
    return stage?.hasExtent === true ? { ...scope, extents: this.#extentColumns() } : scope;
  }

  #firstColumn(node: KqlNode, names: Names): Expression & { readonly from: string } {
    const stage = this.#tabular(node, names);
    const [column] = stage.columns;
    if (column === undefined) throw makeNotSupported('a subquery without columns');
    return { ...asExpression(column), from: stage.from };
  }

  #extentColumns(): ExtentColumns {
    const use = (column: string) => {
      this.#usesExtents = true;
      return `(select ext.${column} from ext where ext.n = _x)`;
    };
    return {
      get tags() {
        return use('tags');
      },
      get id() {
        return use('id');
      },
      get ingestionTime() {
        return use('t');
      },
    };
  }
}

type Operator = (node: KqlNode, input: Stage, pipe: KqlNode, context: OperatorContext) => Stage;

const operators: Readonly<Record<string, Operator>> = {
  FilterOperator: (node, input, _pipe, context) => filter(node, input, context),
  TakeOperator: (node, input, _pipe, context) => take(node, input, context),
  SortOperator: (node, input, _pipe, context) => sort(node, input, context),
  TopOperator: (node, input, _pipe, context) => top(node, input, context),
  CountOperator: (_node, input, pipe, { pipeline }) =>
    pipeline.add([{ sql: 'count(*)', type: 'long' }], `from ${input.from}`, resultColumns(pipe)),
  ProjectOperator: project,
  ProjectAwayOperator: (_node, input, pipe, context) => pickColumns(input, pipe, context),
  ProjectKeepOperator: (_node, input, pipe, context) => pickColumns(input, pipe, context),
  ProjectReorderOperator: (_node, input, pipe, context) => pickColumns(input, pipe, context),
  ProjectRenameOperator: (_node, input, pipe, { pipeline }) =>
    pipeline.carry(input, input.columns.map(asExpression), resultColumns(pipe)),
  ExtendOperator: extend,
  SerializeOperator: (node, input, pipe, context) =>
    extend(
      node,
      input.hasOrder ? { ...input, isSerialized: true } : context.pipeline.order(input, ''),
      pipe,
      context,
    ),
  DistinctOperator: distinct,
  SummarizeOperator: summarize,
  JoinOperator: join,
  LookupOperator: join,
  UnionOperator: (node, input, pipe, context) =>
    union(node, { stage: input, node: requireChild(pipe, 'Expression') }, pipe, context),
  MvExpandOperator: expandValues,
  ParseOperator: (node, input, pipe, context) => parseText(node, input, pipe, context, false),
  ParseWhereOperator: (node, input, pipe, context) => parseText(node, input, pipe, context, true),
  GetSchemaOperator: (_node, input, _pipe, { pipeline }) => makeSchemaRows(input, pipeline),
  RenderOperator: (_node, input) => input,
};

const operatorsWithParameters: readonly string[] = [
  'JoinOperator',
  'LookupOperator',
  'UnionOperator',
  'MvExpandOperator',
  'ParseOperator',
  'ParseWhereOperator',
  'RenderOperator',
];

function requireOnlyHints(node: KqlNode): void {
  const other = childOf(node, 'Parameters')?.children.find((child) => !textOf(child).startsWith('hint.'));
  if (other !== undefined) throw makeNotSupported(`${node.kind} with ${textOf(other)}`);
}
