import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { describe, expect, test } from 'vitest';

import { ROOT } from './compiled.ts';
import { type Rule, runWithFakeTools } from './fake-tools.ts';

interface Statement {
  readonly Sid: string;
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: object;
}
type Conditional = { readonly 'Fn::If': readonly [string, Statement, object] };
interface CloudFormation {
  readonly Parameters: Readonly<
    Record<string, { readonly Default?: string; readonly AllowedPattern?: string }>
  >;
  readonly Resources: Readonly<
    Record<
      string,
      {
        readonly Type: string;
        readonly Condition?: string;
        readonly Properties: Readonly<Record<string, unknown>>;
      }
    >
  >;
  readonly Outputs: Readonly<Record<string, unknown>>;
}
const text = readFileSync(path.join(ROOT, 'infra', 'aws', 'cloudformation.json'), 'utf8');
const template = JSON.parse(text) as CloudFormation;

const VALUES: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  BucketName: 'bucket',
  Prefix: 'in/',
  MovePrefix: 'loaded/',
  InventoryBucket: 'lists',
  InventoryPrefix: 'of/bucket/',
  TenantId: '0000000a-0000-0000-0000-000000000000',
  Audience: 'api://app',
  PrincipalId: 'object-id',
  ProviderArn:
    'arn:aws:iam::123456789012:oidc-provider/sts.windows.net/0000000a-0000-0000-0000-000000000000/',
};
const substitute = (value: string) =>
  value.replace(/\$\{([\w:]+)\}/g, (whole, name: string) => VALUES[name] ?? whole);

/** `action on resource`, one each, of a policy of the template; those under a condition begin with its name. */
function grantsOf(name: string): readonly string[] {
  const document = template.Resources[name]!.Properties['PolicyDocument'] as {
    readonly Statement: readonly (Statement | Conditional)[];
  };
  return document.Statement.flatMap((one) => {
    const [condition, statement] = 'Fn::If' in one ? one['Fn::If'] : ['', one];
    expect(statement.Effect).toBe('Allow');
    const resource = statement.Resource as { readonly 'Fn::Sub'?: string; readonly Ref?: string };
    const on = resource['Fn::Sub'] === undefined ? `<${resource.Ref}>` : substitute(resource['Fn::Sub']);
    return [statement.Action].flat().map((action) => `${condition} ${action} on ${on}`.trim());
  });
}

describe('the CloudFormation template', () => {
  test('reads one prefix of one bucket', () => {
    expect(grantsOf('ReadPolicy')).toEqual([
      's3:ListBucket on arn:aws:s3:::bucket',
      's3:GetObject on arn:aws:s3:::bucket/in/*',
      'Versions s3:ListBucketVersions on arn:aws:s3:::bucket',
      'Versions s3:GetObjectVersion on arn:aws:s3:::bucket/in/*',
      'HasKey kms:Decrypt on <KmsKeyArn>',
      'HasInventory s3:ListBucket on arn:aws:s3:::lists',
      'HasInventory s3:GetObject on arn:aws:s3:::lists/of/bucket/*',
    ]);
    const document = template.Resources['ReadPolicy']!.Properties['PolicyDocument'] as {
      readonly Statement: readonly [Statement, Statement, Conditional];
    };
    const [list, , listVersions] = document.Statement;
    for (const { Condition } of [list, listVersions['Fn::If'][1]])
      expect(Condition).toEqual({ StringLike: { 's3:prefix': [{ 'Fn::Sub': '${Prefix}*' }] } });
  });

  test('assumes one further role, only where that is asked for', () => {
    expect(grantsOf('ChainPolicy')).toEqual(['sts:AssumeRole on <ChainedRoleArn>']);
    expect(template.Resources['ChainPolicy']!.Condition).toBe('Chains');
    for (const name of ['User', 'Role'])
      expect(template.Resources[name]!.Properties['ManagedPolicyArns']).toContainEqual({
        'Fn::If': ['Chains', { Ref: 'ChainPolicy' }, { Ref: 'AWS::NoValue' }],
      });
  });

  test('tags, moves and deletes only where that is asked for', () => {
    expect(grantsOf('TagPolicy')).toEqual([
      's3:GetObjectTagging on arn:aws:s3:::bucket/in/*',
      's3:PutObjectTagging on arn:aws:s3:::bucket/in/*',
    ]);
    expect(grantsOf('MovePolicy')).toEqual([
      's3:PutObject on arn:aws:s3:::bucket/loaded/*',
      's3:PutObjectTagging on arn:aws:s3:::bucket/loaded/*',
      's3:GetObjectTagging on arn:aws:s3:::bucket/in/*',
      's3:DeleteObject on arn:aws:s3:::bucket/in/*',
      'HasKey kms:GenerateDataKey on <KmsKeyArn>',
    ]);
    expect(grantsOf('DeletePolicy')).toEqual(['s3:DeleteObject on arn:aws:s3:::bucket/in/*']);
    const conditions = ['TagPolicy', 'MovePolicy', 'DeletePolicy'].map(
      (name) => template.Resources[name]!.Condition,
    );
    expect(conditions).toEqual(['Tags', 'Moves', 'Deletes']);
    for (const name of ['UseWebIdentity', 'AllowVersions', 'AllowTag', 'AllowMove', 'AllowDelete'])
      expect(template.Parameters[name]?.Default).toBe('false');
  });

  test('trusts the v1 issuer with its slash, one audience, and one identity by its object id', () => {
    const { AssumeRolePolicyDocument, MaxSessionDuration } = template.Resources['Role']!.Properties;
    const { 'Fn::Sub': trust } = AssumeRolePolicyDocument as { readonly 'Fn::Sub': string };
    const issuer = `sts.windows.net/${VALUES['TenantId']}/`;
    expect(JSON.parse(substitute(trust))).toEqual({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: 'sts:AssumeRoleWithWebIdentity',
          Principal: { Federated: `arn:aws:iam::123456789012:oidc-provider/${issuer}` },
          Condition: { StringEquals: { [`${issuer}:aud`]: 'api://app', [`${issuer}:sub`]: 'object-id' } },
        },
      ],
    });
    // A URL that is signed for hours must not outlive the session.
    expect(MaxSessionDuration).toBe(12 * 3600);
    // With its slash; and none of a stack's making, for an account can have only one.
    expect(template.Parameters['ProviderArn']!.AllowedPattern).toMatch(/\/\$$/);
    expect(VALUES['ProviderArn']).toMatch(new RegExp(template.Parameters['ProviderArn']!.AllowedPattern!));
    expect(Object.values(template.Resources).map(({ Type }) => Type)).not.toContain('AWS::IAM::OIDCProvider');
    expect(template.Parameters['Audience']?.AllowedPattern).toContain('api://');
  });

  test('makes no key and shows none', () => {
    expect(Object.values(template.Resources).map(({ Type }) => Type)).not.toContain('AWS::IAM::AccessKey');
    expect(Object.keys(template.Outputs)).toEqual(['UserName', 'RoleArn', 'Credentials']);
  });
});

const AZD_VALUES = {
  AZURE_ENV_NAME: 'test',
  AZURE_SUBSCRIPTION_ID: 'sub-1',
  AZURE_RESOURCE_GROUP: 'rg-test',
  LOADER_FUNCTION_APP: 'func-1',
  LOADER_KEY_VAULT: 'kv-1',
  LOADER_TENANT_ID: 'tenant',
  LOADER_IDENTITY_PRINCIPAL_ID: 'object-id',
  LOADER_IDENTITY_CLIENT_ID: 'client-id',
  LOADER_AWS_AUDIENCE: 'api://app',
  // As people may have it.
  OTHER: 'a$b`c!"',
};
const azd = (more: Texts = {}): Rule => ({
  call: 'azd env get-values',
  stdout: JSON.stringify({ ...AZD_VALUES, ...more }),
});
const SECRET = 'SECRET/that+nobody=sees';
type Texts = Readonly<Record<string, string>>;
const stackOf = (outputs: Texts, parameters: Texts = {}, status = 'UPDATE_COMPLETE') =>
  JSON.stringify({
    Stacks: [
      {
        StackStatus: status,
        Outputs: Object.entries(outputs).map(([OutputKey, OutputValue]) => ({ OutputKey, OutputValue })),
        Parameters: Object.entries(parameters).map(([ParameterKey, ParameterValue]) => ({
          ParameterKey,
          ParameterValue,
        })),
      },
    ],
  });
const DESCRIBE = 'aws cloudformation describe-stacks';
const noStackYet: Rule = { call: DESCRIBE, once: true, stderr: 'Stack with id s does not exist' };
const ROLE = 'arn:aws:iam::1:role/r';
const FOR_ROLE = {
  BucketName: 'my-bucket',
  UseAccessKey: 'false',
  UseWebIdentity: 'true',
  Credentials: 'partner',
  TenantId: 'tenant',
  Audience: 'api://app',
  PrincipalId: 'object-id',
};
const FOR_KEY = {
  BucketName: 'my-bucket',
  Prefix: 'in/',
  UseAccessKey: 'true',
  UseWebIdentity: 'false',
  Credentials: 'default',
  TenantId: 'none',
  Audience: 'none',
  PrincipalId: 'none',
};
const roleStack: Rule = {
  call: DESCRIBE,
  stdout: stackOf({ RoleArn: ROLE, Credentials: 'partner' }, FOR_ROLE),
};
const PROVIDER = 'arn:aws:iam::1:oidc-provider/sts.windows.net/tenant/';
const providers = (...arns: readonly string[]): Rule => ({
  call: 'aws iam list-open-id-connect-providers',
  stdout: JSON.stringify({ OpenIDConnectProviderList: arns.map((Arn) => ({ Arn })) }),
});
const rulesFor = (keys: readonly string[], change: readonly Rule[] = []): readonly Rule[] => [
  ...change,
  azd(),
  { call: 'aws cloudformation deploy' },
  { call: DESCRIBE, stdout: stackOf({ UserName: 'user-1', Credentials: 'default' }, FOR_KEY) },
  {
    call: 'aws iam list-access-keys',
    stdout: JSON.stringify({ AccessKeyMetadata: keys.map((AccessKeyId) => ({ AccessKeyId })) }),
  },
  {
    call: 'aws iam create-access-key',
    stdout: JSON.stringify({ AccessKey: { AccessKeyId: 'AKIANEW', SecretAccessKey: SECRET } }),
  },
  { call: 'aws iam delete-access-key' },
  { call: 'az keyvault secret set' },
  { call: 'az functionapp restart' },
  { call: 'azd env set' },
];
const SET_UP = path.join('infra', 'aws', 'set-up.ts');

// The stand-ins are shell scripts.
describe.skipIf(process.platform === 'win32')('npm run aws', { timeout: 60_000 }, () => {
  test('deploys the stack and hands the new key to the vault, unseen', async () => {
    const { code, output, files, lines } = await runWithFakeTools(
      SET_UP,
      ['deploy', '--bucket', 'my-bucket', '--prefix', 'in/', '--credentials', 'Partner_EU'],
      {
        rules: rulesFor(
          [],
          [
            noStackYet,
            { call: DESCRIBE, stdout: stackOf({ UserName: 'user-1', Credentials: 'Partner_EU' }) },
          ],
        ),
      },
    );
    expect([code, output]).toEqual([0, expect.stringContaining('AKIANEW')]);
    expect(output).toContain('azd env set LOADER_S3_CREDENTIALS default,Partner_EU');
    expect(lines[2]).toContain('--stack-name s3-adx-loader-test-credentials-Partner-EU ');
    expect(lines[2]).toMatch(
      / BucketName=my-bucket UseAccessKey=true UseWebIdentity=false Credentials=Partner_EU Prefix=in\/$/,
    );
    const vault = 'az keyvault secret set --vault-name kv-1 --subscription sub-1';
    expect(lines.filter((line) => line.startsWith('az '))).toEqual([
      expect.stringContaining(`${vault} --name s3-partner-eu-access-key-id --file `),
      expect.stringContaining(`${vault} --name s3-partner-eu-secret-access-key --file `),
      'az functionapp restart --name func-1 --resource-group rg-test --subscription sub-1',
    ]);
    expect(files).toEqual(['AKIANEW', SECRET]);
    expect([output, ...lines].join('\n')).not.toContain(SECRET);
  });

  test('done again, names only what is to change', async () => {
    const { lines } = await runWithFakeTools(
      SET_UP,
      ['deploy', '--bucket', 'my-bucket', '--kms-key', 'arn:aws:kms:x:1:key/k', '--versions', '--no-tag'],
      { rules: rulesFor(['AKIAOLD']) },
    );
    expect(lines.find((line) => line.includes('cloudformation deploy'))).toMatch(
      / BucketName=my-bucket UseAccessKey=true UseWebIdentity=false Credentials=default KmsKeyArn=arn:aws:kms:x:1:key\/k AllowVersions=true AllowTag=false$/,
    );
  });

  test.each<[string, readonly string[], Texts, string]>([
    ['of another bucket', ['--bucket', 'other-bucket'], FOR_KEY, 'BucketName=my-bucket'],
    ['of a user, for a role', ['--bucket', 'my-bucket', '--web-identity'], FOR_KEY, 'UseAccessKey=true'],
    ['of other credentials', ['--bucket', 'my-bucket'], { ...FOR_KEY, Credentials: 'x' }, 'Credentials=x'],
    [
      'that trusts another identity',
      ['--bucket', 'my-bucket', '--web-identity', '--credentials', 'partner'],
      { ...FOR_ROLE, PrincipalId: 'another' },
      'PrincipalId=another',
    ],
    [
      'of events',
      ['--bucket', 'my-bucket', '--stack', 's'],
      { BucketName: 'my-bucket', FunctionKey: '****' },
      'was not made by this command',
    ],
  ])('leaves a stack alone %s', async (_, args, parameters, said) => {
    const { code, output, lines } = await runWithFakeTools(SET_UP, ['deploy', ...args], {
      rules: rulesFor([], [{ call: DESCRIBE, stdout: stackOf({}, parameters) }]),
    });
    expect([code, output]).toEqual([1, expect.stringContaining(said)]);
    expect(output).toContain('--stack NAME');
    expect(lines.filter((line) => !/get-values|describe-stacks/.test(line))).toEqual([]);
  });

  test('makes no key for credentials that are a role', async () => {
    const { code, output, lines } = await runWithFakeTools(SET_UP, ['deploy', '--bucket', 'my-bucket'], {
      rules: [azd({ LOADER_AWS_ROLES: `default=${ROLE}` }), ...rulesFor([])],
    });
    expect([code, output]).toEqual([1, expect.stringContaining('"default" are a role')]);
    expect(lines.some((line) => line.includes('cloudformation deploy'))).toBe(false);
  });

  test('begins anew where the first deployment has failed, and says where to see why one fails', async () => {
    const rolledBack: Rule = {
      call: DESCRIBE,
      once: true,
      stdout: stackOf({}, FOR_ROLE, 'ROLLBACK_COMPLETE'),
    };
    const more: readonly Rule[] = [
      { call: 'aws cloudformation delete-stack' },
      { call: 'aws cloudformation wait stack-delete-complete' },
    ];
    const again = await runWithFakeTools(SET_UP, ['deploy', '--bucket', 'my-bucket'], {
      rules: rulesFor([], [rolledBack, ...more]),
    });
    expect(again.code).toBe(0);
    const calls = again.lines.map((line) => line.split(' ').slice(1, 3).join(' '));
    expect(calls.indexOf('cloudformation delete-stack')).toBeLessThan(calls.indexOf('cloudformation deploy'));
    expect(calls).toContain('cloudformation delete-stack');
    const failed = await runWithFakeTools(SET_UP, ['deploy', '--bucket', 'my-bucket'], {
      rules: rulesFor(
        [],
        [{ call: 'aws cloudformation deploy', stderr: 'Failed to create/update the stack' }],
      ),
    });
    expect([failed.code, failed.output]).toEqual([
      1,
      expect.stringContaining('aws cloudformation describe-stack-events --stack-name s3-adx-loader-test'),
    ]);
  });

  test('leaves a key that there is, unless another is asked for', async () => {
    const again = await runWithFakeTools(SET_UP, ['deploy', '--bucket', 'my-bucket'], {
      rules: rulesFor(['AKIAOLD']),
    });
    expect(again.code).toBe(0);
    expect(again.lines.filter((line) => /create-access-key|secret set/.test(line))).toEqual([]);
    const rotated = await runWithFakeTools(SET_UP, ['deploy', '--bucket', 'my-bucket', '--new-key'], {
      rules: rulesFor(['AKIAOLD']),
    });
    expect(rotated.output).toContain('aws iam delete-access-key --user-name user-1 --access-key-id AKIAOLD');
    expect(rotated.lines.filter((line) => line.includes('delete-access-key'))).toEqual([]);
  });

  test('takes a key back that the vault did not take', async () => {
    const { code, output, lines } = await runWithFakeTools(SET_UP, ['deploy', '--bucket', 'my-bucket'], {
      rules: rulesFor([], [{ call: 'az keyvault secret set', stderr: 'Forbidden' }]),
    });
    expect([code, output]).toEqual([1, expect.stringContaining('Forbidden')]);
    expect(output).not.toContain(SECRET);
    expect(lines).toContain('aws iam delete-access-key --user-name user-1 --access-key-id AKIANEW');
  });

  test('leaves the vault with the pair that works when a rotation is cut off', async () => {
    const { code, files, lines } = await runWithFakeTools(
      SET_UP,
      ['deploy', '--bucket', 'my-bucket', '--new-key'],
      {
        rules: rulesFor(
          ['AKIAOLD'],
          [
            {
              call: 'az keyvault secret set --vault-name kv-1 --subscription sub-1 --name s3-default-secret-access-key',
              stderr: 'x',
            },
          ],
        ),
      },
    );
    expect([code, files]).toEqual([1, ['AKIANEW', SECRET, 'AKIAOLD']]);
    expect(lines.at(-1)).toBe('aws iam delete-access-key --user-name user-1 --access-key-id AKIANEW');
  });

  test('makes for a role what the trust needs: tenant, audience, object id and provider, and no key', async () => {
    const { code, output, lines } = await runWithFakeTools(
      SET_UP,
      ['deploy', '--bucket', 'my-bucket', '--web-identity', '--credentials', 'partner'],
      {
        rules: [
          noStackYet,
          roleStack,
          providers('arn:aws:iam::1:oidc-provider/sts.windows.net/another-tenant/'),
          {
            call: `aws iam create-open-id-connect-provider --url https://sts.windows.net/tenant/ --client-id-list api://app`,
            stdout: JSON.stringify({ OpenIDConnectProviderArn: PROVIDER }),
          },
          ...rulesFor([]),
        ],
      },
    );
    expect([code, output]).toEqual([0, expect.stringContaining('azd provision')]);
    expect(lines.find((line) => line.includes('cloudformation deploy'))).toContain(
      `UseAccessKey=false UseWebIdentity=true Credentials=partner TenantId=tenant Audience=api://app PrincipalId=object-id ProviderArn=${PROVIDER}`,
    );
    expect(lines.some((line) => line.includes('access-key'))).toBe(false);
    expect(lines.at(-1)).toBe(`azd env set LOADER_AWS_ROLES partner=${ROLE}`);
  });

  test('uses the OIDC provider that the account has, and keeps the roles of other credentials', async () => {
    const args = ['deploy', '--bucket', 'my-bucket', '--web-identity', '--credentials', 'partner'];
    const { lines } = await runWithFakeTools(SET_UP, args, {
      rules: [
        roleStack,
        providers(PROVIDER),
        { call: 'aws iam add-client-id-to-open-id-connect-provider' },
        azd({ LOADER_AWS_ROLES: 'default=arn:aws:iam::1:role/d,partner=arn:aws:iam::1:role/old' }),
        ...rulesFor([]),
      ],
    });
    expect(lines).toContain(
      `aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn ${PROVIDER} --client-id api://app`,
    );
    expect(lines.at(-1)).toBe(`azd env set LOADER_AWS_ROLES default=arn:aws:iam::1:role/d,partner=${ROLE}`);
  });

  test('deletes the keys of the user, then the stack', async () => {
    const { code, lines } = await runWithFakeTools(SET_UP, ['delete'], {
      rules: [
        ...rulesFor(['AKIAOLD']),
        { call: 'aws cloudformation delete-stack' },
        { call: 'aws cloudformation wait stack-delete-complete' },
      ],
    });
    expect(code).toBe(0);
    expect(lines.slice(-3)).toEqual([
      'aws iam delete-access-key --user-name user-1 --access-key-id AKIAOLD',
      'aws cloudformation delete-stack --stack-name s3-adx-loader-test',
      'aws cloudformation wait stack-delete-complete --stack-name s3-adx-loader-test',
    ]);
  });

  test('deletes a role, and what azd knows of it, and leaves the provider to others', async () => {
    const { code, output, lines } = await runWithFakeTools(SET_UP, ['delete', '--stack', 'roles'], {
      rules: [
        roleStack,
        azd({ LOADER_AWS_ROLES: `default=arn:aws:iam::1:role/d,partner=${ROLE}` }),
        ...rulesFor([]),
        { call: 'aws cloudformation delete-stack' },
        { call: 'aws cloudformation wait stack-delete-complete' },
      ],
    });
    expect(code).toBe(0);
    // The stack last: what was cut off can be done again.
    expect(lines.slice(-3)).toEqual([
      'azd env set LOADER_AWS_ROLES default=arn:aws:iam::1:role/d',
      'aws cloudformation delete-stack --stack-name roles',
      'aws cloudformation wait stack-delete-complete --stack-name roles',
    ]);
    expect(output).toContain('azd provision');
    expect(lines.some((line) => line.includes('open-id-connect'))).toBe(false);
    expect(lines.some((line) => line.includes('access-key'))).toBe(false);
  });

  test('a stack that was never made, or is gone, is no error', async () => {
    const { code, output } = await runWithFakeTools(SET_UP, ['delete', '--credentials', 'partner'], {
      rules: [noStackYet, ...rulesFor([])],
    });
    expect([code, output]).toEqual([
      0,
      expect.stringContaining('no stack s3-adx-loader-test-credentials-partner'),
    ]);
  });

  test('says what is missing', async () => {
    const unset = await runWithFakeTools(SET_UP, ['deploy', '--bucket', 'my-bucket'], {
      rules: [{ call: 'azd env get-values', stdout: '{"AZURE_LOCATION": "westeurope"}' }],
    });
    expect([unset.code, unset.output]).toEqual([1, expect.stringContaining('has no AZURE_ENV_NAME')]);
    const empty = await runWithFakeTools(SET_UP, ['deploy'], { rules: rulesFor([]) });
    expect([empty.code, empty.output]).toEqual([1, expect.stringContaining('--bucket is missing')]);
  });
});

const HOOK = path.join('infra', 'hooks', 'aws-audience.ts');
const ON = { AZURE_ENV_NAME: 'test', LOADER_AWS_WEB_IDENTITY: 'true' };
const NAME = 's3-adx-loader-aws-test';
const app = (change: object = {}) => ({
  appId: 'app-1',
  displayName: NAME,
  identifierUris: [],
  api: { requestedAccessTokenVersion: null },
  ...change,
});
const hookRules = (found: readonly object[], change: readonly Rule[] = []): readonly Rule[] => [
  ...change,
  { call: `az ad app list --display-name ${NAME}`, stdout: JSON.stringify(found) },
  { call: 'az ad app create', stdout: JSON.stringify(app()) },
  { call: 'az ad app update' },
  { call: 'az ad app delete' },
  { call: 'az ad sp show', stderr: "Resource 'app-1' does not exist" },
  { call: 'az ad sp create' },
  { call: 'azd env set' },
];

describe.skipIf(process.platform === 'win32')('the hook for the audience of AWS', { timeout: 60_000 }, () => {
  test('does nothing unless it is switched on', async () => {
    const { code, output, lines } = await runWithFakeTools(HOOK, ['register'], {
      rules: [],
      env: { AZURE_ENV_NAME: 'test' },
    });
    expect([code, output, lines]).toEqual([0, '', []]);
  });

  test('registers the application, its URI and its service principal, and tells azd', async () => {
    const { code, lines } = await runWithFakeTools(HOOK, ['register'], { rules: hookRules([]), env: ON });
    expect(code).toBe(0);
    expect(lines).toEqual([
      `az ad app list --display-name ${NAME} --output json`,
      `az ad app create --display-name ${NAME} --sign-in-audience AzureADMyOrg --output json`,
      'az ad app update --id app-1 --identifier-uris api://app-1',
      'az ad sp show --id app-1',
      'az ad sp create --id app-1',
      'azd env set LOADER_AWS_APP_ID app-1',
      'azd env set LOADER_AWS_AUDIENCE api://app-1',
    ]);
  });

  test('changes nothing the second time, and takes no application of a longer name', async () => {
    const { code, lines } = await runWithFakeTools(HOOK, ['register'], {
      rules: hookRules(
        [app({ appId: 'other', displayName: `${NAME}-2` }), app({ identifierUris: ['api://app-1'] })],
        [{ call: 'az ad sp show', stdout: '{}' }],
      ),
      env: ON,
    });
    expect(code).toBe(0);
    expect(lines.filter((line) => /create|update/.test(line))).toEqual([]);
    expect(lines).toContain('azd env set LOADER_AWS_AUDIENCE api://app-1');
  });

  test('refuses what AWS would refuse, and what it can not tell apart', async () => {
    const v2 = await runWithFakeTools(HOOK, ['register'], {
      rules: hookRules([app({ api: { requestedAccessTokenVersion: 2 } })]),
      env: ON,
    });
    expect([v2.code, v2.output]).toEqual([1, expect.stringContaining('version 2; AWS needs version 1')]);
    const two = await runWithFakeTools(HOOK, ['register'], { rules: hookRules([app(), app()]), env: ON });
    expect([two.code, two.output]).toEqual([1, expect.stringContaining('There are 2 app registrations')]);
    const denied = await runWithFakeTools(HOOK, ['register'], {
      rules: hookRules([app()], [{ call: 'az ad sp show', stderr: 'Insufficient privileges' }]),
      env: ON,
    });
    expect([denied.code, denied.output]).toEqual([1, expect.stringContaining('Insufficient privileges')]);
    expect(denied.lines.some((line) => line.startsWith('az ad sp create'))).toBe(false);
  });

  test('removes it again', async () => {
    const { code, lines } = await runWithFakeTools(HOOK, ['remove'], { rules: hookRules([app()]), env: ON });
    expect(code).toBe(0);
    expect(lines.at(-1)).toBe('az ad app delete --id app-1');
  });
});
