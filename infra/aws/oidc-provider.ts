import { runJson, runTool } from '../command-line.ts';

/**
 * The OIDC provider of the tenant's issuer, which takes tokens for this audience. An account can have only one for an issuer,
 * and other environments use it: it is no part of any stack.
 *
 * @returns its ARN
 */
export async function ensureOidcProvider(tenantId: string, audience: string): Promise<string> {
  // The issuer of version 1 tokens, with its slash, in the URL as in the ARN.
  const issuer = `sts.windows.net/${tenantId}/`;
  const { OpenIDConnectProviderList } = await runJson<{
    readonly OpenIDConnectProviderList: readonly { readonly Arn: string }[];
  }>('aws', ['iam', 'list-open-id-connect-providers']);
  const present = OpenIDConnectProviderList.find(({ Arn }) => Arn.endsWith(`:oidc-provider/${issuer}`));
  if (present !== undefined) {
    // Changes nothing where it is there.
    await runTool('aws', [
      ...['iam', 'add-client-id-to-open-id-connect-provider'],
      ...['--open-id-connect-provider-arn', present.Arn, '--client-id', audience],
    ]);
    return present.Arn;
  }
  const made = await runJson<{ readonly OpenIDConnectProviderArn: string }>('aws', [
    ...['iam', 'create-open-id-connect-provider', '--url', `https://${issuer}`, '--client-id-list', audience],
  ]);
  return made.OpenIDConnectProviderArn;
}
