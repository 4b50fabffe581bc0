import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type Certificate, makeCertificate } from '../../../dev/certificate.ts';
import { type Authority, createAuthority } from '../../../dev/identity/authority.ts';
import {
  EXCHANGE_AUDIENCE,
  type LocalApplication,
  type RunningTokenEndpoint,
  startTokenEndpoint,
} from '../../../dev/identity/token-endpoint.ts';
import { createAzureCredential } from '../../../shared/adapters/identity/azure-credential.ts';
import type { IdentitySettings } from '../../../shared/config/settings.ts';

const KUSTO = 'https://kusto.kusto.windows.net';
const TENANT = '11111111-2222-3333-4444-555555555555';
const SUBJECT = 'system:serviceaccount:loader';

let folder: string;
let tenant: Authority;
let platform: Authority;
let endpoint: RunningTokenEndpoint;
let ofApplication: Certificate;
let tokenFile: string;
const applications: Record<'bySecret' | 'byCertificate' | 'federated', LocalApplication> = {
  bySecret: { clientId: 'client-1', objectId: 'object-1', secret: 'right' },
  byCertificate: { clientId: 'client-2', objectId: 'object-2' },
  federated: { clientId: 'client-3', objectId: 'object-3' },
};

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 's3-adx-loader-applications-'));
  const ofEndpoint = await makeCertificate(folder);
  ofApplication = await makeCertificate(folder, 'rsa');
  [tenant, platform] = await Promise.all([createAuthority(TENANT), createAuthority('platform')]);
  endpoint = await startTokenEndpoint({
    authority: tenant,
    audiences: [KUSTO],
    tls: ofEndpoint,
    applications: [
      applications.bySecret,
      { ...applications.byCertificate, certificate: ofApplication.cert },
      { ...applications.federated, federated: { issuer: platform, subject: SUBJECT } },
    ],
  });
  tokenFile = path.join(folder, 'token');
  await writeTokenOf(SUBJECT);
  process.env['AZURE_AUTHORITY_HOST'] = endpoint.settings.authorityHost;
  tls.setDefaultCACertificates([ofEndpoint.cert]);
});
afterAll(async () => {
  await endpoint?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What the platform keeps in the file for a workload. */
async function writeTokenOf(objectId: string) {
  const principal = { clientId: 'workload', objectId };
  await writeFile(tokenFile, (await platform.issue({ audience: EXCHANGE_AUDIENCE, principal })).token);
}

const principalOf = ({ clientId, objectId }: LocalApplication) => ({ clientId, objectId });
const getToken = async (settings: IdentitySettings) =>
  (await (await createAzureCredential(settings))!.getToken(`${KUSTO}/.default`))!.token;

describe('an application signs in', () => {
  test('by its secret', async () => {
    const { clientId } = applications.bySecret;
    const settings = { kind: 'servicePrincipal', tenantId: TENANT, clientId } as const;
    const token = await getToken({ ...settings, proof: { secret: 'right' } });
    expect(await tenant.verify(token, KUSTO)).toEqual(principalOf(applications.bySecret));
    await expect(getToken({ ...settings, proof: { secret: 'wrong' } })).rejects.toThrow(/AADSTS7000215/);
  });

  test('by its certificate, from a setting or a file', async () => {
    const { clientId } = applications.byCertificate;
    const settings = { kind: 'servicePrincipal', tenantId: TENANT, clientId } as const;
    const certificate = `${ofApplication.cert}\n${ofApplication.key}`;
    const certificateFile = path.join(folder, 'application.pem');
    await writeFile(certificateFile, certificate);
    for (const proof of [{ certificate }, { certificateFile }]) {
      const token = await getToken({ ...settings, proof });
      expect(await tenant.verify(token, KUSTO)).toEqual(principalOf(applications.byCertificate));
    }
    const other = await makeCertificate(folder, 'rsa');
    await expect(
      getToken({ ...settings, proof: { certificate: `${other.cert}\n${other.key}` } }),
    ).rejects.toThrow(/AADSTS700027/);
  });

  test("by the token that the platform keeps in a file, for the application's subject only", async () => {
    const { clientId } = applications.federated;
    const settings = { kind: 'workloadIdentity', tenantId: TENANT, clientId, tokenFile } as const;
    expect(await tenant.verify(await getToken(settings), KUSTO)).toEqual(principalOf(applications.federated));
    const otherFile = path.join(folder, 'other-token');
    const { token } = await platform.issue({
      audience: EXCHANGE_AUDIENCE,
      principal: { clientId: 'workload', objectId: 'somebody else' },
    });
    await writeFile(otherFile, token);
    await expect(getToken({ ...settings, tokenFile: otherFile })).rejects.toThrow(/AADSTS70021/);
  });
});
