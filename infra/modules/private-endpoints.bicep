param location string
param tags object
param networkId string
param subnetId string
param storageAccountId string
param vaultId string
@description('Cluster that gets an endpoint, too; empty: none. Who deploys must be allowed to approve it there.')
param clusterId string
param clusterRegion string

var endpoints = concat(
  [
    { name: 'blob', target: storageAccountId, group: 'blob', zones: ['blob'] }
    { name: 'queue', target: storageAccountId, group: 'queue', zones: ['queue'] }
    { name: 'table', target: storageAccountId, group: 'table', zones: ['table'] }
    { name: 'vault', target: vaultId, group: 'vault', zones: ['vault'] }
  ],
  // Of the cluster also the storage that takes ingestion messages. The URI of the cluster stays the public one.
  empty(clusterId)
    ? []
    : [{ name: 'cluster', target: clusterId, group: 'cluster', zones: ['kusto', 'blob', 'queue', 'table'] }]
)

var storageSuffix = environment().suffixes.storage
var zoneNames = {
  blob: 'privatelink.blob.${storageSuffix}'
  queue: 'privatelink.queue.${storageSuffix}'
  table: 'privatelink.table.${storageSuffix}'
  vault: 'privatelink.vaultcore.azure.net'
  kusto: 'privatelink.${clusterRegion}.kusto.windows.net'
}
var zoneKeys = empty(clusterId) ? ['blob', 'queue', 'table', 'vault'] : ['blob', 'queue', 'table', 'vault', 'kusto']

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for key in zoneKeys: {
    name: zoneNames[key]
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (key, index) in zoneKeys: {
    parent: zones[index]
    name: 'loader'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: networkId }
      // Storage of others that has private endpoints elsewhere, such as that of a cluster, is still found.
      resolutionPolicy: 'NxDomainRedirect'
    }
  }
]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for endpoint in endpoints: {
    name: 'pe-${endpoint.name}-${uniqueString(endpoint.target)}'
    location: location
    tags: tags
    properties: {
      subnet: { id: subnetId }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: { privateLinkServiceId: endpoint.target, groupIds: [endpoint.group] }
        }
      ]
    }
  }
]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (endpoint, index) in endpoints: {
    parent: privateEndpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: map(endpoint.zones, key => {
        name: key
        properties: { privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zoneNames[key]) }
      })
    }
    dependsOn: [zones]
  }
]
