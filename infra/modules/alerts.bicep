param namePrefix string
param location string
param tags object
param workspaceId string
param storageAccountId string
@description('Who is written to. Nobody: alerts are seen in the portal only.')
param emails string[]

var rules = [
  {
    name: 'failed-runs'
    title: 'A run failed'
    about: 'A run ended with failed or unknown objects, with a discrepancy, stopped by its onError policy, or could not be planned.'
    severity: 2
    window: 'PT15M'
    query: loadTextContent('../queries/failed-runs.kql')
    by: ['runId', 'state']
  }
  {
    name: 'stuck-runs'
    title: 'A run stands still'
    about: 'A part of a run was silent for LOADER_STALE_AFTER. It is taken over by itself; given up after five times.'
    severity: 2
    window: 'PT15M'
    query: loadTextContent('../queries/stuck-runs.kql')
    by: ['runId']
  }
  {
    name: 'throttling'
    title: 'S3, Azure Data Explorer or storage holds the loader up'
    about: 'Many attempts failed for a reason that passes: throttling, or a service that does not answer.'
    severity: 3
    window: 'PT15M'
    query: loadTextContent('../queries/throttling.kql')
    by: ['code']
  }
  {
    name: 'poison-messages'
    title: 'An S3 event was put aside'
    about: 'A message of the event queue could not be read, or failed too often. Its objects are not loaded by it.'
    severity: 2
    window: 'PT15M'
    query: loadTextContent('../queries/poison-messages.kql')
    by: []
  }
  {
    name: 'tick-missing'
    title: 'The loader does not tick'
    about: 'The timer that starts schedules and takes over silent runs did not succeed once in half an hour.'
    severity: 1
    window: 'PT30M'
    query: loadTextContent('../queries/tick-missing.kql')
    by: []
  }
  {
    name: 'invalid-loads'
    title: 'A load definition or its schedule does not work'
    about: 'A file of the loads folder is not valid, or the tick failed for a load.'
    severity: 3
    window: 'PT1H'
    query: loadTextContent('../queries/invalid-loads.kql')
    by: ['subject']
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${namePrefix}-people'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 's3adx'
    emailReceivers: map(range(0, length(emails)), index => {
      name: 'email-${index}'
      emailAddress: emails[index]
      useCommonAlertSchema: true
    })
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${namePrefix}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: '${rule.about} See docs/DEPLOY.md, Alerts.'
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: 'PT5M'
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: map(rule.by, column => { name: column, operator: 'Include', values: ['*'] })
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      // A new workspace has no tables yet, and the service would refuse the query.
      skipQueryValidation: true
      autoMitigate: true
      actions: { actionGroups: [people.id] }
    }
  }
]

resource storageThrottling 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${namePrefix}-storage-throttling'
  location: 'global'
  tags: tags
  properties: {
    description: 'The storage account refuses requests because there are too many. See docs/DEPLOY.md, Alerts.'
    severity: 3
    enabled: true
    scopes: [storageAccountId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'throttled'
          metricName: 'Transactions'
          metricNamespace: 'Microsoft.Storage/storageAccounts'
          dimensions: [
            {
              name: 'ResponseType'
              operator: 'Include'
              values: [
                'ClientAccountBandwidthThrottlingError'
                'ClientAccountRequestThrottlingError'
                'ClientThrottlingError'
                'ServerBusyError'
              ]
            }
          ]
          operator: 'GreaterThan'
          threshold: 100
          timeAggregation: 'Total'
        }
      ]
    }
    autoMitigate: true
    actions: [{ actionGroupId: people.id }]
  }
}
