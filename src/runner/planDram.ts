/**
 * How little fast memory holds a bound on the slowdown (hetmem plan): rounds of experiments, each
 * of which tries one more size for every policy, halving what is left (experiment/dramSearch.ts).
 * Then the best policy's knobs are changed one at a time at its size; what gained is looked for a
 * smaller size as a policy of its own, and so on for some rounds.
 */
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import {
  type Comparison,
  DRAM_PLAN_FORMAT,
  type DramPlan,
  defaultLabel,
  type Experiment,
  FIRST_SHARES,
  hundredths,
  type KnobEffect,
  knobVariants,
  type LabelledPolicy,
  memoryShare,
  NO_HEADROOM,
  nextShare,
  oneTier,
  type PlannedPolicy,
  type Prices,
  pictureOf,
  pricePerGib,
  smallestShare,
  type TriedShare,
  tierNames,
  tierNodes,
  tunableKnobs,
  type WorkloadSpec,
  warningsOfPolicy,
} from '../experiment/index.ts';
import {
  findPolicy,
  type KnobValue,
  machineSettings,
  resolveKnobs,
  type TierNodes,
} from '../policy/index.ts';
import { type RunExperimentOptions, runExperiment } from './runExperiment.ts';

export interface DramQuestion {
  readonly machine: string;
  readonly policies: readonly LabelledPolicy[];
  readonly workloads: readonly WorkloadSpec[];
  readonly seeds: readonly number[];
  readonly bound: number;
  readonly resolution: number;
  /** Times that knobs of the best policy are searched; 0 = they are only looked at. */
  readonly knobRounds: number;
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
    const { problem, remedy } = oneTier(spec);
    throw new UserError(spec.name, problem, remedy);
  }
  const prices: Prices = {
    fast: pricePerGib(spec, tiers.fast),
    slow: pricePerGib(spec, tiers.slow),
  };
  const search = new DramSearch(question, options);
  const planned = () => plannedPolicies(search, question.bound, prices, library);
  await search.run(
    search.policies.map((_, i) => i),
    FIRST_SHARES,
  );
  let policies = planned();
  let best = bestOf(policies);
  let sensitivity: KnobEffect[] = [];
  for (let round = 0; best >= 0; round++) {
    sensitivity = await search.sensitivity(policies[best]!);
    const variants =
      round < question.knobRounds ? betterVariants(policies[best]!, sensitivity) : [];
    const added = variants.filter((variant) => search.add(variant));
    if (added.length === 0) break;
    await search.tryVariants(added.length, policies[best]!.smallest!.share);
    policies = planned();
    const next = bestOf(policies);
    if (next === best) break;
    best = next;
  }
  return {
    format: DRAM_PLAN_FORMAT,
    hetmem: library.version,
    command: options.command,
    machine: spec.name,
    tiers: tierNames(pictureOf(spec)),
    workloads: question.workloads.map(({ name }, i) => {
      return { name, footprintBytes: search.footprints[i]! };
    }),
    seeds: question.seeds,
    bound: question.bound,
    resolution: question.resolution,
    policies,
    best,
    sensitivity,
    settings: best < 0 ? [] : settingsOf(policies[best]!.policy, tiers),
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

function settingsOf(choice: LabelledPolicy, nodes: TierNodes): string[] {
  const description = findPolicy(choice.name)!;
  const { values } = resolveKnobs(description.knobs, choice.params);
  return machineSettings(description, values, nodes);
}

/** What was tried of each policy, and what it comes to. */
function plannedPolicies(
  { policies, tried, footprints }: DramSearch,
  bound: number,
  prices: Prices,
  { catalogue }: RunExperimentOptions['library'],
): PlannedPolicy[] {
  const largest = Math.max(...footprints);
  return policies.map((policy, i): PlannedPolicy => {
    const ascending = [...tried[i]!].sort((a, b) => a.share - b.share);
    const smallest = smallestShare(ascending, bound);
    const known = catalogue.policies.find(({ name }) => name === policy.name);
    const memory = memoryShare(largest, smallest?.share ?? 1, prices);
    return { policy, isOracle: known?.isOracle ?? false, tried: ascending, smallest, memory };
  });
}

/**
 * The policy with the change of a knob that gains most, and with the best of every knob that gains.
 * None if the smallest first share holds already: less is not looked for.
 */
function betterVariants(
  { policy, smallest }: PlannedPolicy,
  effects: readonly KnobEffect[],
): LabelledPolicy[] {
  const { share, slowdown } = smallest!;
  if (share <= Math.min(...FIRST_SHARES)) return [];
  const gains = effects.filter((one): one is KnobEffect & { slowdown: number } => {
    return one.slowdown !== null && hundredths(one.slowdown) < hundredths(slowdown.median);
  });
  const ranked = [...gains].sort((a, b) => a.slowdown - b.slowdown);
  const all: Record<string, KnobValue> = {};
  for (const { knob, value } of ranked) all[knob] ??= value;
  const [first] = ranked;
  const changes = first === undefined ? [] : [{ [first.knob]: first.value }, all];
  return changes.map((change) => {
    const choice = { name: policy.name, params: { ...policy.params, ...change } };
    return { ...choice, label: defaultLabel(choice) };
  });
}

class DramSearch {
  /** Those of the question, and variants that were added. */
  readonly policies: LabelledPolicy[];
  /** By policy, in the order in which they were tried. */
  readonly tried: TriedShare[][];
  /** By workload, bytes; known after the first round. */
  footprints: readonly number[] = [];
  readonly #question: DramQuestion;
  readonly #options: PlanDramOptions;

  constructor(question: DramQuestion, options: PlanDramOptions) {
    this.#question = question;
    this.#options = options;
    this.policies = [...question.policies];
    this.tried = question.policies.map(() => []);
  }

  /** Adds a policy unless it is there already. */
  add(policy: LabelledPolicy): boolean {
    if (this.policies.some(({ label }) => label === policy.label)) return false;
    this.policies.push(policy);
    this.tried.push([]);
    return true;
  }

  /** Looks for sizes up to `share` for the policies added last. */
  async tryVariants(count: number, share: number): Promise<void> {
    const indices = this.policies.map((_, i) => i).slice(-count);
    const shares = [...FIRST_SHARES.filter((one) => one < share), share];
    await this.run(indices, shares);
  }

  /** Tries `shares` for the policies `indices`, then closer to where the bound holds. */
  async run(indices: readonly number[], shares: readonly number[]): Promise<void> {
    const { bound, resolution } = this.#question;
    this.#options.onStage('first sizes');
    await this.#try(indices, shares);
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const wanted = indices.map((i) => nextShare(this.tried[i]!, bound, resolution));
      if (wanted.every((share) => share === null)) return;
      this.#options.onStage(`closer, round ${round}`);
      for (const share of new Set(wanted)) {
        if (share === null) continue;
        const those = indices.filter((_, n) => wanted[n] === share);
        await this.#try(those, [share]);
      }
    }
  }

  /** The best policy with one knob changed, each. */
  async sensitivity({ policy, smallest }: PlannedPolicy): Promise<KnobEffect[]> {
    const { knobs } = findPolicy(policy.name)!;
    const { values } = resolveKnobs(knobs, policy.params);
    const variants = tunableKnobs(knobs, values).flatMap((knob) => {
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
    const { seeds } = this.#question;
    const chosen = indices.map((i) => this.policies[i]!);
    const comparison = await this.#experiment(chosen, shares, seeds);
    this.footprints = comparison.workloads.map(({ footprintPages }) => footprintPages * PAGE_SIZE);
    for (const [machine, share] of shares.entries()) {
      for (const [i, policy] of indices.entries()) {
        const slowdown = worst(comparison, machine, i);
        // Too small to run in is too small; what never runs has another reason.
        if (slowdown === null) continue;
        const confidence = heldShare(comparison, machine, i, this.#question.bound);
        const warnings = warningsOfPolicy(comparison, machine, i);
        this.tried[policy]!.push({ share, slowdown, confidence, warnings });
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
