import { randomUUID } from 'node:crypto';

/** A fresh execution or instance id: 32 hex digits. */
export function newExecutionId(): string {
  return randomUUID().replaceAll('-', '');
}
