// For the Azure CLI. A trial with a cluster of its own:
//   az deployment sub create --location westeurope --parameters infra/dev.bicepparam
using 'main.bicep'

param environmentName = 's3adx-dev'
param location = 'westeurope'
param profile = 'dev'
param adxTrial = true
param operatorPrincipalId = readEnvironmentVariable('OPERATOR_PRINCIPAL_ID', 'deployer')
