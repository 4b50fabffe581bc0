/** The two steps before any request to a service; a test of a connection shows each by itself. */
export interface Connection {
  /**
   * Finds the addresses of the hosts that requests go to.
   *
   * @returns their names. @throws {LoaderError} when one has no address, or one that this app may not reach.
   */
  resolve(): Promise<readonly string[]>;

  /**
   * Gets what requests are signed with.
   *
   * @returns as whom the app signs in, in words and without secrets. @throws {LoaderError} when it gets nothing.
   */
  signIn(): Promise<string>;
}
