param name string
param location string
param tags object
param sku 'Standard_LRS' | 'Standard_ZRS'
@description('Container for the package of the app. Flex Consumption does not create it.')
param packageContainer string
@description('Queue for S3 events; the queue for those that could not be taken has the same name and `-poison`.')
param eventQueue string
@description('Reached through private endpoints only.')
param isPrivate bool
param workspaceId string
@description('Logs each read and write too. Durable Functions makes many: expect more log than state.')
param logsAccess bool

@description('State of the loader, of Durable Functions and of the host: blobs, queues and tables.')
resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    // Identities only: no key, and so no SAS that a key signs.
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: isPrivate
      ? { defaultAction: 'Deny', bypass: 'None' }
      : { defaultAction: 'Allow', bypass: 'AzureServices' }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    deleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: packageContainer
  properties: { publicAccess: 'None' }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource eventQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' = [
  for queue in [eventQueue, '${eventQueue}-poison']: {
    parent: queues
    name: queue
  }
]

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2024-01-01' = {
  parent: account
  name: 'default'
}

var metrics = [{ category: 'Transaction', enabled: true }]
var logs = map(
  logsAccess ? ['StorageDelete', 'StorageRead', 'StorageWrite'] : ['StorageDelete'],
  category => { category: category, enabled: true }
)

resource blobDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'to-workspace'
  properties: { workspaceId: workspaceId, metrics: metrics, logs: logs }
}

// No log of deletions for queues and tables: Durable Functions deletes each message that it has handled.
resource queueDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: queues
  name: 'to-workspace'
  properties: { workspaceId: workspaceId, metrics: metrics, logs: logsAccess ? logs : [] }
}

resource tableDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: tables
  name: 'to-workspace'
  properties: { workspaceId: workspaceId, metrics: metrics, logs: logsAccess ? logs : [] }
}
