/** How long the runs of a load share one tag, and so how much one undo drops. */
export type TagWindow = 'run' | 'hour' | 'day';

export interface DropByTagInput {
  /** Id of this app, so that two apps that feed one table don't share tags. */
  readonly appId: string;
  readonly load: string;
  readonly generation: number;
  readonly runId: string;
  readonly window: TagWindow;
  readonly runCreatedAt: Date;
}

/**
 * The tag that every extent of a run carries: `drop-by:<app>/<load>.<generation>/<window>`.
 *
 * ADX never merges extents whose drop-by tags differ, and batches only messages whose tags are equal, so a tag for
 * each tiny run would leave the table in splinters: frequent runs share the tag of their hour or day.
 */
export function dropByTag(input: DropByTagInput): string {
  const iso = input.runCreatedAt.toISOString();
  const window = { run: input.runId, hour: `${iso.slice(0, 13)}Z`, day: iso.slice(0, 10) }[input.window];
  return `drop-by:${input.appId}/${input.load}.${input.generation}/${window}`;
}
