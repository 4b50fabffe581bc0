import type { RegisteredFunction } from './functions-core.ts';
import type { AuthLevel } from './keys.ts';

/** One HTTP function's route. */
export interface Route {
  readonly fn: RegisteredFunction;
  readonly template: string;
  readonly methods: ReadonlySet<string>;
  readonly authLevel: AuthLevel;
  readonly parts: readonly Part[];
}

type Part =
  | { readonly kind: 'literal'; readonly text: string }
  | {
      readonly kind: 'parameter';
      readonly name: string;
      readonly isOptional: boolean;
      readonly checks: Check[];
    }
  | { readonly kind: 'rest'; readonly name: string };

type Check = (value: string) => boolean;

const reservedRoots = ['admin', 'runtime', 'durabletask'];

/**
 * Routes of the app's HTTP functions, most literal first.
 * @throws on a template that this host can't follow, a reserved root, and two functions with one route
 */
export function createRoutes(functions: readonly RegisteredFunction[], routePrefix: string): Route[] {
  const routes = functions.map((fn) => createRoute(fn, routePrefix));
  const seen = new Map<string, string>();
  for (const { fn, methods, parts } of routes) {
    const shape = parts
      .map((part) => (part.kind === 'literal' ? part.text.toLowerCase() : `{${part.kind}}`))
      .join('/');
    for (const method of methods) {
      const key = `${method} /${shape}`;
      const other = seen.get(key);
      if (other !== undefined && parts.every((part) => part.kind === 'literal')) {
        throw new Error(
          `Functions "${other}" and "${fn.name}" both answer ${key}. Give them different routes.`,
        );
      }
      seen.set(key, fn.name);
    }
  }
  return routes.sort((left, right) => compareParts(left.parts, right.parts));
}

/** The route for a request with its parameters, decoded; null when no function answers it. */
export function findRoute(
  routes: readonly Route[],
  request: { readonly method: string; readonly path: string },
): { route: Route; params: Record<string, string> } | null {
  const segments = request.path.split('/').filter((each) => each !== '');
  for (const route of routes) {
    if (!route.methods.has(request.method)) continue;
    const params = matchParts(route.parts, segments);
    if (params !== null) return { route, params };
  }
  return null;
}

function createRoute(fn: RegisteredFunction, routePrefix: string): Route {
  const { trigger } = fn;
  const own = typeof trigger.route === 'string' ? trigger.route : fn.name;
  const template = [routePrefix, own.replace(/^\/|\/$/g, '')].filter((each) => each !== '').join('/');
  const parts = splitTemplate(template).map((text) => parsePart(text, fn.name));
  const [first] = parts;
  if (first?.kind === 'literal' && reservedRoots.includes(first.text.toLowerCase())) {
    throw new Error(
      `Function "${fn.name}": routes below /${first.text} belong to the host. Choose another route.`,
    );
  }
  const methods =
    Array.isArray(trigger.methods) && trigger.methods.length > 0 ? trigger.methods : ['GET', 'POST'];
  return {
    fn,
    template: `/${template}`,
    methods: new Set(methods.map((each) => String(each).toUpperCase())),
    authLevel: readAuthLevel(trigger.authLevel, fn.name),
    parts,
  };
}

// A constraint's arguments may hold slashes, so braces are counted.
function splitTemplate(template: string): string[] {
  const parts: string[] = [''];
  let depth = 0;
  for (const char of template) {
    if (char === '{') depth += 1;
    if (char === '}') depth -= 1;
    if (char === '/' && depth === 0) parts.push('');
    else parts[parts.length - 1] += char;
  }
  return parts.filter((part) => part !== '');
}

function parsePart(text: string, functionName: string): Part {
  if (!/[{}]/.test(text)) return { kind: 'literal', text: decodeURIComponent(text) };
  const match = /^\{(\*{0,2})([A-Za-z_][\w-]*)((?::[a-z]+(?:\([^()]*\))?)*)(\?)?\}$/i.exec(text);
  if (match === null) {
    throw new Error(
      `Function "${functionName}": this host can't follow the route part "${text}". Use {name}, {name?}, {name:int} or {*name}.`,
    );
  }
  const [, stars = '', name = '', constraints = '', question] = match;
  if (stars !== '') return { kind: 'rest', name };
  const checks = constraints
    .split(/:(?![^(]*\))/)
    .slice(1)
    .map((each) => parseConstraint(each, functionName));
  return { kind: 'parameter', name, isOptional: question === '?', checks };
}

function parseConstraint(text: string, functionName: string): Check {
  const [, name = '', args = ''] = /^([a-z]+)(?:\((.*)\))?$/i.exec(text) ?? [];
  const [first = Number.NaN, second = first] = args.split(',').map(Number);
  const checks: Record<string, Check> = {
    int: (value) => /^[+-]?\d{1,10}$/.test(value) && Math.abs(Number(value)) <= 2 ** 31,
    long: (value) => /^[+-]?\d{1,19}$/.test(value),
    guid: (value) => /^\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$/i.test(value),
    alpha: (value) => /^[a-z]*$/i.test(value),
    bool: (value) => /^(true|false)$/i.test(value),
    datetime: (value) => !Number.isNaN(Date.parse(value)),
    decimal: isNumber,
    double: isNumber,
    float: isNumber,
    min: (value) => isNumber(value) && Number(value) >= first,
    max: (value) => isNumber(value) && Number(value) <= first,
    range: (value) => isNumber(value) && Number(value) >= first && Number(value) <= second,
    length: (value) => value.length >= first && value.length <= second,
    minlength: (value) => value.length >= first,
    maxlength: (value) => value.length <= first,
    required: (value) => value !== '',
  };
  const check = checks[name.toLowerCase()];
  if (check === undefined) {
    throw new Error(
      `Function "${functionName}": this host does not know the route constraint "${text}". Known: ${Object.keys(checks).join(', ')}.`,
    );
  }
  return check;
}

function isNumber(value: string): boolean {
  return value !== '' && Number.isFinite(Number(value));
}

function readAuthLevel(value: unknown, functionName: string): AuthLevel {
  const level = typeof value === 'string' ? value.toLowerCase() : 'function';
  if (level === 'anonymous' || level === 'function' || level === 'admin') return level;
  throw new Error(
    `Function "${functionName}": unknown authLevel "${level}". Use anonymous, function or admin.`,
  );
}

function matchParts(parts: readonly Part[], segments: readonly string[]): Record<string, string> | null {
  const params: Record<string, string> = {};
  for (const [index, part] of parts.entries()) {
    if (part.kind === 'rest') {
      const rest = segments.slice(index).map(decode).join('/');
      if (rest !== '') params[part.name] = rest;
      return params;
    }
    const segment = segments[index];
    if (segment === undefined) {
      if (part.kind === 'parameter' && part.isOptional) continue;
      return null;
    }
    const value = decode(segment);
    if (part.kind === 'literal') {
      if (value.toLowerCase() !== part.text.toLowerCase()) return null;
    } else {
      if (!part.checks.every((check) => check(value))) return null;
      params[part.name] = value;
    }
  }
  return segments.length <= parts.length ? params : null;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function compareParts(left: readonly Part[], right: readonly Part[]): number {
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = rank(left[index]) - rank(right[index]);
    if (difference !== 0) return difference;
  }
  return 0;
}

function rank(part: Part | undefined): number {
  if (part === undefined) return 3;
  if (part.kind === 'literal') return 0;
  if (part.kind === 'rest') return 4;
  return part.checks.length > 0 ? 1 : 2;
}
