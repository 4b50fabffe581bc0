targetScope = 'subscription'

import { databaseRole, loaderSettings, s3Credentials, scaleSettings } from 'types.bicep'

@description('Name of the environment. Names of resources are made of it.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('Region of everything that is made here. Flex Consumption must be there, and best the cluster and the bucket near it.')
@minLength(1)
param location string

@description('''What is taken where a parameter below is left out. dev: cheap, quick to delete. production: an instance always
ready, storage in three zones, a vault that can't be purged.''')
param profile 'dev' | 'production' = 'dev'

@description('Node version of the app. 24 is not in every region: az functionapp list-flexconsumption-runtimes --runtime node.')
param nodeVersion '22' | '24' = '22'

param scale scaleSettings = {
  instanceMemoryMB: 2048
  maximumInstanceCount: 40
  alwaysReadyDurable: profile == 'production' ? 1 : 0
  httpConcurrency: 16
}

@description('Name of this app in the tags of what it ingests. Empty: the name of the function app.')
@maxLength(60)
param appId string = ''

@description('Begins the names of the tables of the loader. Another prefix is another ledger: everything is loaded again.')
@minLength(3)
@maxLength(31)
param statePrefix string = 's3adx'

param settings loaderSettings = {}

@description('Values for `%NAME%` in files of the loads folder, by name. No secrets.')
param loadSettings object = {}

@description('Credentials of S3: roles, or keys that are, or will be, in the vault. None: public buckets only.')
param credentials s3Credentials[] = [{ name: 'default', temporary: false }]

@description('Resource id of a cluster that exists. Empty, and no trial cluster: rights are granted by hand (docs/DEPLOY.md).')
param adxClusterId string = ''

@description('Database that the loader fills.')
param adxDatabase string = ''

@description('Makes a small cluster and a database of its own, for a trial. Billed by the hour.')
param adxTrial bool = false

@description('The app may create tables. Nothing in this version of the app does.')
param adxTableCreation bool = false

@description('''Tables whose admin the app is, for undo, and later for commands after a load and changes of the schema.''')
param adxAdminOfTables string[] = []

@description('Private endpoint for the cluster, where the network below is made.')
param adxPrivateEndpoint bool = false

@description('''Makes a network: storage and vault are reached through private endpoints only, and the app sends from it. ADX reads
the objects from S3 itself, by its own way out.''')
param vnetEnabled bool = false

param vnetAddressPrefix string = '10.80.0.0/24'

@description('Public addresses from which people reach the vault when the network is made.')
param operatorIpAddresses string[] = []

@description('''Makes a Durable Task Scheduler, too. The app uses it only when host.json says so (docs/DEPLOY.md); else it
stands idle and costs.''')
param durableTaskScheduler bool = false

@description('''Object id of who may write secrets into the vault, and is Admin of the trial database. `deployer`: who deploys.
Empty: nobody.''')
param operatorPrincipalId string = 'deployer'

param operatorPrincipalType 'Group' | 'ServicePrincipal' | 'User' = 'User'

@description('Object id of the identity that forwards S3 events to the queue. Empty: nobody.')
param eventSenderPrincipalId string = ''

@description('''Client id of the app registration with which callers of the API sign in. Empty: they have function keys. With it
the app takes no key any more, and its callers need an app role.''')
param signInClientId string = ''

@description('Who is written to when an alert fires.')
param alertEmails string[] = []

@minValue(30)
@maxValue(730)
param logRetentionDays int = profile == 'production' ? 90 : 30

@description('GB of logs a day after which no more is taken; -1: no bound. In a bounded hour no alert can fire.')
@minValue(-1)
param logQuotaGb int = profile == 'production' ? -1 : 5

@description('Logs each access to the storage, too. Much.')
param storageAccessLogs bool = false

var token = uniqueString(subscription().id, environmentName, location)
var tags = { 'azd-env-name': environmentName }
var appName = 'func-${token}'
var identityName = 'id-${token}'
var storageName = 'st${token}'
var vaultName = 'kv-${token}'
var insightsName = 'appi-${token}'
var workspaceName = 'log-${token}'
var packageContainer = 'app-package'
// Named in shared/contracts/event-queue.ts.
var eventQueue = 's3-events'
var storageSuffix = environment().suffixes.storage

// ---- Resource ids, built and not taken from outputs: a what-if can't see outputs

var subscriptionId = subscription().subscriptionId
var groupName = 'rg-${environmentName}'
var identityId = resourceId(subscriptionId, groupName, 'Microsoft.ManagedIdentity/userAssignedIdentities', identityName)
var workspaceId = resourceId(subscriptionId, groupName, 'Microsoft.OperationalInsights/workspaces', workspaceName)
var storageId = resourceId(subscriptionId, groupName, 'Microsoft.Storage/storageAccounts', storageName)
var vaultId = resourceId(subscriptionId, groupName, 'Microsoft.KeyVault/vaults', vaultName)
var clusterId = resourceId(clusterSubscription, clusterGroup, 'Microsoft.Kusto/clusters', clusterName)

var operatorId = operatorPrincipalId == 'deployer' ? deployer().objectId : operatorPrincipalId

// ---- Azure Data Explorer: where the cluster is

var clusterIdParts = split(adxClusterId, '/')
var usesOwnCluster = !adxTrial && !empty(adxClusterId)
var hasCluster = adxTrial || usesOwnCluster
var clusterName = adxTrial ? 'adx${token}' : (usesOwnCluster ? clusterIdParts[8] : 'none')
var clusterSubscription = usesOwnCluster ? clusterIdParts[2] : subscriptionId
var clusterGroup = usesOwnCluster ? clusterIdParts[4] : groupName
var databaseName = empty(adxDatabase) ? 'loader' : adxDatabase
var rights databaseRole[] = adxTableCreation ? ['Ingestor', 'Viewer', 'User'] : ['Ingestor', 'Viewer']

// ---- App settings: those that docs/REFERENCE.md lists, and those of the host

var hostSettings = {
  AzureWebJobsStorage__blobServiceUri: 'https://${storageName}.blob.${storageSuffix}'
  AzureWebJobsStorage__queueServiceUri: 'https://${storageName}.queue.${storageSuffix}'
  AzureWebJobsStorage__tableServiceUri: 'https://${storageName}.table.${storageSuffix}'
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.outputs.clientId
  // 5 MiB: the app takes 4 MiB and says so; what is larger than this the host does not even read.
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '5242880'
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
}
var schedulerSettings = durableTaskScheduler
  ? {
      DURABLE_TASK_SCHEDULER_CONNECTION_STRING: 'Endpoint=${scheduler!.outputs.endpoint};Authentication=ManagedIdentity;ClientID=${identity.outputs.clientId}'
    }
  : {}
var appSettings = {
  LOADER_IDENTITY: 'managedIdentity'
  LOADER_APP_ID: empty(appId) ? appName : appId
  LOADER_STATE_PREFIX: statePrefix
  LOADER_HTTP_AUTH: empty(signInClientId) ? 'keys' : 'entra'
}

// A name in capitals for the setting, in small letters for the secret; neither may have what the other has.
var keyParts = [
  { setting: 'ACCESS_KEY_ID', secret: 'access-key-id' }
  { setting: 'SECRET_ACCESS_KEY', secret: 'secret-access-key' }
]
var tokenPart = { setting: 'SESSION_TOKEN', secret: 'session-token' }
var roleSettings = flatten(map(
  filter(credentials, credential => contains(credential, 'role')),
  credential =>
    filter(
      [
        { name: credential.name, setting: 'ROLE_ARN', value: credential.role!.arn }
        { name: credential.name, setting: 'AUDIENCE', value: credential.role!.audience }
        { name: credential.name, setting: 'SESSION_DURATION', value: credential.role!.?sessionDuration ?? '' }
      ],
      part => !empty(part.value)
    )
))
var keySettings = flatten(map(
  filter(credentials, credential => !contains(credential, 'role')),
  credential =>
    map(credential.temporary ? concat(keyParts, [tokenPart]) : keyParts, part => {
      name: credential.name
      setting: part.setting
      value: '@Microsoft.KeyVault(SecretUri=https://${vaultName}${environment().suffixes.keyvaultDns}/secrets/s3-${toLower(replace(credential.name, '_', '-'))}-${part.secret})'
    })
))
var chainSettings = filter(
  flatten(map(credentials, credential => [
    { name: credential.name, setting: 'CHAINED_ROLE_ARN', value: credential.?chainedRoleArn ?? '' }
    { name: credential.name, setting: 'EXTERNAL_ID', value: credential.?externalId ?? '' }
  ])),
  part => !empty(part.value)
)
var credentialSettings = map(concat(roleSettings, keySettings, chainSettings), part => {
  name: 'S3_CREDENTIALS__${toUpper(replace(part.name, '-', '_'))}__${part.setting}'
  value: part.value
})

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: groupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: { name: identityName, location: location, tags: tags }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: workspaceName
    applicationInsightsName: insightsName
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyQuotaGb: logQuotaGb
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: {
    name: storageName
    location: location
    tags: tags
    sku: profile == 'production' ? 'Standard_ZRS' : 'Standard_LRS'
    packageContainer: packageContainer
    eventQueue: eventQueue
    isPrivate: vnetEnabled
    workspaceId: workspaceId
    logsAccess: storageAccessLogs
  }
  dependsOn: [monitoring]
}

module vault 'modules/vault.bicep' = {
  scope: group
  params: {
    name: vaultName
    location: location
    tags: tags
    purgeProtection: profile == 'production'
    isPrivate: vnetEnabled
    operatorIpAddresses: operatorIpAddresses
    workspaceId: workspaceId
  }
  dependsOn: [monitoring]
}

module roles 'modules/roles.bicep' = {
  scope: group
  params: {
    principalId: identity.outputs.principalId
    storageAccountName: storageName
    vaultName: vaultName
    applicationInsightsName: insightsName
    eventQueue: eventQueue
    operatorPrincipalId: operatorId
    operatorPrincipalType: operatorPrincipalType
    eventSenderPrincipalId: eventSenderPrincipalId
  }
  dependsOn: [storage, vault, monitoring]
}

module network 'modules/network.bicep' = if (vnetEnabled) {
  scope: group
  params: {
    name: 'vnet-${token}'
    natGatewayName: 'ng-${token}'
    location: location
    tags: tags
    addressPrefix: vnetAddressPrefix
  }
}

module privateEndpoints 'modules/private-endpoints.bicep' = if (vnetEnabled) {
  scope: group
  params: {
    location: location
    tags: tags
    networkId: network!.outputs.networkId
    subnetId: network!.outputs.endpointSubnetId
    storageAccountId: storageId
    vaultId: vaultId
    clusterId: adxPrivateEndpoint && hasCluster ? clusterId : ''
    clusterRegion: usesOwnCluster ? kustoAccess!.outputs.region : location
  }
  dependsOn: [storage, vault, kustoTrial]
}

module scheduler 'modules/durable-task-scheduler.bicep' = if (durableTaskScheduler) {
  scope: group
  params: {
    name: 'dts-${token}'
    taskHubName: loadJsonContent('../host.json').extensions.durableTask.hubName
    location: location
    tags: tags
    sku: profile == 'production' ? 'Dedicated' : 'Consumption'
    principalId: identity.outputs.principalId
  }
}

module app 'modules/function-app.bicep' = {
  scope: group
  params: {
    name: appName
    planName: 'plan-${token}'
    location: location
    tags: tags
    identityId: identityId
    nodeVersion: nodeVersion
    scale: scale
    packageContainerUrl: 'https://${storageName}.blob.${storageSuffix}/${packageContainer}'
    // What is named last wins: a load can't change how the app signs in.
    settings: union(
      loadSettings,
      settings,
      toObject(credentialSettings, setting => setting.name, setting => setting.value),
      schedulerSettings,
      appSettings,
      hostSettings
    )
    subnetId: vnetEnabled ? network!.outputs.appSubnetId : ''
    workspaceId: workspaceId
    signInClientId: signInClientId
  }
  // An app that starts before its rights are there does not find its storage, and Durable never starts.
  dependsOn: [roles, privateEndpoints]
}

module kustoTrial 'modules/kusto-trial.bicep' = if (adxTrial) {
  scope: group
  params: {
    clusterName: clusterName
    databaseName: databaseName
    location: location
    tags: tags
    operatorPrincipalId: operatorId
    operatorPrincipalType: operatorPrincipalType
    workspaceId: workspaceId
  }
  dependsOn: [monitoring]
}

module kustoAccess 'modules/kusto-access.bicep' = if (hasCluster) {
  scope: resourceGroup(clusterSubscription, clusterGroup)
  params: {
    clusterName: clusterName
    databaseName: databaseName
    clientId: identity.outputs.clientId
    roles: rights
    adminOfTables: adxAdminOfTables
  }
  dependsOn: [kustoTrial]
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    namePrefix: appName
    location: location
    tags: tags
    workspaceId: workspaceId
    storageAccountId: storageId
    emails: alertEmails
  }
  dependsOn: [monitoring, storage]
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: workspaceId
    title: 'S3 to Azure Data Explorer: runs (${environmentName})'
  }
  dependsOn: [monitoring]
}

// azd keeps these in the environment; `azd env get-values` shows them.
output AZURE_RESOURCE_GROUP string = group.name
output LOADER_FUNCTION_APP string = appName
output LOADER_URL string = app.outputs.url
output LOADER_STORAGE_ACCOUNT string = storageName
output LOADER_KEY_VAULT string = vaultName
output LOADER_IDENTITY_CLIENT_ID string = identity.outputs.clientId
output LOADER_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output LOADER_TENANT_ID string = tenant().tenantId
output LOADER_ADX_URI string = hasCluster ? kustoAccess!.outputs.uri : ''
output LOADER_ADX_DATABASE string = hasCluster ? databaseName : ''
// Not of this deployment's making, and `azd down` would delete it: infra/hooks/before-down.ts.
output LOADER_ADX_ACCESS_GROUP string = usesOwnCluster ? clusterGroup : ''
output LOADER_OUTBOUND_ADDRESS string = vnetEnabled ? network!.outputs.outboundAddress : ''
