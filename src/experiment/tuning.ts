/**
 * Tuning one policy's knobs: what to try next, and what an answer is (hetmem tune).
 *
 * A walk: each round tries half and twice of every knob, the other choices of every choice, and all
 * gains of the round before at once; the best one is the next place, until none gains enough.
 * It finds a place that no single step improves, which need not be the best there is.
 */
import type { Knob, KnobValue, KnobValues } from '../policy/index.ts';
import { knobVariants } from './dramPlan.ts';

export const TUNING_FORMAT = 'tuning/1';

/** A change of one knob or more, with the slowdown it gave; null = a run failed. */
export interface TriedKnobs {
  readonly changes: Readonly<Record<string, KnobValue>>;
  readonly slowdown: number | null;
}

export interface TuningRound {
  /** Before the round. */
  readonly slowdown: number;
  readonly tried: readonly TriedKnobs[];
}

export interface Tuning {
  readonly format: typeof TUNING_FORMAT;
  readonly hetmem: string;
  readonly command: string;
  readonly machine: string;
  readonly ratio: string;
  readonly policy: string;
  readonly workloads: readonly string[];
  readonly seeds: readonly number[];
  /** Of the program that suffers most, as it was and as tuned. */
  readonly slowdownBefore: number;
  readonly slowdown: number;
  /** Of all seeds of all programs, the share that is faster than before. */
  readonly confidence: number;
  /** Knobs that differ from where the search began. */
  readonly params: Readonly<Record<string, KnobValue>>;
  readonly initial: KnobValues;
  readonly rounds: readonly TuningRound[];
  /** The last round found nothing better: its tries are the sensitivity to each knob. */
  readonly isSettled: boolean;
  /** Of the runs as tuned: why the policy moved nothing. */
  readonly warnings: readonly string[];
  readonly settings: readonly string[];
}

/**
 * Knobs of a heat source that was not chosen have no effect (heatSources.ts); costs of the machine,
 * which end in Ns, are nobody's to choose.
 */
export function tunableKnobs(knobs: readonly Knob[], values: KnobValues): Knob[] {
  return knobs.filter(({ name }) => {
    if (name.endsWith('Ns')) return false;
    const at = name.indexOf('.');
    return at < 0 || name.slice(0, at) === values.source;
  });
}

/** What a round tries from `values` on; `gains` are the single changes that gained before. */
export function variantsOf(
  knobs: readonly Knob[],
  values: KnobValues,
  gains: readonly TriedKnobs[],
): Readonly<Record<string, KnobValue>>[] {
  const variants: Record<string, KnobValue>[] = [];
  for (const knob of tunableKnobs(knobs, values)) {
    for (const value of knobVariants(knob, values[knob.name]!)) {
      variants.push({ [knob.name]: value });
    }
  }
  const together: Record<string, KnobValue> = {};
  // The best of a knob comes last.
  const ordered = [...gains].sort((a, b) => (b.slowdown ?? 0) - (a.slowdown ?? 0));
  for (const { changes } of ordered) Object.assign(together, changes);
  const news = Object.entries(together).filter(([name, value]) => values[name] !== value);
  if (news.length > 1) variants.push(Object.fromEntries(news));
  return variants;
}

/** The best try of a round if it gains at least `minGain` of the slowdown before; null = none. */
export function bestTry(round: TuningRound, minGain: number): TriedKnobs | null {
  let best: TriedKnobs | null = null;
  for (const one of round.tried) {
    if (one.slowdown === null || one.slowdown > round.slowdown * (1 - minGain)) continue;
    if (best === null || one.slowdown < best.slowdown!) best = one;
  }
  return best;
}
