// What azd takes: values of the azd environment (`azd env set NAME VALUE`). docs/DEPLOY.md lists the names.
using 'main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param profile = readEnvironmentVariable('LOADER_PROFILE', 'dev')
param nodeVersion = readEnvironmentVariable('LOADER_NODE_VERSION', '22')

// azd sets the first to who is signed in.
param operatorPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', 'deployer')
param operatorPrincipalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')

var credentialNames = map(split(readEnvironmentVariable('LOADER_S3_CREDENTIALS', 'default'), ','), name => trim(name))
// `name=arn`, with commas between them: written by `npm run aws -- deploy --web-identity`.
var roleTexts = filter(split(readEnvironmentVariable('LOADER_AWS_ROLES', ''), ','), text => contains(text, '='))
var roles = map(roleTexts, text => {
  name: trim(first(split(text, '=')))
  temporary: false
  role: {
    arn: trim(last(split(text, '=')))
    // Written by the hook for the audience.
    audience: readEnvironmentVariable('LOADER_AWS_AUDIENCE', '')
    sessionDuration: readEnvironmentVariable('LOADER_AWS_SESSION_DURATION', '12h')
  }
})
var roleNames = map(roles, role => role.name)
var keyNames = filter(credentialNames, name => !empty(name) && !contains(roleNames, name))
var keys = map(keyNames, name => { name: name, temporary: false })
// Further roles that are assumed from these, by the names of their credentials (docs/DEPLOY.md, "With nothing stored"):
//   name: { chainedRoleArn: 'arn:aws:iam::123456789012:role/reader', externalId: 'text' }
var chained = any({})
param credentials = map(concat(roles, keys), one => union(one, chained[?one.name] ?? {}))

param adxTrial = bool(readEnvironmentVariable('LOADER_ADX_TRIAL', 'false'))
param adxClusterId = readEnvironmentVariable('LOADER_ADX_CLUSTER_ID', '')
param adxDatabase = readEnvironmentVariable('LOADER_ADX_DATABASE_NAME', '')
param adxPrivateEndpoint = bool(readEnvironmentVariable('LOADER_ADX_PRIVATE_ENDPOINT', 'false'))

param vnetEnabled = bool(readEnvironmentVariable('LOADER_VNET', 'false'))
param operatorIpAddresses = filter(
  split(readEnvironmentVariable('LOADER_OPERATOR_IP_ADDRESSES', ''), ','),
  address => !empty(address)
)

// Written by the hook, which runs before. Without it nobody gets in, rather than somebody.
param signInClientId = readEnvironmentVariable('LOADER_HTTP_AUTH', 'keys') == 'entra'
  ? readEnvironmentVariable('LOADER_API_CLIENT_ID', 'not-registered')
  : ''

param durableTaskScheduler = bool(readEnvironmentVariable('LOADER_DURABLE_TASK_SCHEDULER', 'false'))
param eventSenderPrincipalId = readEnvironmentVariable('LOADER_EVENT_SENDER_PRINCIPAL_ID', '')
param alertEmails = filter(split(readEnvironmentVariable('LOADER_ALERT_EMAILS', ''), ','), address => !empty(address))
