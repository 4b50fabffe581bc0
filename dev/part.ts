/**
 * The one shape that every part of the local stack has.
 *
 * A part listens on loopback only, chooses a free port unless it is given one, and leaves nothing behind
 * after `stop`, which may be called more than once.
 */
export interface RunningPart {
  /** Name as on the command line: `s3`, `kusto`, `azurite`, `host`. */
  readonly name: string;
  /** What a client needs: endpoints, keys, database. Printed as one line of JSON when the part is ready. */
  readonly settings: Readonly<Record<string, string | number>>;
  /** `running` while the part answers requests. */
  status(): Promise<'running' | 'stopped'>;
  /** Ends the part and frees its port; pending work is abandoned. */
  stop(): Promise<void>;
}
