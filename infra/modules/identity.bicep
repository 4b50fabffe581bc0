param name string
param location string
param tags object

@description('''As whom the app signs in everywhere. User-assigned: it exists before the app, so its rights are in place
when the app first starts; it keeps them, and its place in the trust policy of AWS, when the app is made anew.''')
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('For role assignments in Azure and for `sub` in the trust policy of AWS.')
output principalId string = identity.properties.principalId

@description('For app settings, the Durable Task Scheduler and Azure Data Explorer.')
output clientId string = identity.properties.clientId
