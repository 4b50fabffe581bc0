import { KustoError } from '../kusto-error.ts';

/** @throws KustoError 401 unless the header carries what is asked for. */
export type TokenCheck = (authorization: string | undefined) => void;

export interface TokenOptions {
  /** The bearer token that is accepted; left out, any token is. */
  readonly value?: string;
}

export function makeTokenCheck(options: TokenOptions): TokenCheck {
  return (authorization) => {
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    if (token !== undefined && (options.value === undefined || token === options.value)) return;
    throw new KustoError(
      'Unauthorized',
      token === undefined ? 'The request carries no bearer token.' : 'The bearer token is not accepted.',
      { httpStatus: 401, type: 'Kusto.Data.Exceptions.KustoRequestUnauthorizedException' },
    );
  };
}
