param clusterName string
param databaseName string
param location string
param tags object
@description('Object id of who creates tables and asks questions; empty: nobody.')
param operatorPrincipalId string
param operatorPrincipalType 'Group' | 'ServicePrincipal' | 'User'
param workspaceId string

@description('''One small node without an agreement on its availability and without the markup: for a trial. It stops by
itself when nobody has used it for days. A production cluster has two nodes at least and is somebody's own decision.''')
resource cluster 'Microsoft.Kusto/clusters@2024-04-13' = {
  name: clusterName
  location: location
  tags: tags
  sku: { name: 'Dev(No SLA)_Standard_E2a_v4', tier: 'Basic', capacity: 1 }
  properties: {
    enableAutoStop: true
    enableDiskEncryption: true
    enablePurge: false
    enableStreamingIngest: false
    publicNetworkAccess: 'Enabled'
  }
}

resource database 'Microsoft.Kusto/clusters/databases@2024-04-13' = {
  parent: cluster
  name: databaseName
  location: location
  kind: 'ReadWrite'
  properties: { softDeletePeriod: 'P31D', hotCachePeriod: 'P7D' }
}

var principalTypes = { Group: 'Group', ServicePrincipal: 'App', User: 'User' }

resource operator 'Microsoft.Kusto/clusters/databases/principalAssignments@2024-04-13' = if (!empty(operatorPrincipalId)) {
  parent: database
  name: guid(database.id, operatorPrincipalId, 'Admin')
  properties: {
    principalId: operatorPrincipalId
    principalType: principalTypes[operatorPrincipalType]
    role: 'Admin'
    tenantId: tenant().tenantId
  }
}

@description('The table of the first run in docs/DEPLOY.md.')
resource sample 'Microsoft.Kusto/clusters/databases/scripts@2024-04-13' = {
  parent: database
  name: 'sample'
  properties: {
    #disable-next-line use-secure-value-for-secure-inputs // a schema
    scriptContent: loadTextContent('../kusto/sample.kql')
    continueOnErrors: false
  }
  dependsOn: [operator]
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: cluster
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: map(['FailedIngestion', 'IngestionBatching'], category => { category: category, enabled: true })
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}
