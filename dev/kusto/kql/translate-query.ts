import { type Column, type ColumnType, readColumnType } from '../column-types.ts';
import { KustoError, makeNotSupported } from '../kusto-error.ts';
import { translateExpression } from './expressions.ts';
import { childOf, elementsOf, type KqlNode, nameOf, readStringLiteral, textOf } from './syntax.ts';
import { type Expression, type ExtentColumns, type Scope, sqlTypes } from './values.ts';

/** A relation that a query can start from. */
export interface BaseRelation {
  /** SQL for `from`. */
  readonly from: string;
  readonly columns: readonly (Column & { readonly physical: string })[];
  /** SQL for the extent number of a row; undefined where rows have none. */
  readonly extentNumber?: string | undefined;
}

export interface TranslationContext {
  /** @returns undefined when there is no such table. */
  findTable(name: string): BaseRelation | undefined;
  /** CTE body `select n, id, tags, t` of all extents. */
  readonly extentsSql: string;
  readonly nowMs: number;
}

export interface TranslatedQuery {
  readonly sql: string;
  readonly columns: readonly Column[];
}

/** Rows at one point of the pipeline: a CTE with columns c0..cn, and `_x` (extent) and `_o` (order) while they last. */
interface Stage {
  readonly from: string;
  readonly columns: readonly (Column & { readonly physical: string })[];
  readonly hasExtent: boolean;
  readonly hasOrder: boolean;
}

/** Translates a parsed query into one SQL statement with one CTE per operator. @throws KustoError naming what it can't. */
export function translateQuery(syntax: KqlNode, context: TranslationContext): TranslatedQuery {
  return new QueryTranslator(context).translate(syntax);
}

class QueryTranslator {
  readonly #context: TranslationContext;
  readonly #ctes: string[] = [];
  readonly #values = new Map<string, Expression>();
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
    const stage = this.#tabular(requireChild(last, 'Expression'));
    const selected = stage.columns.map((column) => column.physical).join(', ');
    const extents = this.#usesExtents ? [`ext as (${this.#context.extentsSql})`] : [];
    const withClause = [...extents, ...this.#ctes].join(',\n');
    return {
      sql: `with ${withClause}\nselect ${selected || 'null'} from ${stage.from}${stage.hasOrder ? ' order by _o' : ''}`,
      columns: stage.columns.map(({ name, type }) => ({ name, type })),
    };
  }

  #define(statement: KqlNode): void {
    if (statement.kind !== 'LetStatement') throw makeNotSupported(statement.kind);
    const value = requireChild(statement, 'Expression');
    if (value.columns !== null || value.kind === 'FunctionDeclaration')
      throw makeNotSupported('let of anything but a scalar');
    this.#values.set(
      nameOf(requireChild(statement, 'Name')),
      translateExpression(value, this.#scope(undefined)),
    );
  }

  #tabular(node: KqlNode): Stage {
    switch (node.kind) {
      case 'PipeExpression':
        return this.#operator(
          requireChild(node, 'Operator'),
          this.#tabular(requireChild(node, 'Expression')),
          node,
        );
      case 'ParenthesizedExpression':
        return this.#tabular(requireChild(node, 'Expression'));
      case 'NameReference':
        return this.#table(nameOf(node));
      case 'FunctionCallExpression':
        if (nameOf(requireChild(node, 'Name')) === 'table') {
          const argument = elementsOf(childOf(requireChild(node, 'ArgumentList'), 'Expressions'))[0];
          if (argument?.kind === 'StringLiteralExpression')
            return this.#table(readStringLiteral(textOf(argument)));
        }
        break;
      case 'PrintOperator': {
        const items = elementsOf(childOf(node, 'Expressions')).map(
          (item) => this.#named(item, undefined).value,
        );
        return this.#add(items, '', this.#resultColumns(node));
      }
      default:
    }
    throw makeNotSupported(`${node.kind} as the source of a query`);
  }

  #table(name: string): Stage {
    const base = this.#context.findTable(name);
    if (base === undefined) {
      throw new KustoError(
        'General_BadRequest',
        `Semantic error: SEM0100: '${name}' could not be resolved to a table.`,
        {
          innerCode: 'SEM0100',
          type: 'Kusto.Data.Exceptions.SemanticException',
        },
      );
    }
    return this.#add(base.columns.map(asExpression), `from ${base.from}`, base.columns, {
      extent: base.extentNumber,
    });
  }

  #operator(node: KqlNode, input: Stage, pipe: KqlNode): Stage {
    const parameters = childOf(node, 'Parameters');
    if (parameters !== undefined && parameters.children.length > 0)
      throw makeNotSupported(`${node.kind} with hints or parameters`);
    switch (node.kind) {
      case 'FilterOperator': {
        const condition = translateExpression(requireChild(node, 'Condition'), this.#scope(input));
        return this.#keep(input, `where ${condition.sql}`);
      }
      case 'TakeOperator':
        return this.#keep(
          input,
          `${input.hasOrder ? 'order by _o ' : ''}limit ${this.#count(requireChild(node, 'Expression'))}`,
        );
      case 'SortOperator':
        return this.#sort(input, elementsOf(childOf(node, 'Expressions')));
      case 'TopOperator': {
        const sorted = this.#sort(input, [requireChild(node, 'ByExpression')]);
        return this.#keep(sorted, `order by _o limit ${this.#count(requireChild(node, 'Expression'))}`);
      }
      case 'CountOperator':
        return this.#add([{ sql: 'count(*)', type: 'long' }], `from ${input.from}`, [
          { name: 'Count', type: 'long' },
        ]);
      case 'ProjectOperator':
        return this.#project(input, elementsOf(childOf(node, 'Expressions')), this.#resultColumns(pipe));
      case 'ProjectAwayOperator':
      case 'ProjectKeepOperator':
      case 'ProjectReorderOperator': {
        const columns = this.#resultColumns(pipe);
        return this.#carry(
          input,
          columns.map((column) => expressionOf(input, column.name)),
          columns,
        );
      }
      case 'ProjectRenameOperator':
        return this.#carry(input, input.columns.map(asExpression), this.#resultColumns(pipe));
      case 'ExtendOperator':
        return this.#extend(input, elementsOf(childOf(node, 'Expressions')), this.#resultColumns(pipe));
      case 'DistinctOperator': {
        const items = elementsOf(childOf(node, 'Expressions'));
        const isAll = items.some((item) => item.kind === 'StarExpression');
        const scope = this.#scope(input);
        const keys = isAll
          ? input.columns.map(asExpression)
          : items.map((item) => this.#named(item, scope).value);
        keys.forEach(requireGroupable);
        return this.#add(keys, `from ${input.from}`, this.#resultColumns(pipe), { distinct: true });
      }
      case 'SummarizeOperator':
        return this.#summarize(input, node, pipe);
      default:
        throw makeNotSupported(`the operator ${textOf(node.children[0] ?? node)}`);
    }
  }

  #count(node: KqlNode): string {
    const value = translateExpression(node, this.#scope(undefined));
    if (value.type !== 'long' && value.type !== 'int')
      throw makeNotSupported(`a row count of type ${value.type}`);
    return `(${value.sql})`;
  }

  #sort(input: Stage, items: readonly KqlNode[]): Stage {
    const scope = this.#scope(input);
    const keys = items.map((item) => {
      const isOrdered = item.kind === 'OrderedExpression';
      const value = translateExpression(isOrdered ? requireChild(item, 'Expression') : item, scope);
      if (value.type === 'dynamic') throw makeNotSupported('sorting by a dynamic; convert it first');
      const ordering = isOrdered ? textOf(requireChild(item, 'Ordering')) : '';
      const direction = ordering.startsWith('asc') ? 'asc' : 'desc';
      // Nulls are the smallest unless the query says otherwise.
      const nulls = ordering.endsWith('nullsfirst')
        ? 'first'
        : ordering.endsWith('nullslast')
          ? 'last'
          : direction === 'asc'
            ? 'first'
            : 'last';
      return `${value.sql} ${direction} nulls ${nulls}`;
    });
    const columns = [...input.columns.map((column) => column.physical), ...(input.hasExtent ? ['_x'] : [])];
    const name = this.#push(
      `select ${[...columns, `row_number() over (order by ${keys.join(', ')}) as _o`].join(', ')} from ${input.from}`,
    );
    return { ...input, from: name, hasOrder: true };
  }

  #project(input: Stage, items: readonly KqlNode[], columns: readonly Column[]): Stage {
    const scope = this.#scope(input);
    return this.#carry(
      input,
      items.map((item) => this.#named(item, scope).value),
      columns,
    );
  }

  #extend(input: Stage, items: readonly KqlNode[], columns: readonly Column[]): Stage {
    const scope = this.#scope(input);
    const named = items.map((item) => this.#named(item, scope));
    const known = new Set([...input.columns.map((column) => column.name), ...named.map((item) => item.name)]);
    const automatic = columns.filter((column) => !known.has(column.name)).map((column) => column.name);
    const assigned = new Map<string, Expression>();
    for (const [index, item] of items.entries()) {
      const { name = firstArgumentOf(item, input) ?? automatic.shift(), value } = named[index] ?? {};
      if (name === undefined || value === undefined || assigned.has(name)) {
        throw makeNotSupported(`extend ${textOf(item).slice(0, 80)} without a name`);
      }
      assigned.set(name, value);
    }
    return this.#carry(
      input,
      columns.map((column) => assigned.get(column.name) ?? expressionOf(input, column.name)),
      columns,
    );
  }

  #summarize(input: Stage, node: KqlNode, pipe: KqlNode): Stage {
    const columns = this.#resultColumns(pipe);
    const scope = this.#scope(input);
    const byItems = elementsOf(childOf(childOf(node, 'ByClause') ?? emptyNode, 'Expressions'));
    const keys = byItems.map((item) => this.#named(item, scope).value);
    keys.forEach(requireGroupable);
    const values = elementsOf(childOf(node, 'Aggregates')).map(
      (item) => this.#named(item, { ...scope, isAggregate: true }).value,
    );
    const grouping = keys.length > 0 ? ` group by ${keys.map((_, index) => index + 1).join(', ')}` : '';
    if (values.length === 0) return this.#add(keys, `from ${input.from}`, columns, { distinct: true });
    return this.#add([...keys, ...values], `from ${input.from}${grouping}`, columns);
  }

  #named(item: KqlNode, scope: Scope | undefined): { name: string | undefined; value: Expression } {
    const inScope = scope ?? this.#scope(undefined);
    if (item.kind === 'SimpleNamedExpression') {
      return {
        name: nameOf(requireChild(item, 'Name')),
        value: translateExpression(requireChild(item, 'Expression'), inScope),
      };
    }
    if (item.kind === 'CompoundNamedExpression') throw makeNotSupported('several names for one expression');
    const name = item.kind === 'NameReference' ? nameOf(item) : undefined;
    return { name, value: translateExpression(item, inScope) };
  }

  #resultColumns(node: KqlNode): Column[] {
    if (node.columns === null) throw makeNotSupported(`${node.kind}: its columns are not known`);
    return node.columns.map((column) => {
      const type = readColumnType(column.type);
      if (type === undefined) throw makeNotSupported(`column '${column.name}' of type ${column.type}`);
      return { name: column.name, type };
    });
  }

  #scope(stage: Stage | undefined): Scope {
    const columns = new Map(
      (stage?.columns ?? []).map((column) => [column.name, { sql: column.physical, type: column.type }]),
    );
    const scope: Scope = { columns, values: this.#values, nowMs: this.#context.nowMs };
    if (stage?.hasExtent !== true) return scope;
    const use = (column: string) => {
      this.#usesExtents = true;
      return `(select ext.${column} from ext where ext.n = _x)`;
    };
    const extents: ExtentColumns = {
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
    return { ...scope, extents };
  }

  /** Same rows and columns, fewer of them. */
  #keep(input: Stage, clause: string): Stage {
    return { ...input, from: this.#push(`select * from ${input.from} ${clause}`) };
  }

  /** Same rows, other columns: extent and order stay with them. */
  #carry(input: Stage, values: readonly Expression[], columns: readonly Column[]): Stage {
    return this.#add(values, `from ${input.from}`, columns, {
      extent: input.hasExtent ? '_x' : undefined,
      order: input.hasOrder ? '_o' : undefined,
    });
  }

  #add(
    values: readonly Expression[],
    clause: string,
    columns: readonly Column[],
    options: { extent?: string | undefined; order?: string | undefined; distinct?: boolean } = {},
  ): Stage {
    if (values.length !== columns.length)
      throw makeNotSupported(`this operator (${values.length} values for ${columns.length} columns)`);
    const selected = [
      ...values.map((value, index) => `${castTo(value, columns[index] as Column)} as c${index}`),
      ...(options.extent === undefined ? [] : [`${options.extent} as _x`]),
      ...(options.order === undefined ? [] : [`${options.order} as _o`]),
    ];
    const name = this.#push(
      `select ${options.distinct ? 'distinct ' : ''}${selected.join(', ') || 'null as _n'} ${clause}`,
    );
    return {
      from: name,
      columns: columns.map((column, index) => ({
        name: column.name,
        type: column.type as ColumnType,
        physical: `c${index}`,
      })),
      hasExtent: options.extent !== undefined,
      hasOrder: options.order !== undefined,
    };
  }

  #push(sql: string): string {
    const name = `q${this.#ctes.length}`;
    this.#ctes.push(`${name} as (${sql})`);
    return name;
  }
}

const emptyNode: KqlNode = { kind: '', role: '', text: '', start: 0, type: '', columns: null, children: [] };

function requireChild(node: KqlNode, role: string): KqlNode {
  const child = childOf(node, role);
  if (child === undefined) throw makeNotSupported(`${node.kind} without ${role}`);
  return child;
}

function asExpression(column: Column & { readonly physical: string }): Expression {
  return { sql: column.physical, type: column.type };
}

function expressionOf(input: Stage, name: string): Expression {
  const column = input.columns.find((candidate) => candidate.name === name);
  if (column === undefined) throw makeNotSupported(`the column '${name}' here`);
  return asExpression(column);
}

function requireGroupable(key: Expression): void {
  if (key.type !== 'dynamic') return;
  throw new KustoError(
    'General_BadRequest',
    'Semantic error: SEM0070: a group key is dynamic; convert it, for example with tostring().',
    {
      innerCode: 'SEM0070',
      type: 'Kusto.Data.Exceptions.SemanticException',
    },
  );
}

/** `extend tostring(a)` has the name of its argument, and so replaces the column. */
function firstArgumentOf(item: KqlNode, input: Stage): string | undefined {
  if (item.kind !== 'FunctionCallExpression' || !/^to[a-z]+$/.test(nameOf(requireChild(item, 'Name'))))
    return undefined;
  const [argument] = elementsOf(childOf(requireChild(item, 'ArgumentList'), 'Expressions'));
  if (argument?.kind !== 'NameReference') return undefined;
  const name = nameOf(argument);
  return input.columns.some((column) => column.name === name) ? name : undefined;
}

const numbers: readonly ColumnType[] = ['int', 'long', 'real', 'decimal'];

/** The translation and the parser's own analysis must agree on the type, or the query is refused. */
function castTo(value: Expression, column: Column): string {
  if (value.type === column.type) return value.sql;
  const areNumbers = numbers.includes(value.type) && numbers.includes(column.type);
  if (value.isNull || areNumbers) return `(${value.sql})::${sqlTypes[column.type]}`;
  throw makeNotSupported(
    `column '${column.name}': a ${value.type} where the parser expects a ${column.type}`,
  );
}
