import { databaseRole } from '../types.bicep'

param clusterName string
param databaseName string
@description('Client id of the identity of the app: Azure Data Explorer knows managed identities as applications.')
param clientId string
@description('''Ingestor: asks for ingestion queues and has messages accepted. Viewer: checks table and mapping before a run,
and counts rows after it. User, only where the app is to create tables: it may create them and owns what it created.''')
param roles databaseRole[]
@description('Tables whose admin the app is: what undo, commands after a load and changes of the schema need.')
param adminOfTables string[]

resource cluster 'Microsoft.Kusto/clusters@2024-04-13' existing = {
  name: clusterName

  resource database 'databases' existing = {
    name: databaseName
  }
}

// One after the other: the cluster refuses what comes while it works on a change.
@batchSize(1)
resource assignments 'Microsoft.Kusto/clusters/databases/principalAssignments@2024-04-13' = [
  for role in roles: {
    parent: cluster::database
    // The role is part of the name: one identity has several. So is the identity: one that is made anew has other ids, and
    // an assignment can't be given to somebody else.
    name: guid(cluster::database.id, clientId, role)
    properties: {
      principalId: clientId
      principalType: 'App'
      role: role
      tenantId: tenant().tenantId
    }
  }
]

var commands = map(
  adminOfTables,
  table => '.add table [\'${replace(table, '\'', '\\\'')}\'] admins (\'aadapp=${clientId};${tenant().tenantId}\')'
)

// There is no resource for rights on a table. Who deploys must be Admin of the database.
resource tableAdmin 'Microsoft.Kusto/clusters/databases/scripts@2024-04-13' = if (!empty(adminOfTables)) {
  parent: cluster::database
  name: 'admin-${uniqueString(clientId)}'
  properties: {
    #disable-next-line use-secure-value-for-secure-inputs // names and ids only
    scriptContent: join(commands, '\n\n')
    continueOnErrors: false
  }
  dependsOn: [assignments]
}

output uri string = cluster.properties.uri

@description('Region of the cluster, as names of private DNS zones have it.')
output region string = toLower(replace(cluster.location, ' ', ''))
