/**
 * Times of several works measured beside each other. They take turns, so that a noisy neighbour
 * meets all of them, and the fastest round of each counts: noise only ever adds time.
 */

/** Does the work; returns its seconds if it knows them better (a C program that times itself). */
export type Work = () => number | undefined | Promise<number | undefined>;

/** Seconds of the fastest of `rounds` rounds, for each work, after a round that is not counted. */
export async function fastestSeconds(rounds: number, works: readonly Work[]): Promise<number[]> {
  const fastest = works.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, work] of works.entries()) {
      const startMs = performance.now();
      const own = await work();
      const seconds = own ?? (performance.now() - startMs) / 1000;
      if (round > 0) fastest[i] = Math.min(fastest[i], seconds);
    }
  }
  return fastest;
}
