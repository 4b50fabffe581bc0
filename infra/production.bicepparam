// For the Azure CLI, and to be copied. A cluster that exists, private endpoints, people who are told:
//   az deployment sub what-if --location westeurope --parameters infra/production.bicepparam
using 'main.bicep'

param environmentName = 's3adx-production'
param location = 'westeurope'
param profile = 'production'
param adxClusterId = readEnvironmentVariable('ADX_CLUSTER_ID')
param adxDatabase = readEnvironmentVariable('ADX_DATABASE')
param vnetEnabled = true
param scale = {
  instanceMemoryMB: 2048
  maximumInstanceCount: 100
  alwaysReadyDurable: 1
  httpConcurrency: 16
}
// A group of those who run the loader: az ad group show --group NAME --query id --output tsv
param operatorPrincipalId = readEnvironmentVariable('OPERATOR_PRINCIPAL_ID')
param operatorPrincipalType = 'Group'
// Public addresses, with commas, from which they reach the vault.
param operatorIpAddresses = split(readEnvironmentVariable('OPERATOR_IP_ADDRESSES'), ',')
param alertEmails = [readEnvironmentVariable('ALERT_EMAIL')]
