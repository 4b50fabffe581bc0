import { runTool } from '../command-line.ts';

/** Values of the azd environment. */
export interface Environment {
  /** @throws an Error that says what to do when there is no such value, or an empty one. */
  get(name: string): string;
  /** Empty where there is none. */
  find(name: string): string;
}

export async function readEnvironment(): Promise<Environment> {
  const printed = await runTool('azd', ['env', 'get-values', '--output', 'json']);
  const values = new Map(Object.entries(JSON.parse(printed) as Readonly<Record<string, unknown>>));
  const find = (name: string) => String(values.get(name) ?? '');
  return {
    find,
    get: (name) => {
      const value = find(name);
      if (value === '') throw new Error(`The azd environment has no ${name}: run azd provision first`);
      return value;
    },
  };
}
