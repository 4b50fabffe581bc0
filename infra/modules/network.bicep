param name string
param natGatewayName string
param location string
param tags object
@description('A /24 or larger, free in the network that it may be peered with.')
param addressPrefix string

// Flex Consumption wants 40 addresses for 40 instances and more; private endpoints of a busy cluster up to a /26 here.
var appSubnetPrefix = cidrSubnet(addressPrefix, 25, 0)
var endpointSubnetPrefix = cidrSubnet(addressPrefix, 25, 1)

resource address 'Microsoft.Network/publicIPAddresses@2024-05-01' = {
  name: '${natGatewayName}-ip'
  location: location
  tags: tags
  sku: { name: 'Standard', tier: 'Regional' }
  properties: { publicIPAllocationMethod: 'Static' }
}

@description('S3 and Azure Data Explorer are reached through it: new subnets have no way out of their own.')
resource natGateway 'Microsoft.Network/natGateways@2024-05-01' = {
  name: natGatewayName
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { idleTimeoutInMinutes: 10, publicIpAddresses: [{ id: address.id }] }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: appSubnetPrefix
          defaultOutboundAccess: false
          natGateway: { id: natGateway.id }
          delegations: [{ name: 'functions', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointSubnetPrefix
          defaultOutboundAccess: false
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }

  resource app 'subnets' existing = {
    name: 'app'
  }

  resource endpoints 'subnets' existing = {
    name: 'endpoints'
  }
}

output networkId string = network.id
output appSubnetId string = network::app.id
output endpointSubnetId string = network::endpoints.id
output outboundAddress string = address.properties.ipAddress
