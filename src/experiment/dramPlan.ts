/**
 * The answer of hetmem plan: how little fast memory each policy needs for a bound on the slowdown.
 * Plain data, made by runner/planDram.ts, printed by cli/.
 */
import { type Bytes, GIB } from '../base/units.ts';
import type { Knob, KnobValue } from '../policy/index.ts';
import type { TriedShare } from './dramSearch.ts';
import type { LabelledPolicy } from './experiment.ts';

export const DRAM_PLAN_FORMAT = 'plan/1';

export interface DramPlan {
  readonly format: typeof DRAM_PLAN_FORMAT;
  readonly hetmem: string;
  readonly command: string;
  readonly machine: string;
  /** Kinds of the machine's fast and slow memory, such as DRAM and CXL. */
  readonly tiers: { readonly fast: string; readonly slow: string };
  readonly workloads: readonly { readonly name: string; readonly footprintBytes: Bytes }[];
  readonly seeds: readonly number[];
  /** Slowdown against all-DRAM that is allowed, 1.05 = 5 % more time. */
  readonly bound: number;
  /** Of the footprint, to which the answer is known. */
  readonly resolution: number;
  readonly policies: readonly PlannedPolicy[];
  /** Index into policies: the least fast memory, oracles left out; -1 = none holds the bound. */
  readonly best: number;
  /** The best policy at its size with each knob changed, first seed. */
  readonly sensitivity: readonly KnobEffect[];
  /** Commands that set a real machine up for the best policy. */
  readonly settings: readonly string[];
}

export interface PlannedPolicy {
  readonly policy: LabelledPolicy;
  readonly isOracle: boolean;
  /** Ascending by share. */
  readonly tried: readonly TriedShare[];
  /** null = only all-DRAM holds the bound. */
  readonly smallest: TriedShare | null;
  readonly memory: MemoryShare;
}

/** Memory for the program with the largest footprint. */
export interface MemoryShare {
  readonly fastBytes: Bytes;
  readonly slowBytes: Bytes;
  /** In the currency of cost_per_gib; null = the machine file has no prices. */
  readonly cost: number | null;
  /** Of the cost of all-DRAM. */
  readonly costShare: number | null;
}

export interface KnobEffect {
  readonly knob: string;
  readonly value: KnobValue;
  readonly initial: KnobValue;
  /** Of the program that it hurts most; null = the run failed. */
  readonly slowdown: number | null;
}

/** Prices of a GiB; 0 = not known. */
export interface Prices {
  readonly fast: number;
  readonly slow: number;
}

export function memoryShare(footprint: Bytes, share: number, prices: Prices): MemoryShare {
  const fastBytes = Math.round(footprint * share);
  const slowBytes = footprint - fastBytes;
  if (prices.fast === 0 || prices.slow === 0) {
    return { fastBytes, slowBytes, cost: null, costShare: null };
  }
  const cost = (fastBytes * prices.fast + slowBytes * prices.slow) / GIB;
  return { fastBytes, slowBytes, cost, costShare: cost / ((footprint * prices.fast) / GIB) };
}

/** The plan whose best policy has the cheapest memory; -1 = none holds, or a price is missing. */
export function cheapestOf(plans: readonly DramPlan[]): number {
  let cheapest = -1;
  let least = Number.POSITIVE_INFINITY;
  for (const [i, { policies, best }] of plans.entries()) {
    if (best < 0) continue;
    const { cost } = policies[best]!.memory;
    if (cost === null) return -1;
    if (cost >= least) continue;
    least = cost;
    cheapest = i;
  }
  return cheapest;
}

/** Values worth a try beside `value`: half and twice, the next accepted ones, other choices. */
export function knobVariants(knob: Knob, value: KnobValue): KnobValue[] {
  if (knob.kind === 'boolean') return [!value];
  if (knob.kind === 'choice') return knob.choices.filter((choice) => choice !== value);
  if (knob.accepted !== undefined) return neighbours(knob.accepted, Number(value));
  const near = [Number(value) / 2, Number(value) * 2].map((wanted) => {
    const inside = Math.min(knob.max, Math.max(knob.min, wanted));
    return knob.kind === 'integer' ? Math.round(inside) : inside;
  });
  return [...new Set(near)].filter((variant) => variant !== value);
}

/** The accepted values right below and above; `accepted` ascends. */
function neighbours(accepted: readonly number[], value: number): number[] {
  const below = accepted.filter((one) => one < value).slice(-1);
  return [...below, ...accepted.filter((one) => one > value).slice(0, 1)];
}
