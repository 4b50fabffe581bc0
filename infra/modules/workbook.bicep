param location string
param tags object
param workspaceId string
param title string

var content = loadTextContent('../workbook.json')

@description('Runs, failures and health of the loader, in the portal under the workspace, Workbooks.')
resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspaceId, 'runs')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: title
    category: 'workbook'
    sourceId: workspaceId
    version: '1.0'
    serializedData: replace(content, '{workspaceId}', workspaceId)
  }
}
