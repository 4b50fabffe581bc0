import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';

/** What this host reads from host.json, with the real host's defaults filled in. */
export interface HostSettings {
  readonly routePrefix: string;
  /** Longest time of one invocation; null for no limit. */
  readonly functionTimeoutMs: number | null;
  readonly hubName: string;
  readonly maxConcurrentActivityFunctions: number;
  readonly maxConcurrentOrchestratorFunctions: number;
  /** Most events that one orchestrator turn takes; host.json `storageProvider.controlQueueBatchSize`. */
  readonly eventsPerTurn: number;
  readonly queues: QueueSettings;
}

export interface QueueSettings {
  readonly batchSize: number;
  readonly newBatchThreshold: number;
  readonly maxDequeueCount: number;
  readonly visibilityTimeoutMs: number;
  /** Longest wait between two looks at an empty queue; 1 s here unless host.json says otherwise (Azure: 1 min). */
  readonly maxPollingIntervalMs: number;
  readonly messageEncoding: 'base64' | 'none';
}

/** Puts settings of env files and local.settings.json into the environment; what is set already stays. */
export function applyAppSettings(params: { appFolder: string; envFiles: readonly string[] }): void {
  for (const file of params.envFiles) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      throw new Error(`The env file ${file} can't be read. Check --env-file.`, { cause: error });
    }
    for (const [name, value] of Object.entries(parseEnv(text))) process.env[name] ??= value;
  }
  const path = join(params.appFolder, 'local.settings.json');
  if (!existsSync(path)) return;
  const content = readJsonObject(path);
  if (content.IsEncrypted === true) {
    throw new Error(
      `${path} is encrypted, which this host can't read. Decrypt it with "func settings decrypt".`,
    );
  }
  for (const [name, value] of Object.entries(objectAt(content, 'Values'))) {
    if (typeof value !== 'string') throw new Error(`${path}: Values.${name} must be text. Quote it.`);
    process.env[name] ??= value;
  }
}

/** Replaces every `%NAME%` by the app setting of that name. @throws when a setting is missing */
export function resolveSettingNames(text: string, where: string): string {
  return text.replace(/%([^%]+)%/g, (_, name: string) => {
    const value = process.env[name];
    if (value === undefined)
      throw new Error(`'%${name}%' of ${where} does not resolve to a value. Set ${name}.`);
    return value;
  });
}

/** Reads host.json. @throws with the path of the first bad value */
export function readHostSettings(appFolder: string): HostSettings {
  const path = join(appFolder, 'host.json');
  if (!existsSync(path))
    throw new Error(`${path} is missing. A Functions app needs a host.json with "version": "2.0".`);
  const json = readJsonObject(path);
  if (json.version !== '2.0') throw new Error(`${path}: "version" must be "2.0".`);
  const extensions = objectAt(json, 'extensions');
  const durable = objectAt(extensions, 'durableTask');
  const storage = objectAt(durable, 'storageProvider');
  const queues = objectAt(extensions, 'queues');
  const numberOf = (
    from: Record<string, unknown>,
    name: string,
    fallback: number,
    least: number,
    most: number,
  ) => readNumber(from[name], { where: `${path}: ${name}`, fallback, least, most });
  const defaultConcurrency = 10 * availableParallelism();
  const batchSize = numberOf(queues, 'batchSize', 16, 1, 32);
  return {
    routePrefix: readText(objectAt(extensions, 'http').routePrefix, `${path}: routePrefix`, 'api').replace(
      /^\/|\/$/g,
      '',
    ),
    functionTimeoutMs: readTimeout(json.functionTimeout, path),
    hubName: readHubName(durable.hubName, path),
    maxConcurrentActivityFunctions: numberOf(
      durable,
      'maxConcurrentActivityFunctions',
      defaultConcurrency,
      1,
      1e6,
    ),
    maxConcurrentOrchestratorFunctions: numberOf(
      durable,
      'maxConcurrentOrchestratorFunctions',
      defaultConcurrency,
      1,
      1e6,
    ),
    eventsPerTurn: numberOf(storage, 'controlQueueBatchSize', 32, 1, 32),
    queues: {
      batchSize,
      newBatchThreshold: numberOf(queues, 'newBatchThreshold', Math.floor(batchSize / 2), 0, 1e6),
      maxDequeueCount: numberOf(queues, 'maxDequeueCount', 5, 1, 1e6),
      visibilityTimeoutMs: parseSpan(
        readText(queues.visibilityTimeout, `${path}: visibilityTimeout`, '00:00:00'),
        path,
      ),
      maxPollingIntervalMs: parseSpan(
        readText(queues.maxPollingInterval, `${path}: maxPollingInterval`, '00:00:01'),
        path,
      ),
      messageEncoding: readEncoding(queues.messageEncoding, path),
    },
  };
}

/** Milliseconds of a .NET time span `[d.]hh:mm:ss[.fff]`. @throws when the text has another form */
export function parseSpan(text: string, where: string): number {
  const match = /^(?:(\d+)\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?$/.exec(text);
  if (match === null) throw new Error(`${where}: "${text}" is no time span. Write it as [d.]hh:mm:ss.`);
  const [, days = '0', hours = '0', minutes = '0', seconds = '0', fraction = ''] = match;
  const whole = ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
  return whole * 1000 + Math.round(Number(`0.${fraction || '0'}`) * 1000);
}

function readTimeout(value: unknown, path: string): number | null {
  const text = readText(value, `${path}: functionTimeout`, '00:30:00');
  return text === '-1' || text === '-00:00:00.0010000' ? null : parseSpan(text, `${path}: functionTimeout`);
}

function readHubName(value: unknown, path: string): string {
  const where = `${path}: extensions.durableTask.hubName`;
  const name = resolveSettingNames(readText(value, where, 'TestHubName'), where);
  if (!/^[A-Za-z][A-Za-z0-9]{2,44}$/.test(name)) {
    throw new Error(
      `${where}: "${name}" is no task hub name. Use 3 to 45 letters and digits, a letter first.`,
    );
  }
  return name;
}

function readEncoding(value: unknown, path: string): 'base64' | 'none' {
  const text = readText(value, `${path}: messageEncoding`, 'base64').toLowerCase();
  if (text !== 'base64' && text !== 'none') {
    throw new Error(`${path}: messageEncoding is "${text}". Use "base64" or "none".`);
  }
  return text;
}

function readNumber(
  value: unknown,
  params: { where: string; fallback: number; least: number; most: number },
): number {
  if (value === undefined || value === null) return params.fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < params.least || value > params.most) {
    throw new Error(
      `${params.where} is ${JSON.stringify(value)}. Use a whole number from ${params.least} to ${params.most}.`,
    );
  }
  return value;
}

function readText(value: unknown, where: string, fallback: string): string {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'string') throw new Error(`${where} is ${JSON.stringify(value)}. Use text.`);
  return value;
}

function objectAt(from: Record<string, unknown>, name: string): Record<string, unknown> {
  const value = from[name];
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function readJsonObject(path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8').replace(/^\uFEFF/, ''));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    throw new Error(`${path} can't be read as JSON. Correct it.`, { cause: error });
  }
  throw new Error(`${path} must hold a JSON object.`);
}
