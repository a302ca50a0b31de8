/**
 * A failing history made short by leaving operations out (Zeller's ddmin): what fails in the same
 * words without them did not need them. Far quicker on long histories than fast-check's shrinking.
 */
import type { MachinePlan } from './machines.ts';
import type { Operation } from './operations.ts';

/** Plays a history; the message of its failure, or null. */
export type Play = (plan: MachinePlan, operations: readonly Operation[]) => string | null;

/** A history that fails in the same words as `operations`, of which no part can be left out. */
export function reduceHistory(
  plan: MachinePlan,
  operations: readonly Operation[],
  play: Play,
): readonly Operation[] {
  const wanted = words(play(plan, operations));
  let rest = operations;
  let parts = 2;
  while (rest.length > 1) {
    const size = Math.ceil(rest.length / parts);
    const shorter = withoutPart(rest, size, (some) => words(play(plan, some)) === wanted);
    if (shorter !== null) {
      rest = shorter;
      parts = Math.max(parts - 1, 2);
    } else if (size === 1) break;
    else parts = Math.min(parts * 2, rest.length);
  }
  return rest;
}

function withoutPart(
  operations: readonly Operation[],
  size: number,
  fails: (some: readonly Operation[]) => boolean,
): readonly Operation[] | null {
  for (let at = 0; at < operations.length; at += size) {
    const some = [...operations.slice(0, at), ...operations.slice(at + size)];
    if (fails(some)) return some;
  }
  return null;
}

/** What failed, whichever the frames and processes. */
function words(message: string | null): string | null {
  return message === null ? null : message.replace(/\d+/g, '#').slice(0, 80);
}
