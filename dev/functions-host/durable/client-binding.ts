import type { RpcTypedData } from '../rpc.ts';

/**
 * Value of a `durableClient` input binding: addresses of the management endpoints, with placeholders that the
 * client fills in.
 */
export function createClientBinding(params: {
  readonly port: number;
  readonly hubName: string;
  readonly systemKey: string;
}): RpcTypedData {
  const baseUrl = webhookBase(params.port);
  const code = `code=${encodeURIComponent(params.systemKey)}`;
  const create = `${baseUrl}/orchestrators/{functionName}[/{instanceId}]`;
  return {
    string: JSON.stringify({
      taskHubName: params.hubName,
      creationUrls: {
        createNewInstancePostUri: `${create}?${code}`,
        createAndWaitOnNewInstancePostUri: `${create}?timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}&${code}`,
      },
      managementUrls: managementUrls({ ...params, id: 'INSTANCEID' }),
      baseUrl,
      requiredQueryStringParameters: code,
      // The trailing slash counts: the client resolves relative paths against it.
      rpcBaseUrl: `http://127.0.0.1:${params.port}/durabletask/`,
    }),
  };
}

/** The management addresses of one instance, as the answer to a start lists them. */
export function managementUrls(params: {
  readonly port: number;
  readonly hubName: string;
  readonly systemKey: string;
  readonly id: string;
}): Record<string, string> {
  const { id } = params;
  const query = `taskHub=${params.hubName}&connection=Storage&code=${encodeURIComponent(params.systemKey)}`;
  const instance = `${webhookBase(params.port)}/instances/${id}`;
  return {
    id,
    statusQueryGetUri: `${instance}?${query}`,
    sendEventPostUri: `${instance}/raiseEvent/{eventName}?${query}`,
    terminatePostUri: `${instance}/terminate?reason={text}&${query}`,
    rewindPostUri: `${instance}/rewind?reason={text}&${query}`,
    purgeHistoryDeleteUri: `${instance}?${query}`,
    restartPostUri: `${instance}/restart?${query}`,
    suspendPostUri: `${instance}/suspend?reason={text}&${query}`,
    resumePostUri: `${instance}/resume?reason={text}&${query}`,
  };
}

function webhookBase(port: number): string {
  return `http://localhost:${port}/runtime/webhooks/durabletask`;
}
