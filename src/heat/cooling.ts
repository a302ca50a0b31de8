/**
 * Cooling: counts lose half of their value at each tick of a clock, so that old heat fades.
 * Applied lazily, when a count is next looked at: HeMem's global and local clocks (TI-43, TI-107),
 * MEMTIS's halving (TI-53).
 */

/** `count` after `ticks` halvings, each rounding down. */
export function cooled(count: number, ticks: number): number {
  return ticks >= 32 ? 0 : count >>> ticks;
}
