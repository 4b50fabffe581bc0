// For the Azure CLI. A trial with a cluster of its own:
//   az deployment sub create --location westeurope --parameters infra/dev.bicepparam
using 'main.bicep'

param environmentName = 's3adx-dev'
param location = 'westeurope'
param profile = 'dev'
param adxTrial = true
// Your own object id: az ad signed-in-user show --query id --output tsv
param operatorPrincipalId = readEnvironmentVariable('OPERATOR_PRINCIPAL_ID', '')
