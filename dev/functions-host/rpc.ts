/** One value as it crosses the border between host and worker; exactly one key is set, or none for "no value". */
export interface RpcTypedData {
  readonly string?: string;
  readonly json?: string;
  readonly bytes?: Uint8Array;
  readonly stream?: Uint8Array;
  readonly int?: number;
  readonly double?: number;
  readonly http?: RpcHttpData;
}

/** HTTP request on the way in, HTTP response on the way out. */
export interface RpcHttpData {
  readonly method?: string;
  readonly url?: string;
  readonly nullableHeaders?: Record<string, { readonly value: string }>;
  readonly nullableQuery?: Record<string, { readonly value: string }>;
  readonly nullableParams?: Record<string, { readonly value: string }>;
  readonly body?: RpcTypedData | null;
  readonly statusCode?: string;
  readonly headers?: Record<string, string>;
  readonly cookies?: readonly RpcHttpCookie[];
}

/** Wrapped optional value of a cookie's attribute. */
type Nullable<T> = { readonly value?: T } | undefined;

export interface RpcHttpCookie {
  readonly name?: string;
  readonly value?: string;
  readonly domain?: Nullable<string>;
  readonly path?: Nullable<string>;
  readonly expires?: Nullable<{ readonly seconds: number }>;
  readonly secure?: Nullable<boolean>;
  readonly httpOnly?: Nullable<boolean>;
  readonly sameSite?: string;
  readonly maxAge?: Nullable<number>;
}

/** A named input or output of one invocation. */
export interface RpcBindingData {
  readonly name: string;
  readonly data: RpcTypedData | null | undefined;
}

/** What one invocation gave back. */
export interface RpcInvocationResponse {
  readonly invocationId: string;
  readonly outputData: readonly RpcBindingData[];
  readonly returnValue?: RpcTypedData | null;
}

/** A binding as `@azure/functions` registers it; options of the binding type are further keys. */
export interface BindingInfo {
  readonly type: string;
  readonly direction: 'in' | 'out' | 'inout';
  readonly name?: string;
  readonly [option: string]: unknown;
}

/** Retry policy of a function; durations are whole seconds. */
export interface RetryPolicy {
  readonly maxRetryCount: number;
  readonly retryStrategy?: 'fixedDelay' | 'exponentialBackoff';
  readonly delayInterval?: { readonly seconds: number };
  readonly minimumInterval?: { readonly seconds: number };
  readonly maximumInterval?: { readonly seconds: number };
}

export type FunctionCallback = (...args: unknown[]) => unknown;
