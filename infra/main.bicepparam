// What azd takes: values of the azd environment (`azd env set NAME VALUE`). docs/DEPLOY.md lists the names.
using 'main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param profile = readEnvironmentVariable('LOADER_PROFILE', 'dev')
param nodeVersion = readEnvironmentVariable('LOADER_NODE_VERSION', '22')

// azd sets the first to who is signed in.
param operatorPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', 'deployer')
param operatorPrincipalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')

var credentialNames = readEnvironmentVariable('LOADER_S3_CREDENTIALS', 'default')
// Written by `npm run aws -- deploy --web-identity` and by the hook for the audience.
var roleName = readEnvironmentVariable('LOADER_AWS_CREDENTIALS', 'default')
var roleArn = readEnvironmentVariable('LOADER_AWS_ROLE_ARN', '')
var withRole = empty(roleArn)
  ? []
  : [
      {
        name: roleName
        temporary: false
        role: {
          arn: roleArn
          audience: readEnvironmentVariable('LOADER_AWS_AUDIENCE', '')
          sessionDuration: readEnvironmentVariable('LOADER_AWS_SESSION_DURATION', '12h')
        }
      }
    ]
var withKeys = filter(
  map(split(credentialNames, ','), name => trim(name)),
  name => !empty(name) && (empty(roleArn) || name != roleName)
)
param credentials = concat(withRole, map(withKeys, name => { name: name, temporary: false }))

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
