/**
 * How little fast memory holds a bound on the slowdown (hetmem plan): rounds of experiments, each
 * of which tries one more size for every policy, halving what is left (experiment/dramSearch.ts).
 */
import { UserError } from '../base/assert.ts';
import { RandomStream } from '../base/prng.ts';
import { PAGE_SIZE } from '../base/units.ts';
import {
  type Comparison,
  DRAM_PLAN_FORMAT,
  type DramPlan,
  type Experiment,
  FIRST_SHARES,
  hundredths,
  type KnobEffect,
  knobVariants,
  type LabelledPolicy,
  memoryShare,
  NO_HEADROOM,
  nextShare,
  type PlannedPolicy,
  type Prices,
  pictureOf,
  smallestShare,
  type TriedShare,
  tierNames,
  tierNodes,
  type WorkloadSpec,
} from '../experiment/index.ts';
import { findPolicy, resolveKnobs, settingsText } from '../policy/index.ts';
import { type RunExperimentOptions, runExperiment } from './runExperiment.ts';

export interface DramQuestion {
  readonly machine: string;
  readonly policies: readonly LabelledPolicy[];
  readonly workloads: readonly WorkloadSpec[];
  readonly seeds: readonly number[];
  readonly bound: number;
  readonly resolution: number;
}

export interface PlanDramOptions extends RunExperimentOptions {
  /** Told what the next runs are for. */
  readonly onStage: (what: string) => void;
}

/** Rounds after the first: each halves the gap that is left. */
const ROUNDS_MAX = 16;

/**
 * Does the runs and answers.
 * Errors: UserError as runExperiment; when the machine has one kind of memory; when no run of a
 * policy finished, with its reason.
 */
export async function planDram(
  question: DramQuestion,
  options: PlanDramOptions,
): Promise<DramPlan> {
  const { library } = options;
  const spec = await library.machine(question.machine);
  const tiers = tierNodes(spec);
  if (tiers.fast.length === 0 || tiers.slow.length === 0) {
    throw new UserError(spec.name, 'has one kind of memory', 'take a machine with CXL memory');
  }
  const prices: Prices = {
    fast: spec.nodes[tiers.fast[0]!]!.costPerGib,
    slow: spec.nodes[tiers.slow[0]!]!.costPerGib,
  };
  const search = new DramSearch(question, options);
  await search.run();
  const footprints = search.footprints;
  const largest = Math.max(...footprints);
  const policies = question.policies.map((policy, i): PlannedPolicy => {
    const tried = [...search.tried[i]!].sort((a, b) => a.share - b.share);
    const smallest = smallestShare(tried, question.bound);
    const known = library.catalogue.policies.find(({ name }) => name === policy.name);
    const memory = memoryShare(largest, smallest?.share ?? 1, prices);
    return { policy, isOracle: known?.isOracle ?? false, tried, smallest, memory };
  });
  const best = bestOf(policies);
  return {
    format: DRAM_PLAN_FORMAT,
    hetmem: library.version,
    command: options.command,
    machine: spec.name,
    tiers: tierNames(pictureOf(spec)),
    workloads: question.workloads.map(({ name }, i) => {
      return { name, footprintBytes: footprints[i]! };
    }),
    seeds: question.seeds,
    bound: question.bound,
    resolution: question.resolution,
    policies,
    best,
    sensitivity: best < 0 ? [] : await search.sensitivity(policies[best]!),
    settings: best < 0 ? [] : settingsOf(policies[best]!.policy),
  };
}

/** The least fast memory; of equal ones the fastest, then the first. */
function bestOf(policies: readonly PlannedPolicy[]): number {
  let best = -1;
  for (const [i, { isOracle, smallest }] of policies.entries()) {
    if (isOracle || smallest === null) continue;
    const before = best < 0 ? null : policies[best]!.smallest;
    if (before === null || smallest.share < before.share) best = i;
    else if (smallest.share === before.share) {
      if (hundredths(smallest.slowdown.median) < hundredths(before.slowdown.median)) best = i;
    }
  }
  return best;
}

function settingsOf(choice: LabelledPolicy): string[] {
  const description = findPolicy(choice.name)!;
  const { values } = resolveKnobs(description.knobs, choice.params);
  return settingsText(description.make(values, new RandomStream(0, choice.name)).settings);
}

class DramSearch {
  /** By policy, in the order in which they were tried. */
  readonly tried: TriedShare[][];
  /** By workload, bytes; known after the first round. */
  footprints: readonly number[] = [];
  readonly #question: DramQuestion;
  readonly #options: PlanDramOptions;

  constructor(question: DramQuestion, options: PlanDramOptions) {
    this.#question = question;
    this.#options = options;
    this.tried = question.policies.map(() => []);
  }

  async run(): Promise<void> {
    const { policies, bound, resolution } = this.#question;
    this.#options.onStage('first sizes');
    const indices = policies.map((_, i) => i);
    await this.#try(indices, FIRST_SHARES);
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const wanted = this.tried.map((tried) => nextShare(tried, bound, resolution));
      if (wanted.every((share) => share === null)) return;
      this.#options.onStage(`closer, round ${round}`);
      for (const share of new Set(wanted)) {
        if (share === null) continue;
        const those = indices.filter((i) => wanted[i] === share);
        await this.#try(those, [share]);
      }
    }
  }

  /** The best policy with one knob changed, each. */
  async sensitivity({ policy, smallest }: PlannedPolicy): Promise<KnobEffect[]> {
    const { knobs } = findPolicy(policy.name)!;
    const { values } = resolveKnobs(knobs, policy.params);
    const variants = knobs.flatMap((knob) => {
      return knobVariants(knob, values[knob.name]!).map((value) => ({ knob: knob.name, value }));
    });
    if (variants.length === 0) return [];
    this.#options.onStage('knobs');
    const policies = variants.map(({ knob, value }) => {
      const label = `${policy.label}, ${knob} ${value}`;
      return { name: policy.name, params: { ...policy.params, [knob]: value }, label };
    });
    const seeds = this.#question.seeds.slice(0, 1);
    const comparison = await this.#experiment(policies, [smallest!.share], seeds);
    return variants.map(({ knob, value }, i) => {
      const slowdown = worst(comparison, 0, i)?.median ?? null;
      return { knob, value, initial: values[knob]!, slowdown };
    });
  }

  async #try(indices: readonly number[], shares: readonly number[]): Promise<void> {
    const { policies, seeds } = this.#question;
    const chosen = indices.map((i) => policies[i]!);
    const comparison = await this.#experiment(chosen, shares, seeds);
    this.footprints = comparison.workloads.map(({ footprintPages }) => footprintPages * PAGE_SIZE);
    for (const [machine, share] of shares.entries()) {
      for (const [i, policy] of indices.entries()) {
        const slowdown = worst(comparison, machine, i);
        // Too small to run in is too small; what never runs has another reason.
        if (slowdown === null) continue;
        const confidence = heldShare(comparison, machine, i, this.#question.bound);
        this.tried[policy]!.push({ share, slowdown, confidence });
      }
    }
    for (const [i, policy] of indices.entries()) {
      if (this.tried[policy]!.length === 0) throw failure(comparison, shares.length - 1, i);
    }
  }

  #experiment(
    policies: readonly LabelledPolicy[],
    shares: readonly number[],
    seeds: readonly number[],
  ): Promise<Comparison> {
    const { machine, workloads } = this.#question;
    const experiment: Experiment = {
      name: 'plan',
      question: '',
      machines: shares.map((share) => {
        return { machine, ratio: { fast: share, slow: 1 - share }, headroom: NO_HEADROOM };
      }),
      policies,
      workloads,
      seeds,
      seriesPoints: 0,
    };
    return runExperiment(experiment, this.#options);
  }
}

/** The slowdowns of the program that suffers most; null if it did not finish on all of them. */
function worst(comparison: Comparison, machine: number, policy: number) {
  const groups = comparison.groups.filter((group) => group.machine === machine);
  const spreads = groups.map(({ outcomes }) => outcomes[policy]!.slowdown);
  const medians = spreads.map((spread) => spread?.median ?? Number.NaN);
  if (medians.some(Number.isNaN)) return null;
  return spreads[medians.indexOf(Math.max(...medians))]!;
}

/** Of all runs of a policy on a machine, how many hold the bound. */
function heldShare(comparison: Comparison, machine: number, policy: number, bound: number): number {
  let held = 0;
  let all = 0;
  for (const group of comparison.groups) {
    if (group.machine !== machine) continue;
    for (const [seed, run] of group.outcomes[policy]!.runs.entries()) {
      const own = comparison.runs[run]!.result;
      const base = comparison.runs[group.baseline[seed]!]!.result;
      if (own === null || base === null) continue;
      all++;
      if (own.time.totalNs / base.time.totalNs <= bound) held++;
    }
  }
  return all === 0 ? 0 : held / all;
}

function failure(comparison: Comparison, machine: number, policy: number): UserError {
  const failed = comparison.runs.find((run) => {
    return run.failure !== null && run.machine === machine && [policy, -1].includes(run.policy);
  });
  const reason = failed?.failure?.message ?? 'it did not finish';
  return new UserError(comparison.policies[policy]!.label, reason, 'leave it out with --policy');
}
