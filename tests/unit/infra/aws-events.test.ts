import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { describe, expect, test } from 'vitest';

import { ROOT } from './compiled.ts';
import { type Rule, runWithFakeTools } from './fake-tools.ts';

const SET_UP = path.join('infra', 'aws', 'set-up.ts');
const KEY = 'SECRET-key-that-nobody-sees==';
const AZD_VALUES = [
  'AZURE_ENV_NAME="test"',
  'AZURE_RESOURCE_GROUP="rg-test"',
  'LOADER_FUNCTION_APP="func-1"',
  'LOADER_URL="https://func-1.azurewebsites.net"',
].join('\n');
const rulesFor = (notifications: string, change: readonly Rule[] = []): readonly Rule[] => [
  ...change,
  { call: 'azd env get-values', stdout: AZD_VALUES },
  { call: 'aws s3api get-bucket-location', stdout: '{"LocationConstraint": "eu-central-1"}' },
  { call: 'aws s3api get-bucket-notification-configuration', stdout: notifications },
  { call: 'aws s3api put-bucket-notification-configuration' },
  { call: 'az functionapp function keys set', stdout: JSON.stringify({ name: 'aws-events', value: KEY }) },
  { call: 'aws cloudformation deploy' },
];

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
    expect([code, output]).toEqual([0, expect.stringContaining('"events": true')]);
    expect(lines.find((line) => line.startsWith('az '))).toContain(
      '--function-name postEvent --key-name aws-events',
    );
    expect(lines.at(-1)).toMatch(/--stack-name s3-adx-loader-test-events --region eu-central-1 /);
    expect([output, ...lines].join('\n')).not.toContain(KEY);
    expect(files.map((text) => JSON.parse(text) as unknown)).toEqual([
      { EventBridgeConfiguration: {} },
      [
        'BucketName=my-bucket',
        'Prefix=in/',
        'Endpoint=https://func-1.azurewebsites.net/api/events',
        `FunctionKey=${KEY}`,
      ],
    ]);
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

  test('a bucket in us-east-1, which says no region', async () => {
    const { lines } = await runWithFakeTools(SET_UP, ['events', '--bucket', 'my-bucket'], {
      rules: rulesFor('', [
        { call: 'aws s3api get-bucket-location', stdout: '{"LocationConstraint": null}' },
      ]),
    });
    expect(lines.at(-1)).toContain('--region us-east-1 ');
  });

  test('says what is missing', async () => {
    const { code, output } = await runWithFakeTools(SET_UP, ['events'], { rules: rulesFor('') });
    expect([code, output]).toEqual([1, expect.stringContaining('--bucket is missing')]);
  });
});
