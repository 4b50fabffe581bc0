/** An answer of the service that is not a success; becomes the JSON body that the Kusto clients read. */
export class KustoError extends Error {
  readonly code: string;
  readonly httpStatus: number;
  readonly permanent: boolean;
  readonly type: string;
  /** Code of the inner error, for example `SEM0100`, where the real service sends one. */
  readonly innerCode: string | undefined;

  constructor(
    code: string,
    message: string,
    options: { httpStatus?: number; permanent?: boolean; type?: string; innerCode?: string } = {},
  ) {
    super(message);
    this.name = 'KustoError';
    this.code = code;
    this.httpStatus = options.httpStatus ?? 400;
    this.permanent = options.permanent ?? true;
    this.type = options.type ?? 'Kusto.Data.Exceptions.KustoBadRequestException';
    this.innerCode = options.innerCode;
  }
}

/** `kind` as the service spells it: `Table`, `Database`, `Mapping`. */
export function makeEntityNotFound(kind: string, name: string): KustoError {
  return new KustoError('BadRequest_EntityNotFound', `Entity ID '${name}' of kind '${kind}' was not found.`, {
    type: 'Kusto.Common.Svc.Exceptions.EntityNotFoundException',
  });
}

/** `kind` as the service spells it. */
export function makeAlreadyExists(kind: string, name: string): KustoError {
  return new KustoError(
    'BadRequest_EntityAlreadyExists',
    `Entity ID '${name}' of kind '${kind}' already exists.`,
    { type: 'Kusto.Common.Svc.Exceptions.EntityAlreadyExistsException' },
  );
}

export function makeSyntaxError(message: string): KustoError {
  return new KustoError('General_BadRequest', `Syntax error: ${message}`, {
    type: 'Kusto.Data.Exceptions.SyntaxException',
    innerCode: 'SYN0002',
  });
}

/** For what KQL or a command can express and this endpoint can't: the construct is always named. */
export function makeNotSupported(construct: string): KustoError {
  return new KustoError(
    'BadRequest_NotSupportedLocally',
    `Semantic error: SEM0001: the local Kusto endpoint does not support ${construct}.`,
    { innerCode: 'SEM0001', type: 'Kusto.Data.Exceptions.SemanticException' },
  );
}

export interface ErrorContext {
  readonly activityId: string;
  readonly clientRequestId: string;
}

/** Body of every error answer; `@permanent` is what the clients' retry rules look at. */
export function makeErrorBody(error: KustoError, context: ErrorContext): object {
  const shared = {
    '@type': error.type,
    '@message': error.message,
    '@context': {
      timestamp: new Date().toISOString(),
      serviceAlias: 'LOCAL',
      clientRequestId: context.clientRequestId,
      activityId: context.activityId,
    },
    '@permanent': error.permanent,
  };
  const isBadRequest = error.httpStatus === 400;
  return {
    error: {
      code: error.code,
      message: isBadRequest ? 'Request is invalid and cannot be executed.' : error.message,
      ...shared,
      ...(error.innerCode === undefined
        ? {}
        : { innererror: { code: error.innerCode, message: error.message, ...shared } }),
    },
  };
}
