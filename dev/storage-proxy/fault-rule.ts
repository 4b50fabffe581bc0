import * as v from 'valibot';

export type StorageService = 'blob' | 'queue' | 'table';

/** Codes that Azure Storage answers when it can't do its work now, with their status. */
const storageErrorStatuses: Readonly<Record<string, number>> = {
  ServerBusy: 503,
  InternalError: 500,
  OperationTimedOut: 500,
  TooManyRequests: 429,
};

const wholeNumber = (least: number) =>
  v.pipe(
    v.number('must be a number'),
    v.safeInteger('must be a whole number'),
    v.minValue(least, `must be at least ${least}`),
  );
const moment = v.optional(v.picklist(['before', 'after'], 'must be before or after'), 'before');

const actionSchema = v.variant(
  'kind',
  [
    v.strictObject({ kind: v.literal('delay'), delayMs: wholeNumber(0), when: moment }),
    v.strictObject({
      kind: v.literal('error'),
      code: v.nullable(v.pipe(v.string(), v.regex(/^[A-Za-z]+$/, 'must be a code such as ServerBusy'))),
      status: v.optional(v.pipe(wholeNumber(400), v.maxValue(599, 'must be at most 599'))),
    }),
    v.strictObject({ kind: v.literal('reset'), when: moment }),
    v.strictObject({
      kind: v.literal('truncate'),
      of: v.optional(v.picklist(['answer', 'request'], 'must be answer or request'), 'answer'),
      afterBytes: wholeNumber(0),
    }),
  ],
  'must be an action whose kind is delay, error, reset or truncate',
);

const ruleSchema = v.pipe(
  v.strictObject({
    service: v.optional(v.picklist(['blob', 'queue', 'table'], 'must be blob, queue or table')),
    method: v.optional(v.pipe(v.string(), v.toUpperCase())),
    path: v.optional(v.string()),
    skip: v.optional(wholeNumber(0), 0),
    count: v.optional(wholeNumber(1)),
    percent: v.optional(
      v.pipe(
        v.number('must be a number'),
        v.gtValue(0, 'must be above 0'),
        v.maxValue(100, 'must be at most 100'),
      ),
    ),
    seed: v.optional(wholeNumber(0), 1),
    action: actionSchema,
  }),
  v.check(
    ({ action }) =>
      action.kind !== 'error' || action.status !== undefined || knownStatus(action.code) !== undefined,
    `action.status is needed unless code is one of ${Object.keys(storageErrorStatuses).join(', ')}`,
  ),
);

/** A rule as it is written: every field but `action` may be left out. */
export type StorageFaultRule = v.InferInput<typeof ruleSchema>;
/** What happens to a request that a rule hits; see the README. */
export type StorageFaultAction = v.InferOutput<typeof actionSchema>;
/** A rule with its defaults filled in. */
export type CompleteFaultRule = v.InferOutput<typeof ruleSchema>;

/** Status that belongs to a code; undefined when it has to be given. */
export function knownStatus(code: string | null): number | undefined {
  return code === null ? undefined : storageErrorStatuses[code];
}

/**
 * Fills in a rule's defaults.
 *
 * @throws Error that says which field is wrong and what it may be
 */
export function readFaultRule(value: unknown): CompleteFaultRule {
  const result = v.safeParse(ruleSchema, value);
  if (result.success) return result.output;
  const problems = result.issues.map((issue) => `${v.getDotPath(issue) ?? 'a rule'}: ${issue.message}`);
  throw new Error(`The rule can't be used: ${problems.join('; ')}.`);
}
