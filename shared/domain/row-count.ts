/** Rows that ingested objects hold. */
export interface ExpectedRows {
  /** Of the objects whose rows are known. */
  readonly known: number;
  /** Objects whose rows are not. */
  readonly unknownObjects: number;
}

/** Rows in the table under the tag of the run. */
export interface RowCount {
  /** Rows of all extents that carry the tag; `null` when they could not be counted. */
  readonly tagged: number | null;
  /** `true` when the tag holds this run's rows alone; `false` when the window holds other runs too. */
  readonly tagIsThisRunOnly: boolean;
  /** Rows that the objects hold which this run has loaded; `null`, and absent in older summaries: not known. */
  readonly ofThisRun?: number | null;
  /** Rows that all objects hold which were loaded under the tag and not undone; `null`: not known. */
  readonly expected: number | null;
  /** `null` where one of the two is not known. */
  readonly agrees: boolean | null;
  /** By object, where the table has a column for the path of the object; `null`, and absent in older summaries: not counted. */
  readonly byObject?: RowsByObject | null;
}

/** What was counted object by object. */
export interface RowsByObject {
  /** Objects whose rows in the table are not those that they hold, that have none although they hold data, or some although they have failed. */
  readonly differing: number;
  /** Some of them. */
  readonly differences: readonly RowDifference[];
}

export interface RowDifference {
  readonly key: string;
  /** Rows that the object holds, 0 of one that has failed; `null`: not known. */
  readonly expected: number | null;
  readonly found: number;
}
