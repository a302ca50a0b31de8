/**
 * hetmem tune: rounds of experiments, each of which tries changes of one policy's knobs
 * (experiment/tuning.ts). Runs that a journal holds are not done again, so that a search that was
 * stopped goes on where it was.
 */
import { UserError } from '../base/assert.ts';
import {
  bestTry,
  type Comparison,
  type LabelledPolicy,
  type MachineChoice,
  type TriedKnobs,
  TUNING_FORMAT,
  type Tuning,
  type TuningRound,
  tierNodes,
  variantsOf,
  type WorkloadSpec,
  warningsOfPolicy,
} from '../experiment/index.ts';
import { findPolicy, type KnobValue, machineSettings, resolveKnobs } from '../policy/index.ts';
import { type RunExperimentOptions, runExperiment } from './runExperiment.ts';

export interface TuneQuestion {
  readonly machine: MachineChoice;
  readonly ratio: string;
  readonly policy: LabelledPolicy;
  readonly workloads: readonly WorkloadSpec[];
  readonly seeds: readonly number[];
  /** A step must gain this share of the slowdown. */
  readonly minGain: number;
  readonly roundsMax: number;
}

export interface TuneOptions extends RunExperimentOptions {
  readonly onStage: (what: string) => void;
}

type Params = Readonly<Record<string, KnobValue>>;

/** Errors: UserError as runExperiment; for a policy without knobs; when its first run fails. */
export async function tunePolicy(question: TuneQuestion, options: TuneOptions): Promise<Tuning> {
  const { policy, machine, workloads, seeds, minGain, roundsMax } = question;
  const description = findPolicy(policy.name)!;
  const { knobs } = description;
  if (knobs.length === 0) {
    throw new UserError(
      `policy ${policy.name}`,
      'has no knobs',
      'hetmem policies lists those of all',
    );
  }
  const initial = resolveKnobs(knobs, policy.params).values;
  let params: Params = {};
  let gains: readonly TriedKnobs[] = [];
  const rounds: TuningRound[] = [];
  let before: Place | null = null;
  let at: Place | null = null;
  let isSettled = false;
  while (rounds.length < roundsMax && !isSettled) {
    const values = { ...initial, ...params };
    const variants = variantsOf(knobs, values, gains);
    options.onStage(`round ${rounds.length + 1}`);
    const all = [params, ...variants.map((changes) => ({ ...params, ...changes }))];
    const comparison = await compare(question, all, options);
    at = placeOf(comparison, 0);
    if (at === null) throw failure(comparison, policy.label);
    before ??= at;
    const tried = variants.map((changes, i) => {
      return { changes, slowdown: placeOf(comparison, i + 1)?.slowdown ?? null };
    });
    const round = { slowdown: at.slowdown, tried };
    rounds.push(round);
    const best = bestTry(round, minGain);
    isSettled = best === null;
    if (best === null) break;
    gains = tried.filter((one) => one.slowdown !== null && one.slowdown < at!.slowdown);
    params = { ...params, ...best.changes };
    at = placeOf(comparison, 1 + tried.indexOf(best));
  }
  const spec = await options.library.machine(machine.machine);
  const changed = Object.entries(params).filter(([name, value]) => initial[name] !== value);
  const tuned = resolveKnobs(knobs, { ...policy.params, ...Object.fromEntries(changed) }).values;
  return {
    format: TUNING_FORMAT,
    hetmem: options.library.version,
    command: options.command,
    machine: machine.machine,
    ratio: question.ratio,
    policy: policy.name,
    workloads: workloads.map(({ name }) => name),
    seeds,
    slowdownBefore: before!.slowdown,
    slowdown: at!.slowdown,
    confidence: fasterShare(before!.times, at!.times),
    params: { ...policy.params, ...Object.fromEntries(changed) },
    initial,
    rounds,
    isSettled,
    warnings: at!.warnings,
    settings: machineSettings(description, tuned, tierNodes(spec)),
  };
}

/** A policy with knobs, as it did. */
interface Place {
  /** The median of the program that suffers most. */
  readonly slowdown: number;
  /** Virtual time of each run. */
  readonly times: readonly number[];
  readonly warnings: readonly string[];
}

function compare(
  { machine, policy, workloads, seeds }: TuneQuestion,
  all: readonly Params[],
  options: TuneOptions,
): Promise<Comparison> {
  const policies = all.map((changes, i) => {
    return { name: policy.name, params: { ...policy.params, ...changes }, label: `try ${i}` };
  });
  const experiment = { name: 'tune', question: '', machines: [machine], policies, workloads };
  return runExperiment({ ...experiment, seeds, seriesPoints: 0 }, options);
}

function placeOf(comparison: Comparison, policy: number): Place | null {
  let slowdown = 0;
  const times: number[] = [];
  for (const group of comparison.groups) {
    const outcome = group.outcomes[policy]!;
    if (outcome.slowdown === null) return null;
    slowdown = Math.max(slowdown, outcome.slowdown.median);
    for (const run of outcome.runs) {
      const result = comparison.runs[run]!.result;
      if (result === null) return null;
      times.push(result.time.totalNs);
    }
  }
  return { slowdown, times, warnings: warningsOfPolicy(comparison, 0, policy) };
}

function fasterShare(before: readonly number[], after: readonly number[]): number {
  const faster = after.filter((ns, i) => ns < before[i]!).length;
  return after.length === 0 ? 0 : faster / after.length;
}

function failure(comparison: Comparison, label: string): UserError {
  const failed = comparison.runs.find((run) => run.failure !== null);
  return new UserError(
    label,
    failed?.failure?.message ?? 'it did not finish',
    'begin with other knobs',
  );
}
