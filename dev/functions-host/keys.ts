import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { StateFile } from './state-file.ts';

/** Keys of the host: for functions, for the Durable webhooks, and one that opens everything. */
export interface HostKeys {
  readonly functionKey: string;
  readonly systemKey: string;
  readonly masterKey: string;
}

export type AuthLevel = 'anonymous' | 'function' | 'system' | 'admin';

/** Takes keys that are given, else those of the state file, else makes new ones and keeps them there. */
export function loadKeys(state: StateFile, given: Partial<HostKeys>): HostKeys {
  const { database } = state;
  database.exec('CREATE TABLE IF NOT EXISTS host_key(name TEXT PRIMARY KEY, value TEXT NOT NULL)');
  const keyOf = (name: keyof HostKeys): string => {
    const wanted = given[name];
    const row = database.prepare('SELECT value FROM host_key WHERE name = ?').get(name);
    const value =
      wanted ?? (typeof row?.value === 'string' ? row.value : randomBytes(32).toString('base64url'));
    database.prepare('INSERT OR REPLACE INTO host_key(name, value) VALUES (?, ?)').run(name, value);
    return value;
  };
  return { functionKey: keyOf('functionKey'), systemKey: keyOf('systemKey'), masterKey: keyOf('masterKey') };
}

/** True when the request carries a key that opens the level, in `x-functions-key` or the query's `code`. */
export function isAuthorized(
  keys: HostKeys,
  request: { level: AuthLevel; headers: IncomingHttpHeaders; query: URLSearchParams },
): boolean {
  if (request.level === 'anonymous') return true;
  const header = request.headers['x-functions-key'];
  const presented = (typeof header === 'string' ? header : undefined) ?? request.query.get('code');
  if (presented === undefined || presented === null) return false;
  const isMaster = equalsInConstantTime(presented, keys.masterKey);
  if (request.level === 'admin') return isMaster;
  const key = request.level === 'system' ? keys.systemKey : keys.functionKey;
  return equalsInConstantTime(presented, key) || isMaster;
}

// Hashing first makes both sides equally long, so that not even the length of a key shows.
function equalsInConstantTime(left: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
