import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { generate } from 'selfsigned';

/** A certificate for loopback, which only those trust who are told to. */
export interface Certificate {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/**
 * Makes a certificate for 127.0.0.1 and localhost, for a year, and writes it and its key into a folder.
 *
 * @param keyType - `ec` is made quickly; Entra's clients sign with `rsa` keys only.
 */
export async function makeCertificate(folder: string, keyType: 'ec' | 'rsa' = 'ec'): Promise<Certificate> {
  // A name of its own: who trusts two certificates of one name looks at the first only.
  const name = `localhost ${randomUUID()}`;
  const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
    keyType,
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  const certFile = path.join(folder, 'certificate.pem');
  const keyFile = path.join(folder, 'certificate-key.pem');
  await writeFile(certFile, cert);
  await writeFile(keyFile, key, { mode: 0o600 });
  return { cert, key, certFile, keyFile };
}
