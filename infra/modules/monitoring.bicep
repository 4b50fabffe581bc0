param workspaceName string
param applicationInsightsName string
param location string
param tags object
param retentionDays int
@description('GB a day after which nothing more is taken; -1 for no bound. What is lost so is lost for alerts, too.')
param dailyQuotaGb int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: true }
    workspaceCapping: { dailyQuotaGb: dailyQuotaGb }
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    // Telemetry is taken from identities only: the connection string is an address, not a secret.
    DisableLocalAuth: true
  }
}

output connectionString string = applicationInsights.properties.ConnectionString
