import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { describe, expect, test } from 'vitest';

import { ROOT } from './compiled.ts';
import { type Rule, runWithFakeTools } from './fake-tools.ts';

const SET_UP = path.join('infra', 'aws', 'set-up.ts');
const AZD_VALUES = {
  AZURE_ENV_NAME: 'test',
  AZURE_SUBSCRIPTION_ID: 'sub-1',
  AZURE_RESOURCE_GROUP: 'rg-test',
  LOADER_FUNCTION_APP: 'func-1',
  LOADER_URL: 'https://func-1.azurewebsites.net',
};
const STACK = 's3-adx-loader-test-events-my-bucket';
const FUNCTION_URL =
  'https://management.azure.com/subscriptions/sub-1/resourceGroups/rg-test/providers/Microsoft.Web/sites/func-1/functions/postEvent';
const OLD_KEY = `${STACK}-20260101000000`;
const KEYS = ['default', OLD_KEY, `${STACK}-2-20260101000000`];
const rulesFor = (notifications: string, change: readonly Rule[] = []): readonly Rule[] => [
  ...change,
  { call: 'azd env get-values', stdout: JSON.stringify(AZD_VALUES) },
  { call: 'aws s3api get-bucket-location', stdout: '{"LocationConstraint": "eu-central-1"}' },
  { call: 'aws s3api get-bucket-notification-configuration', stdout: notifications },
  { call: 'aws s3api put-bucket-notification-configuration' },
  { call: 'az rest --method post', stdout: JSON.stringify(KEYS) },
  { call: 'az rest --method put' },
  { call: 'az rest --method delete' },
  { call: 'aws cloudformation describe-stacks', stderr: 'Stack with id s does not exist' },
  { call: 'aws cloudformation deploy' },
];

const stackOf = (parameters: Readonly<Record<string, string>>, status = 'CREATE_COMPLETE') =>
  JSON.stringify({
    Stacks: [
      {
        StackStatus: status,
        Parameters: Object.entries(parameters).map(([ParameterKey, ParameterValue]) => ({
          ParameterKey,
          ParameterValue,
        })),
        Outputs: status === 'CREATE_COMPLETE' ? [{ OutputKey: 'UndeliveredQueue', OutputValue: 'q' }] : [],
      },
    ],
  });

interface Template {
  readonly Parameters: Readonly<
    Record<string, { readonly NoEcho?: boolean; readonly AllowedPattern?: string }>
  >;
  readonly Resources: Readonly<
    Record<string, { readonly Type: string; readonly Properties: Readonly<Record<string, unknown>> }>
  >;
}
const template = JSON.parse(readFileSync(path.join(ROOT, 'infra', 'aws', 'events.json'), 'utf8')) as Template;
const propertiesOf = (name: string) => template.Resources[name]!.Properties;

describe('the template for events', () => {
  test('announces new objects of one prefix of one bucket, and nothing else', () => {
    expect(propertiesOf('Rule')['EventPattern']).toEqual({
      source: ['aws.s3'],
      'detail-type': ['Object Created'],
      detail: {
        bucket: { name: [{ Ref: 'BucketName' }] },
        object: { key: [{ prefix: { Ref: 'Prefix' } }] },
      },
    });
  });

  test('keeps the key out of sight, and sends to the app only, over TLS', () => {
    expect(template.Parameters['FunctionKey']!.NoEcho).toBe(true);
    const pattern = new RegExp(template.Parameters['Endpoint']!.AllowedPattern!);
    expect(pattern.test('https://func-1.azurewebsites.net/api/events')).toBe(true);
    for (const other of ['http://func-1.azurewebsites.net/api/events', 'https://x/api/events?code=y'])
      expect(pattern.test(other)).toBe(false);
    expect(propertiesOf('Connection')).toMatchObject({
      AuthorizationType: 'API_KEY',
      AuthParameters: { ApiKeyAuthParameters: { ApiKeyName: 'x-functions-key' } },
    });
  });

  test('loses nothing that could not be delivered, and lets nobody else write to where it is kept', () => {
    const [target] = propertiesOf('Rule')['Targets'] as readonly Readonly<Record<string, unknown>>[];
    expect(target).toMatchObject({
      RetryPolicy: { MaximumEventAgeInSeconds: 86_400 },
      DeadLetterConfig: { Arn: { 'Fn::GetAtt': ['Undelivered', 'Arn'] } },
    });
    expect(propertiesOf('Undelivered')['MessageRetentionPeriod']).toBe(14 * 24 * 3600);
    expect(JSON.stringify(propertiesOf('UndeliveredPolicy'))).toContain('"aws:SourceArn"');
    expect(propertiesOf('UndeliveredAlarm')).toMatchObject({
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Threshold: 0,
      ComparisonOperator: 'GreaterThanThreshold',
    });
    // One action on one resource each.
    expect(JSON.stringify(template)).not.toMatch(/"(Action|Resource)": ?"\*"|:\*"/);
  });
});

// The stand-ins are shell scripts.
describe.skipIf(process.platform === 'win32')('npm run aws -- events', { timeout: 60_000 }, () => {
  test('makes a key of one function, unseen, and hands it to EventBridge', async () => {
    const { code, output, files, lines } = await runWithFakeTools(
      SET_UP,
      ['events', '--bucket', 'my-bucket', '--prefix', 'in/'],
      { rules: rulesFor('') },
    );
    expect([code, output]).toEqual([
      0,
      expect.stringContaining(`npm run aws -- delete --stack ${STACK} --region eu-central-1`),
    ]);
    const [notification, made, overrides] = files.map((text) => JSON.parse(text) as unknown);
    expect(notification).toEqual({ EventBridgeConfiguration: {} });
    const { name, value } = (
      made as { readonly properties: { readonly name: string; readonly value: string } }
    ).properties;
    expect(name).toMatch(new RegExp(`^${STACK}-\\d{14}$`));
    // 320 bits, and as long as the template asks for.
    expect(value).toMatch(/^[\w-]{54}$/);
    expect(
      lines.filter((line) => line.startsWith('az ')).map((line) => line.replace(/ --body \S+/, '')),
    ).toEqual([
      // By the CLI's own query: values never come here.
      `az rest --method post --url ${FUNCTION_URL}/listkeys --uri-parameters api-version=2024-11-01 --query keys(@) --output json`,
      `az rest --method put --output none --url ${FUNCTION_URL}/keys/${name} --uri-parameters api-version=2024-11-01`,
      expect.stringContaining('az rest --method delete'),
    ]);
    expect(overrides).toEqual([
      'BucketName=my-bucket',
      'Endpoint=https://func-1.azurewebsites.net/api/events',
      `FunctionKey=${value}`,
      'Prefix=in/',
    ]);
    expect(lines.find((line) => line.includes('cloudformation deploy'))).toContain(
      `--stack-name ${STACK} --region eu-central-1 `,
    );
    expect([output, ...lines].join('\n')).not.toContain(value);
  });

  test('takes the old key away when EventBridge has the new one, and no other', async () => {
    const isDelete = (line: string) => line.startsWith('az rest --method delete');
    const rotated = await runWithFakeTools(SET_UP, ['events', '--bucket', 'my-bucket'], {
      rules: rulesFor(''),
    });
    expect(rotated.lines.at(-2)).toContain('aws cloudformation deploy');
    expect(rotated.lines.filter(isDelete)).toEqual([
      `az rest --method delete --url ${FUNCTION_URL}/keys/${OLD_KEY} --uri-parameters api-version=2024-11-01`,
    ]);
    // It may have failed to wait only, and EventBridge has either key.
    const failed = await runWithFakeTools(SET_UP, ['events', '--bucket', 'my-bucket'], {
      rules: rulesFor('', [
        { call: 'aws cloudformation deploy', stderr: 'Waiter StackUpdateComplete failed' },
      ]),
    });
    expect([failed.code, failed.output]).toEqual([1, expect.stringContaining('describe-stack-events')]);
    expect(failed.lines.filter(isDelete)).toEqual([]);
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ['of another bucket', { BucketName: 'my.bucket', FunctionKey: '****' }],
    ['with a role or a user', { BucketName: 'my-bucket', UseAccessKey: 'true' }],
  ])('leaves a stack alone %s', async (_, parameters) => {
    const { code, output, lines } = await runWithFakeTools(SET_UP, ['events', '--bucket', 'my-bucket'], {
      rules: rulesFor('', [{ call: 'aws cloudformation describe-stacks', stdout: stackOf(parameters) }]),
    });
    expect([code, output]).toEqual([1, expect.stringContaining('--stack NAME')]);
    expect(lines.some((line) => /cloudformation deploy|put-bucket|az rest/.test(line))).toBe(false);
  });

  test.each(['CREATE_COMPLETE', 'ROLLBACK_COMPLETE'])('takes stack and key away: %s', async (status) => {
    const { code, lines } = await runWithFakeTools(
      SET_UP,
      ['delete', '--stack', STACK, '--region', 'eu-central-1'],
      {
        rules: [
          { call: 'aws cloudformation describe-stacks', stdout: stackOf({ FunctionKey: '****' }, status) },
          { call: 'aws cloudformation delete-stack' },
          { call: 'aws cloudformation wait stack-delete-complete' },
          ...rulesFor(''),
        ],
      },
    );
    expect(code).toBe(0);
    // The stack last: what was cut off can be done again.
    expect(lines.at(-3)).toContain(`/keys/${OLD_KEY} `);
    expect(lines.at(-2)).toBe(`aws cloudformation delete-stack --stack-name ${STACK} --region eu-central-1`);
  });

  test('is refused where the app takes no keys', async () => {
    const { code, output, lines } = await runWithFakeTools(SET_UP, ['events', '--bucket', 'my-bucket'], {
      rules: [
        {
          call: 'azd env get-values',
          stdout: JSON.stringify({ ...AZD_VALUES, LOADER_HTTP_AUTH: 'entra' }),
        },
      ],
    });
    expect([code, output]).toEqual([1, expect.stringContaining('takes no keys')]);
    expect(lines).toHaveLength(1);
  });

  test('keeps what the bucket sends elsewhere, and leaves alone what is there', async () => {
    const present = { TopicConfigurations: [{ Id: 'theirs', TopicArn: 'arn:aws:sns:eu-central-1:1:t' }] };
    const added = await runWithFakeTools(SET_UP, ['events', '--bucket', 'my-bucket'], {
      rules: rulesFor(JSON.stringify(present)),
    });
    expect(JSON.parse(added.files[0]!)).toEqual({ ...present, EventBridgeConfiguration: {} });
    const again = await runWithFakeTools(SET_UP, ['events', '--bucket', 'my-bucket'], {
      rules: rulesFor(JSON.stringify({ ...present, EventBridgeConfiguration: {} })),
    });
    expect(again.lines.some((line) => line.includes('put-bucket-notification'))).toBe(false);
  });

  test.each([
    ['null', 'us-east-1'],
    ['"EU"', 'eu-west-1'],
  ])('a bucket whose region S3 calls %s is in %s', async (said, region) => {
    const { lines } = await runWithFakeTools(SET_UP, ['events', '--bucket', 'my-bucket'], {
      rules: rulesFor('', [
        { call: 'aws s3api get-bucket-location', stdout: `{"LocationConstraint": ${said}}` },
      ]),
    });
    expect(lines.find((line) => line.includes('cloudformation deploy'))).toContain(`--region ${region} `);
  });

  test('says what is missing', async () => {
    const { code, output } = await runWithFakeTools(SET_UP, ['events'], { rules: rulesFor('') });
    expect([code, output]).toEqual([1, expect.stringContaining('--bucket is missing')]);
  });
});
