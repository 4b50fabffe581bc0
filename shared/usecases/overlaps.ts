import type { LoadDefinition } from '../contracts/load-definition.ts';
import { mayOverlap } from '../domain/overlap.ts';
import { listLoads } from './load-catalog.ts';
import type { Loader } from './loader.ts';

/** Something that is allowed and may not be meant. */
export interface Warning {
  readonly field: string;
  readonly message: string;
  readonly remedy: string;
}

/** One warning for each other load that may load objects of this one into the same table. */
export async function warnOfOverlaps(
  loader: Loader,
  definition: LoadDefinition,
): Promise<readonly Warning[]> {
  const others = (await listLoads(loader)).map((entry) => entry.definition);
  return others
    .filter((other) => other.name !== definition.name && mayOverlap(definition, other))
    .map(({ name, source }) => ({
      field: 'source.prefix',
      message: `The load "${name}" feeds the same table, from keys with the prefix "${source.prefix}" of the same bucket: what both select is loaded twice`,
      remedy: 'Give the two loads prefixes of which none begins with the other, or tables of their own.',
    }));
}
