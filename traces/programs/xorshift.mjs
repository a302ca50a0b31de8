/**
 * Numbers that look random and are the same everywhere: xorshift32 (Marsaglia 2003).
 *
 * @param {number} seed
 * @returns {(below: number) => number} the next number in [0, below)
 */
export function xorshift(seed) {
  let state = seed >>> 0;
  return (/** @type {number} */ below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}
