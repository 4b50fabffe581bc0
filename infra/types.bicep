@export()
@description('How the app scales. The compiler accepts other numbers, and Azure refuses them.')
@sealed()
type scaleSettings = {
  @description('''Memory of an instance. 2048 (one core) is for tens of activities at a time; 512 has a quarter of a core
and makes each slower; 4096 helps only a run with very large shards.''')
  instanceMemoryMB: 512 | 2048 | 4096

  @description('''Bound of the cost, and of the requests to S3 and Azure Data Explorer at one time. The lanes of a load
(4 by default) bound what it can use.''')
  @minValue(40)
  @maxValue(1000)
  maximumInstanceCount: int

  @description('''Instances for orchestrators and activities that never go away. 1: a run starts at once and the tick never
meets a cold start of Durable; billed all the time. 0: an idle app costs next to nothing.''')
  @minValue(0)
  @maxValue(20)
  alwaysReadyDurable: int

  @description('Requests that one instance answers at the same time. They wait for storage, not for the processor.')
  @minValue(1)
  @maxValue(1000)
  httpConcurrency: int
}

@export()
@description('Settings of the loader, as docs/REFERENCE.md has them; left out: the default of the app.')
@sealed()
type loaderSettings = {
  LOADER_MAX_IN_FLIGHT_PER_BUCKET: string?
  LOADER_URL_LIFETIME: string?
  LOADER_DOWNLOAD_GRACE: string?
  LOADER_SETTLE_DEADLINE: string?
  LOADER_STALE_AFTER: string?
  LOADER_RETENTION_RUNS: string?
  LOADER_RETENTION_HISTORY: string?
  LOADER_HISTORY_CLUSTER: string?
  LOADER_HISTORY_DATABASE: string?
  OTEL_EXPORTER_OTLP_ENDPOINT: string?
  @description('A Key Vault reference, where a collector asks for a key.')
  OTEL_EXPORTER_OTLP_HEADERS: string?
  OTEL_SERVICE_NAME: string?
  LOADER_LOADS_FOLDER: string?
  LOADER_ALLOWED_ENDPOINTS: string?
  LOADER_HTTP_REQUESTS_PER_MINUTE: string?
}

@export()
@description('Credentials for S3 that loads refer to by name: an access key in Key Vault, or a role, for which nothing is kept.')
@sealed()
type s3Credentials = {
  @description('As in `source.credentials` of a load.')
  @minLength(1)
  @maxLength(40)
  name: string

  @description('The keys in the vault have a session token, and end.')
  temporary: bool

  @description('A role in AWS that the identity of the app assumes. With it there are no keys in the vault.')
  role: awsRole?

  @description('A further role that is assumed from the role, or with the key, such as one in the account of the bucket; its sessions last an hour.')
  chainedRoleArn: string?

  @description('External id that the trust policy of the further role asks for.')
  externalId: string?
}

@export()
@description('What infra/aws makes. The ARNs are no secrets.')
@sealed()
type awsRole = {
  arn: string

  @description('Application ID URI of the app registration for AWS, such as `api://<its id>`.')
  audience: string

  @description('Of a session. A presigned URL ends with it, and two thirds of it are the least that a URL has. At least 1h. At most what the role allows.')
  sessionDuration: string?
}

@export()
@description('Database roles of Azure Data Explorer. The compiler accepts any text.')
type databaseRole = 'Admin' | 'Ingestor' | 'User' | 'Viewer'
