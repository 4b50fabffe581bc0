import type { IncomingMessage } from 'node:http';
import type { Faults, RequestFault, RequestKind } from '../faults.ts';
import { KustoError } from '../kusto-error.ts';

/**
 * Does what is armed for a request of these kinds.
 * @returns true when the request needs no answer any more.
 * @throws KustoError the answer that was asked for.
 */
export async function applyRequestFault(
  request: IncomingMessage,
  faults: Faults,
  kinds: readonly RequestKind[],
): Promise<boolean> {
  const fault = faults.takeRequestFault(kinds);
  if (fault === undefined) return false;
  if (fault.action === 'drop') {
    request.socket.destroy();
    return true;
  }
  if (fault.action === 'status') throw makeStatusError(fault);
  await new Promise((resolve) => setTimeout(resolve, fault.delayMs ?? 1_000));
  return false;
}

const codes: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
};

function makeStatusError({ status = 503, permanent, errorCode }: RequestFault): KustoError {
  const isTransient = status === 429 || status >= 500;
  return new KustoError(
    errorCode ?? codes[status] ?? (status >= 500 ? 'General_InternalServerError' : 'General_BadRequest'),
    status === 429
      ? 'The request is denied due to throttling.'
      : 'Failed on request of the control endpoint.',
    {
      httpStatus: status,
      permanent: permanent ?? !isTransient,
      type: isTransient
        ? 'Kusto.Data.Exceptions.KustoServiceException'
        : 'Kusto.Data.Exceptions.KustoBadRequestException',
    },
  );
}
