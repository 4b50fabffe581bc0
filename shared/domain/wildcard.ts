/**
 * One step of a pattern. `folders` and `folderBody` stand side by side for a `**` with a slash behind it, which also
 * stands for no folder at all, as people know it from shells and build tools.
 */
type Step =
  | { readonly kind: 'character'; readonly character: string }
  | { readonly kind: 'one' | 'any' | 'anything' | 'folders' | 'folderBody' };

/**
 * Makes the test of a pattern: `*` within a folder, `**` across folders, `?` one character, all else itself. It goes
 * through the key once, with all positions of the pattern that are possible so far: the keys of a bucket are not ours,
 * and a backtracking regular expression can take minutes for one of them.
 */
export function compileWildcard(wildcard: string): (text: string) => boolean {
  const steps = parse(wildcard);
  const end = steps.length;

  /** Adds a position and those that are reached from it without a character. */
  function enter(positions: Uint8Array, at: number): void {
    if (positions[at] === 1) return;
    positions[at] = 1;
    const kind = steps[at]?.kind;
    if (kind === 'any' || kind === 'anything') enter(positions, at + 1);
    if (kind === 'folders') {
      enter(positions, at + 1);
      enter(positions, at + 2);
    }
  }

  return (text) => {
    let now = new Uint8Array(end + 1);
    let next = new Uint8Array(end + 1);
    enter(now, 0);
    for (const character of text) {
      next.fill(0);
      let isAlive = false;
      for (let at = 0; at < end; at += 1) {
        if (now[at] === 0) continue;
        for (const target of targetsOf(steps[at]!, at, character)) {
          enter(next, target);
          isAlive = true;
        }
      }
      if (!isAlive) return false;
      [now, next] = [next, now];
    }
    return now[end] === 1;
  };
}

const NOWHERE: readonly number[] = [];

/** The positions to which a character leads from a step. */
function targetsOf(step: Step, at: number, character: string): readonly number[] {
  switch (step.kind) {
    case 'character':
      return character === step.character ? [at + 1] : NOWHERE;
    case 'one':
      return character === '/' ? NOWHERE : [at + 1];
    case 'any':
      return character === '/' ? NOWHERE : [at];
    case 'anything':
      return [at];
    case 'folders':
      return NOWHERE;
    case 'folderBody':
      return character === '/' ? [at, at + 1] : [at];
  }
}

function parse(wildcard: string): readonly Step[] {
  const characters = [...wildcard];
  const steps: Step[] = [];
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at]!;
    if (character === '*' && characters[at + 1] === '*') {
      const hasSlash = characters[at + 2] === '/';
      if (hasSlash) steps.push({ kind: 'folders' }, { kind: 'folderBody' });
      else steps.push({ kind: 'anything' });
      at += hasSlash ? 2 : 1;
    } else if (character === '*') steps.push({ kind: 'any' });
    else if (character === '?') steps.push({ kind: 'one' });
    else steps.push({ kind: 'character', character });
  }
  return steps;
}
