import { spawnSync } from 'node:child_process';

export interface ForeignProgram {
  /** What the skipped tests are called after, for example `AWS CLI`. */
  readonly name: string;
  /** Commands to try, in this order; the first one whose probe ends with 0 is taken. */
  readonly commands: readonly string[];
  /** Arguments of a call that shows that the program is there and usable. Default `--version`. */
  readonly probe?: readonly string[];
  /** Package of Debian that brings it. */
  readonly debianPackage: string;
}

/**
 * The command of a program that this project does not bring along, or `null` where it is missing; skip its tests then, by name.
 *
 * @throws Error with the package to install when it is missing and `CI` is set: there nothing may be skipped.
 */
export function findForeignProgram({
  name,
  commands,
  probe = ['--version'],
  debianPackage,
}: ForeignProgram): string | null {
  const found = commands.find(
    (command) => spawnSync(command, probe, { stdio: 'ignore', timeout: 60_000 }).status === 0,
  );
  if (found !== undefined) return found;
  if (process.env['CI'] === undefined) return null;
  throw new Error(`${name} is missing, and with CI set its tests must run: apt-get install ${debianPackage}`);
}
