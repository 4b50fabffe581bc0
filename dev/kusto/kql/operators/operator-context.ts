import type { BaseRelation, Pipeline } from '../pipeline.ts';
import type { KqlNode } from '../syntax.ts';
import type { Names, Scope, Stage } from '../values.ts';

/** What the operators need of the translator. */
export interface OperatorContext {
  readonly pipeline: Pipeline;
  readonly names: Names;
  tabular(node: KqlNode, names: Names): Stage;
  scope(stage: Stage | undefined, names: Names): Scope;
  tableOf(node: KqlNode, names: Names): string | undefined;
  findTable(name: string): BaseRelation | undefined;
}
