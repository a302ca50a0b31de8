/**
 * What is left of heat that fades by a constant factor a second: share^seconds from products and
 * square roots alone, which every engine rounds alike (STYLE.md, no-hidden-inputs).
 */

/** Halvings of a second that are told apart: one 2^20th is a microsecond. */
const BITS = 20;

/** `share` to the power of `seconds`. Preconditions: 0 <= share <= 1, seconds >= 0. */
export function retained(share: number, seconds: number): number {
  if (seconds === 0) return 1;
  let whole = Math.floor(seconds);
  let fraction = seconds - whole;
  let left = 1;
  for (let power = share; whole > 0; whole = Math.floor(whole / 2)) {
    if (whole % 2 === 1) left *= power;
    power *= power;
  }
  let root = share;
  for (let bit = 0; bit < BITS && fraction > 0; bit++) {
    root = Math.sqrt(root);
    fraction *= 2;
    if (fraction < 1) continue;
    fraction -= 1;
    left *= root;
  }
  return left;
}
