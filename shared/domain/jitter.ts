/**
 * A pause around a mean, from half of it to one and a half: what failed at the same time, for one reason, does not come back
 * all at once.
 *
 * @param mean - milliseconds.
 * @param random - 0 inclusive to 1 exclusive.
 */
export function aroundMs(mean: number, random: number): number {
  return Math.round(mean * (0.5 + random));
}
