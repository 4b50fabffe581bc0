/** A pair of keys that the endpoint accepts. */
export interface LocalCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Makes the pair temporary: requests without exactly this token are refused. */
  readonly sessionToken?: string;
  /** From this instant on every request with the pair is refused with ExpiredToken. */
  readonly expiresAt?: Date;
  /** The role whose session the keys belong to. */
  readonly role?: string;
}

/**
 * Keys of the local endpoint when none are given. They are in the source, so they protect nothing: the
 * endpoint listens on loopback only, and they exist so that clients have to sign as they would for S3.
 */
export const defaultCredentials = {
  accessKeyId: 'local-access-key',
  secretAccessKey: 'local-secret-key-not-a-secret',
} as const satisfies LocalCredentials;
