param name string
param location string
param tags object
@description('What is deleted stays for 90 days, and so does the name of the vault. It can never be switched off again.')
param purgeProtection bool
@description('Reached through a private endpoint only, and from the addresses below.')
param isPrivate bool
@description('Public IPv4 addresses or ranges from which people may reach a private vault.')
param operatorIpAddresses string[]
param workspaceId string

@description('Holds access keys for S3. Their values never pass through a template, a parameter or an output.')
resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    // The service knows only `true` and absent.
    enablePurgeProtection: purgeProtection ? true : null
    publicNetworkAccess: isPrivate && empty(operatorIpAddresses) ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      ipRules: map(operatorIpAddresses, address => { value: address })
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'audit', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}
