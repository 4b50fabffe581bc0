import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';

import { createKustoIngestion } from '../../shared/adapters/kusto/kusto-ingestion.ts';
import { createAwsSource } from '../../shared/adapters/s3/aws-source.ts';
import { type AddressKind, addressKindOf } from '../../shared/config/address-kind.ts';
import {
  type EndpointUse,
  judgeEndpoint,
  KUSTO_SUFFIXES,
  reachOf,
  readAllowedEndpoints,
} from '../../shared/config/allowed-endpoints.ts';
import { parseDefinition } from '../../shared/config/parse-definition.ts';
import { LoaderError } from '../../shared/errors/loader-error.ts';

const LOCAL_ENV = { AZURE_FUNCTIONS_ENVIRONMENT: 'Development' };
const KEYS = { kind: 'keys', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret' } as const;

const isAllowed = (use: EndpointUse, endpoint: string, env: Record<string, string> = {}) =>
  judgeEndpoint(readAllowedEndpoints(env), use, endpoint).problem === null;

describe('without a setting, an endpoint', () => {
  test.each<[EndpointUse, string]>([
    ['source', 'https://s3.amazonaws.com'],
    ['source', 'https://s3.eu-central-1.amazonaws.com'],
    ['source', 'https://s3.dualstack.us-gov-west-1.amazonaws.com/'],
    ['source', 'https://s3-fips.us-east-2.amazonaws.com'],
    ['source', 'https://s3.cn-north-1.amazonaws.com.cn'],
    ['source', 'https://bucket.vpce-0a1b-2c3d.s3.us-east-1.vpce.amazonaws.com'],
    ['cluster', 'https://mycluster.westeurope.kusto.windows.net'],
    ['cluster', 'https://ingest-mycluster.westeurope.kusto.windows.net'],
    ['cluster', 'https://mycluster.usgovvirginia.kusto.usgovcloudapi.net'],
  ])('may be of the provider: %s %s', (use, endpoint) => {
    expect(isAllowed(use, endpoint)).toBe(true);
  });

  test.each<[EndpointUse, string]>([
    // Somebody else's, under names that look like the provider's.
    ['source', 'https://example.com'],
    ['source', 'https://s3.eu-central-1.amazonaws.com.example.com'],
    ['source', 'https://evil-s3.amazonaws.com.evil.example'],
    ['source', 'https://abc123.execute-api.us-east-1.amazonaws.com'],
    ['source', 'https://s3-evil-123456.us-east-1.elb.amazonaws.com'],
    ['source', 'https://ec2-203-0-113-1.compute-1.amazonaws.com'],
    ['source', 'https://s3.us-east-1.elb.amazonaws.com'],
    ['source', 'https://mycluster.kusto.windows.net'],
    ['cluster', 'https://kusto.windows.net'],
    ['cluster', 'https://mycluster.kusto.windows.net.example.com'],
    ['cluster', 'https://mycluster-kusto.windows.net'],
    ['cluster', 'https://s3.eu-central-1.amazonaws.com'],
    ['cluster', 'https://mycluster.kusto.windows.net.'],
    // Other ports and protocols.
    ['source', 'https://s3.eu-central-1.amazonaws.com:8443'],
    ['source', 'http://s3.eu-central-1.amazonaws.com'],
    ['cluster', 'http://mycluster.kusto.windows.net'],
    ['source', 'ftp://s3.amazonaws.com'],
    ['source', 'file:///etc/passwd'],
    ['cluster', 'javascript:alert(1)'],
    // Secrets and more in the URL.
    ['source', 'https://user:hunter2@s3.eu-central-1.amazonaws.com'],
    ['source', 'https://s3.eu-central-1.amazonaws.com@example.com'],
    ['cluster', 'https://mycluster.kusto.windows.net?code=hunter2'],
    ['cluster', 'https://mycluster.kusto.windows.net#x'],
    ['cluster', 'https://mycluster.kusto.windows.net;Fed=true;AppKey=hunter2'],
    // Metadata services, the platform, this network, this machine; however they are written.
    ['source', 'http://169.254.169.254/latest/meta-data/'],
    ['source', 'https://169.254.169.254'],
    ['source', 'https://2852039166'],
    ['source', 'https://0xa9fea9fe'],
    ['source', 'https://0251.0376.0251.0376'],
    ['source', 'https://[::ffff:169.254.169.254]'],
    ['source', 'https://[fd00:ec2::254]'],
    ['source', 'https://168.63.129.16'],
    ['cluster', 'https://168.63.129.16:32526'],
    ['source', 'https://metadata.google.internal'],
    ['source', 'https://10.0.0.4'],
    ['source', 'https://192.168.1.1'],
    ['source', 'https://[fd12:3456::1]'],
    ['source', 'http://127.0.0.1:9000'],
    ['cluster', 'http://localhost:8080'],
    ['cluster', 'https://[::1]'],
    ['source', 'https://0.0.0.0'],
  ])('must not be another: %s %s', (use, endpoint) => {
    const judged = judgeEndpoint(readAllowedEndpoints({}), use, endpoint);
    expect(judged.problem).toMatch(/^(must|names)/);
    expect(judged.problem).not.toMatch(/hunter2/);
  });
});

describe('the setting LOADER_ALLOWED_ENDPOINTS', () => {
  const env = {
    LOADER_ALLOWED_ENDPOINTS: 'kusto, MinIO.example.com, store.example.com:9000, *.lake.example, 10.1.2.3',
  };
  test.each<[string, boolean]>([
    ['https://minio.example.com', true],
    ['https://minio.example.com:9000', false],
    ['https://sub.minio.example.com', false],
    ['http://minio.example.com', false],
    ['https://store.example.com:9000', true],
    ['https://store.example.com', false],
    ['https://one.lake.example', true],
    ['https://lake.example', false],
    ['https://evillake.example', false],
    ['https://10.1.2.3', true],
    ['https://10.1.2.4', false],
    ['https://s3.eu-central-1.amazonaws.com', false],
  ])('decides on %s: %s', (endpoint, allowed) => {
    expect(isAllowed('source', endpoint, env)).toBe(allowed);
  });

  test.each(['169.254.169.254', '[fd00:ec2::254]', '168.63.129.16', '*.com', 'https://x', 'a/b', 'u@h', '*'])(
    'refuses %s',
    (entry) => {
      const problems: string[] = [];
      readAllowedEndpoints({ LOADER_ALLOWED_ENDPOINTS: `aws,${entry}` }, (field) => problems.push(field));
      expect(problems).toEqual(['LOADER_ALLOWED_ENDPOINTS']);
    },
  );

  test('without aws, AWS is none', () => {
    expect(() => reachOf(readAllowedEndpoints(env), 'source', null)).toThrow(
      expect.objectContaining({ code: 'endpointNotAllowed' }),
    );
  });

  test.each<[Record<string, string>, boolean]>([
    [LOCAL_ENV, true],
    [{}, false],
    [{ ...LOCAL_ENV, WEBSITE_SITE_NAME: 'loader' }, false],
  ])("loopback is for a developer's machine: %j", (where, allowed) => {
    expect(isAllowed('source', 'http://127.0.0.1:9000', where)).toBe(allowed);
    expect(isAllowed('cluster', 'http://localhost:8080', where)).toBe(allowed);
    expect(isAllowed('source', 'https://169.254.169.254', where)).toBe(false);
  });

  test('the suffixes of clusters are among those that the SDK trusts', async () => {
    const { default: known } = (await import(
      new URL('../../node_modules/azure-kusto-data/dist-esm/src/wellKnownKustoEndpoints.js', import.meta.url)
        .href
    )) as { default: { AllowedEndpointsByLogin: Record<string, { AllowedKustoSuffixes: string[] }> } };
    const suffixes = Object.values(known.AllowedEndpointsByLogin).flatMap((one) => one.AllowedKustoSuffixes);
    expect(suffixes).toEqual(expect.arrayContaining([...KUSTO_SUFFIXES]));
  });
});

describe('addresses', () => {
  test.each<[string, AddressKind]>([
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['100.64.0.1', 'private'],
    ['100.100.100.200', 'forbidden'],
    ['172.31.255.255', 'private'],
    ['172.32.0.1', 'public'],
    ['fd00:ec2::254', 'forbidden'],
    ['fe80::1%eth0', 'forbidden'],
    ['::', 'forbidden'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:a9fe:a9fe', 'forbidden'],
    ['64:ff9b::a9fe:a9fe', 'forbidden'],
    ['::10.0.0.1', 'forbidden'],
    ['not an address', 'forbidden'],
  ])('%s is %s', (address, kind) => {
    expect(addressKindOf(address)).toBe(kind);
  });

  test('no way to write a link-local address makes it reachable, whatever the app is allowed', () => {
    const env = { ...LOCAL_ENV, LOADER_ALLOWED_ENDPOINTS: 'aws,kusto,10.1.2.3,*.example.com' };
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(byte, byte, fc.constantFrom<EndpointUse>('source', 'cluster'), (c, d, use) => {
        const number = 169 * 2 ** 24 + 254 * 2 ** 16 + c * 256 + d;
        const hex = number.toString(16);
        const forms = [
          `169.254.${c}.${d}`,
          String(number),
          `0x${hex}`,
          `0${number.toString(8)}`,
          `169.254.${c * 256 + d}`,
          `[::ffff:${hex.slice(0, 4)}:${hex.slice(4)}]`,
          `[64:ff9b::${hex.slice(0, 4)}:${hex.slice(4)}]`,
          `169%2e254.${c}.${d}`,
          `１６９.254.${c}.${d}`,
        ];
        return forms.every(
          (host) => !isAllowed(use, `https://${host}`, env) && !isAllowed(use, `http://${host}/`, env),
        );
      }),
      { seed: 6, numRuns: 500 },
    );
  });
});

describe('a definition', () => {
  const definition = {
    source: { bucket: 'demo', endpoint: 'https://minio.example.com' },
    format: { type: 'csv' },
    destination: { cluster: 'https://mycluster.kusto.windows.net', database: 'db', table: 'T' },
  };
  const problemsOf = (changes: object, env: Record<string, string> = {}) => {
    try {
      parseDefinition({ ...definition, ...changes }, 'load', readAllowedEndpoints(env));
      return [];
    } catch (error) {
      return (error as LoaderError).problems.map(({ field }) => field);
    }
  };

  test('is checked when it is put', () => {
    expect(problemsOf({})).toEqual(['source.endpoint']);
    expect(problemsOf({}, { LOADER_ALLOWED_ENDPOINTS: 'kusto,minio.example.com' })).toEqual([]);
    expect(problemsOf({}, { LOADER_ALLOWED_ENDPOINTS: 'minio.example.com' })).toEqual([
      'destination.cluster',
    ]);
    expect(problemsOf({ source: { bucket: 'demo' } }, { LOADER_ALLOWED_ENDPOINTS: 'kusto' })).toEqual([
      'source.endpoint',
    ]);
  });

  test('no bucket and no region leads away from AWS', async () => {
    const bucket = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/);
    const region = fc.oneof(
      fc.stringMatching(/^[A-Za-z0-9-]{1,40}$/),
      fc.constantFrom(
        'evil.example/',
        'x.evil.example',
        'a#',
        'a@b',
        'us-east-1\r\nHost: evil',
        '..',
        'a/../b',
      ),
    );
    let signed = 0;
    await fc.assert(
      fc.asyncProperty(bucket, region, fc.boolean(), async (name, place, pathStyle) => {
        const source = { bucket: name, region: place, pathStyle };
        if (problemsOf({ source }).length > 0) return;
        let url: string;
        try {
          const opened = createAwsSource({ ...source, endpoint: null, credentials: KEYS });
          ({ url } = await opened.presignGet({ key: 'k', version: 'e:x', lifetimeMs: 1000 }));
        } catch (error) {
          expect(error).toBeInstanceOf(LoaderError);
          return;
        }
        signed += 1;
        expect(new URL(url)).toMatchObject({ protocol: 'https:', port: '' });
        expect(new URL(url).hostname).toMatch(
          /\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|csp\.hci\.ic\.gov|cloud\.adc-e\.uk)$/,
        );
      }),
      { seed: 6, numRuns: 300 },
    );
    expect(signed).toBeGreaterThan(100);
  });
});

describe('connections', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    await Promise.all(
      servers.splice(0).map((server) => {
        server.closeAllConnections();
        return new Promise((resolve) => server.close(resolve));
      }),
    );
  });
  /** A server that counts what it is asked. */
  const serve = async (answer: RequestListener) => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      request.resume();
      answer(request, response);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { asked, port: (server.address() as AddressInfo).port };
  };
  const EMPTY_LISTING =
    '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';
  const sourceAt = (endpoint: string, options: Partial<Parameters<typeof createAwsSource>[0]> = {}) =>
    createAwsSource({
      bucket: 'demo',
      region: 'us-east-1',
      endpoint,
      pathStyle: true,
      credentials: KEYS,
      ...options,
    });
  const list = (source: ReturnType<typeof sourceAt>) => source.listPage({ prefix: '', startAfter: null });

  test.each([301, 302, 303, 307, 308])("a hostile endpoint's redirect (%i) is not followed", async (code) => {
    const inner = await serve((_, response) => response.end('the secret of the inner network'));
    const hostile = await serve((_, response) => {
      response.writeHead(code, { location: `http://127.0.0.1:${inner.port}/latest/meta-data/` });
      response.end();
    });
    const source = sourceAt(`http://127.0.0.1:${hostile.port}`);
    await expect(list(source)).rejects.toBeInstanceOf(LoaderError);
    await expect(source.head('key')).rejects.toBeInstanceOf(LoaderError);
    const kusto = createKustoIngestion({
      cluster: `http://127.0.0.1:${hostile.port}`,
      credential: async () => null,
      retryDelayMs: 1,
    });
    const question = { database: 'db', table: 'T', mapping: null, format: 'csv' };
    await expect(kusto.describeTable(question)).rejects.toBeInstanceOf(LoaderError);
    expect(hostile.asked.length).toBeGreaterThanOrEqual(3);
    expect(inner.asked).toEqual([]);
  });

  test('a name server that changes its mind gains nothing: each connection goes to an address that was checked', async () => {
    const honest = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'application/xml', connection: 'close' });
      response.end(EMPTY_LISTING);
    });
    const answers = ['127.0.0.1', '169.254.169.254'];
    const source = sourceAt(`http://store.example:${honest.port}`, {
      reach: { private: true, loopback: true },
      resolve: ((_name: string, _options: object, callback: (...result: unknown[]) => void) =>
        callback(null, [{ address: answers.shift() ?? '169.254.169.254', family: 4 }])) as never,
    });
    expect((await list(source)).objects).toEqual([]);
    await expect(list(source)).rejects.toMatchObject({ code: 'endpointNotAllowed' });
    expect(honest.asked).toHaveLength(1);
  });

  test.each([
    ['this machine', '127.0.0.1', { private: true, loopback: false }],
    ['a private network', '10.0.0.4', { private: false, loopback: false }],
    ['a metadata service', 'fd00:ec2::254', { private: true, loopback: true }],
  ])('a name that leads to %s is refused', async (_, address, reach) => {
    const inner = await serve((_request, response) => response.end(EMPTY_LISTING));
    const family = address.includes(':') ? 6 : 4;
    const source = sourceAt(`http://store.example:${inner.port}`, {
      reach,
      // One good address beside it does not help.
      resolve: ((_name: string, _options: object, callback: (...result: unknown[]) => void) =>
        callback(null, [
          { address: '203.0.113.1', family: 4 },
          { address, family },
        ])) as never,
    });
    await expect(list(source)).rejects.toMatchObject({ code: 'endpointNotAllowed' });
    expect(inner.asked).toEqual([]);
  });

  test('error codes of a hostile endpoint that are names of inherited properties stay plain errors', async () => {
    for (const code of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      const hostile = await serve((_, response) => {
        response.writeHead(400, { 'content-type': 'application/xml', 'x-amz-bucket-region': 'us-east-1' });
        response.end(`<Error><Code>${code}</Code><Message>line one\r\nline two</Message></Error>`);
      });
      const failure: unknown = await list(sourceAt(`http://127.0.0.1:${hostile.port}`)).catch(
        (error) => error,
      );
      expect(failure).toMatchObject({ code: 'sourceUnavailable', permanent: false });
      expect((failure as Error).message).not.toMatch(/[\r\n]/);
    }
  });
});
