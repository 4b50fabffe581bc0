import * as v from 'valibot';

import { DestinationSchema, FormatSchema, SourceSchema } from './load-definition.ts';

/** What is to be tested: the source, the destination or both, as in a load definition. */
export const ConnectionTestSchema = v.pipe(
  v.strictObject({
    source: v.optional(v.nullable(SourceSchema), null),
    destination: v.optional(v.nullable(DestinationSchema), null),
    /** Needed to find a mapping, which belongs to a format. */
    format: v.optional(v.nullable(FormatSchema), null),
  }),
  v.forward(
    v.partialCheck(
      [['source'], ['destination']],
      ({ source, destination }) => source !== null || destination !== null,
      'must be given, or destination, or both',
    ),
    ['source'],
  ),
  v.forward(
    v.partialCheck(
      [['destination'], ['format']],
      ({ destination, format }) => (destination?.mapping ?? null) === null || format !== null,
      'must be given beside destination.mapping: a mapping belongs to a format',
    ),
    ['format'],
  ),
);

export type ConnectionTestRequest = v.InferOutput<typeof ConnectionTestSchema>;
