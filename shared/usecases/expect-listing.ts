import { toLoaderError } from '../errors/loader-error.ts';
import type { Source } from '../ports/source.ts';

/**
 * Of an object that can't be looked at S3 says no more than 403 or 400, and it says that too when the credentials have ended:
 * then it lists nothing, either, and nothing may be taken for what it is not.
 *
 * @throws {LoaderError} when it does not list.
 */
export async function expectListing(source: Source, prefix: string): Promise<void> {
  try {
    await source.listPage({ prefix, startAfter: null });
  } catch (thrown) {
    const error = toLoaderError(thrown);
    // A listing that can't be used, as its keys are in no order, is one all the same.
    if (error.code !== 'invalidDefinition') throw error;
  }
}
