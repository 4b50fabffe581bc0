import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { knownStatus, type StorageService } from './fault-rule.ts';

/** Answers with an error of the service's own form; without a code, as something in front of the service would. */
export function sendStorageError(
  response: ServerResponse,
  params: {
    readonly service: StorageService;
    readonly code: string | null;
    readonly status: number | undefined;
    readonly isHead: boolean;
    /** Default: that it was injected. */
    readonly said?: string;
  },
): void {
  const { service, code, isHead, said = `${params.code}, injected by the storage proxy.` } = params;
  const status = params.status ?? knownStatus(code) ?? 500;
  if (code === null) {
    response.writeHead(status, { 'content-length': 0 }).end();
    return;
  }
  const requestId = randomUUID();
  const message = `${said}\nRequestId:${requestId}\nTime:${new Date().toISOString()}`;
  const { type, text } = service === 'table' ? renderJson(code, message) : renderXml(code, message);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'x-ms-request-id': requestId,
    'x-ms-version': '2025-05-05',
    // The Table service names its code in the body alone.
    ...(service === 'table' ? { dataserviceversion: '3.0;' } : { 'x-ms-error-code': code }),
  });
  response.end(isHead ? undefined : text);
}

function renderXml(code: string, message: string): { type: string; text: string } {
  const text = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return { type: 'application/xml', text };
}

function renderJson(code: string, message: string): { type: string; text: string } {
  const error = { 'odata.error': { code, message: { lang: 'en-US', value: message } } };
  return { type: 'application/json;odata=minimalmetadata;charset=utf-8', text: JSON.stringify(error) };
}
