import { scaleSettings } from '../types.bicep'

param name string
param planName string
param location string
param tags object
param identityId string
param nodeVersion '22' | '24'
param scale scaleSettings
@description('URL of the container for the package.')
param packageContainerUrl string
@description('All app settings by name. Those that stand here replace those that were set by hand.')
param settings object
@description('Subnet that the app sends from; empty: none.')
param subnetId string
param workspaceId string
@description('Client id of the app registration for callers of the API; empty: function keys.')
param signInClientId string

@description('Flex Consumption. One app a plan.')
resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  // By this tag azd finds the app for the service of azure.yaml.
  tags: union(tags, { 'azd-service-name': 'loader' })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // Without it the platform would resolve references as the system-assigned identity, which the app has not.
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      appSettings: map(items(settings), setting => { name: setting.key, value: setting.value })
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      runtime: { name: 'node', version: nodeVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: scale.instanceMemoryMB
        maximumInstanceCount: scale.maximumInstanceCount
        alwaysReady: scale.alwaysReadyDurable == 0 ? [] : [{ name: 'durable', instanceCount: scale.alwaysReadyDurable }]
        triggers: { http: { perInstanceConcurrency: scale.httpConcurrency } }
      }
    }
  }

  // Without a token of this tenant for this application a request does not reach the app, but for its liveness. Switched
  // off it is deployed, too: what an earlier deployment has switched on would stay on.
  resource signIn 'config' = {
    name: 'authsettingsV2'
    properties: empty(signInClientId)
      ? { platform: { enabled: false } }
      : {
          platform: { enabled: true, runtimeVersion: '~1' }
          globalValidation: {
            requireAuthentication: true
            unauthenticatedClientAction: 'Return401'
            excludedPaths: ['/api/health']
          }
          httpSettings: { requireHttps: true }
          identityProviders: {
            azureActiveDirectory: {
              enabled: true
              registration: {
                clientId: signInClientId
                openIdIssuer: uri(environment().authentication.loginEndpoint, '${tenant().tenantId}/v2.0')
              }
              // Tokens of version 2 name the client id, those of version 1 the Application ID URI.
              validation: { allowedAudiences: [signInClientId, 'api://${signInClientId}'] }
            }
          }
          login: { tokenStore: { enabled: false } }
        }
  }

  // The package is deployed as an Entra identity: user names and passwords of the site are off.
  resource scmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource ftpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }
}

// Logs of the app go to Application Insights, which keeps them in the same workspace.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: site
  name: 'to-workspace'
  properties: { workspaceId: workspaceId, metrics: [{ category: 'AllMetrics', enabled: true }] }
}

output url string = 'https://${site.properties.defaultHostName}'
