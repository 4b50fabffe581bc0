param name string
@description('Name of the task hub: `hubName` of host.json.')
param taskHubName string
param location string
param tags object
param sku 'Consumption' | 'Dedicated'
@description('Object id of the identity of the app.')
param principalId string

resource scheduler 'Microsoft.DurableTask/schedulers@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    sku: sku == 'Dedicated' ? { name: 'Dedicated', capacity: 1 } : { name: 'Consumption' }
    // It has no keys: who gets in needs a role. An empty list would let in nobody, and look like a missing role.
    ipAllowlist: ['0.0.0.0/0']
  }

  resource taskHub 'taskHubs' = {
    name: taskHubName
    properties: {}
  }
}

var durableTaskDataContributor = '0ad04412-c4d5-4796-b79c-f76d14c8d402'

@description('Runs orchestrators and activities of this task hub, and of no other.')
resource worker 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: scheduler::taskHub
  name: guid(scheduler::taskHub.id, principalId, durableTaskDataContributor)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', durableTaskDataContributor)
  }
}

@description('It has a suffix and the region in it: read, never built.')
output endpoint string = scheduler.properties.endpoint
