/**
 * Puts the results of a plan's runs together: slowdowns by seed, medians, the best of each group,
 * the verdict. The only maker of a Comparison.
 */
import { assert } from '../base/assert.ts';
import { experimentalNote, type MachineSpec } from '../hw/index.ts';
import type { Catalogue } from './catalogue.ts';
import {
  COMPARISON_FORMAT,
  type Comparison,
  type GroupRecord,
  hundredths,
  type MachineRecord,
  type PolicyOutcome,
  type PolicyRecord,
  type RunFailure,
  type RunRecord,
  runLabel,
  type TraceProvenance,
  type WorkloadRecord,
} from './comparison.ts';
import { type Experiment, formatRatio, type MachineChoice } from './experiment.ts';
import { formatShare } from './format.ts';
import { heatVerdict, isObservation } from './heatVerdict.ts';
import { pictureOf, tierNames } from './machinePicture.ts';
import type { Plan, PlannedGroup } from './plan.ts';
import type { RunResult, WorkloadSpec } from './runTypes.ts';
import { medianIndex, spreadOf } from './statistics.ts';
import { verdictOf } from './verdict.ts';

/** How a run ended. */
export type RunOutcome =
  | { readonly result: RunResult; readonly failure?: undefined }
  | { readonly failure: RunFailure; readonly result?: undefined };

/** What is known about each workload before its runs. */
export interface WorkloadFacts {
  readonly footprintPages: number;
  readonly provenance: TraceProvenance | null;
  /** Of the programs that run at the same time; [] = it is one program. */
  readonly programs: readonly WorkloadFacts[];
}

export interface SummaryInputs {
  readonly experiment: Experiment;
  readonly plan: Plan;
  /** By index of experiment.machines. */
  readonly machines: readonly MachineSpec[];
  /** By index of experiment.workloads. */
  readonly workloads: readonly WorkloadFacts[];
  /** By index of plan.runs. */
  readonly outcomes: readonly RunOutcome[];
  readonly catalogue: Catalogue;
  readonly version: string;
  readonly command: string;
}

export function summarise(inputs: SummaryInputs): Comparison {
  const { experiment, plan, outcomes, version, command } = inputs;
  assert(outcomes.length === plan.runs.length, 'summarise: an outcome for each planned run');
  const policies = policyRecords(experiment, inputs.catalogue);
  const runs = plan.runs.map(({ workload, machine, policy, seed }, i): RunRecord => {
    const { result = null, failure = null } = outcomes[i]!;
    return { workload, machine, policy, seed, result, failure };
  });
  const unsaid: Comparison = {
    format: COMPARISON_FORMAT,
    hetmem: version,
    name: experiment.name,
    question: experiment.question,
    verdict: '',
    warnings: [],
    command,
    seeds: experiment.seeds,
    machines: machineRecords(experiment, inputs.machines),
    workloads: workloadRecords(experiment, inputs.workloads),
    policies,
    groups: plan.groups.map((group) => groupRecord(group, runs, policies)),
    runs,
  };
  const ofMachines = inputs.machines.flatMap(machineNotes);
  const warnings = [...new Set(ofMachines), ...warningsOf(unsaid)];
  if (!isObservation(unsaid)) return { ...unsaid, verdict: verdictOf(unsaid), warnings };
  return { ...unsaid, verdict: heatVerdict(unsaid), warnings };
}

/** Of its accesses an all-DRAM run may make as many to slow memory without being called wrong. */
const SLOW_SHARE_MAX = 0.0005;

/** Said beside all results of a machine: features that Linux has not (D9..D11), a single node. */
function machineNotes(spec: MachineSpec): string[] {
  const { name, experimental = [] } = spec;
  const nodes = spec.nodes.filter(({ zones }) => zones.length > 0);
  return [
    ...(experimental.length === 0 ? [] : [`${name}: ${experimentalNote(experimental)}`]),
    ...(nodes.length > 1 ? [] : [`${name}: one node has all memory, so nothing can migrate`]),
  ];
}

function warningsOf(comparison: Comparison): string[] {
  return [...slowBaselines(comparison), ...warningsOfRuns(comparison)];
}

/** Warnings of a policy's runs on a machine, each once. Indices of the comparison's lists. */
export function warningsOfPolicy(
  { runs }: Comparison,
  machine: number,
  policy: number,
): readonly string[] {
  const own = runs.filter((run) => run.machine === machine && run.policy === policy);
  return [...new Set(own.flatMap((run) => run.result?.warnings ?? []))];
}

/** Each warning of the runs once, with the policies and workloads that it is about. */
function warningsOfRuns({ runs, policies, workloads }: Comparison): string[] {
  const about = new Map<string, Set<string>>();
  for (const run of runs) {
    for (const warning of run.policy < 0 ? [] : (run.result?.warnings ?? [])) {
      const text = `${policies[run.policy]!.label}: ${warning}`;
      about.set(text, (about.get(text) ?? new Set()).add(workloads[run.workload]!.name));
    }
  }
  return [...about].map(([text, names]) => `${text} (${[...names].join(', ')})`);
}

/** An all-DRAM run that met slow memory is none: everything measured against it looks too good. */
function slowBaselines(comparison: Comparison): string[] {
  return comparison.runs.flatMap((run) => {
    if (run.policy >= 0 || run.result === null) return [];
    const share = 1 - run.result.toptierHitRatio;
    if (share <= SLOW_SHARE_MAX) return [];
    const who = runLabel(comparison, run);
    return [
      `${who}: ${formatShare(share)} of the accesses went to slow memory: slowdowns too small`,
    ];
  });
}

function policyRecords(experiment: Experiment, catalogue: Catalogue): PolicyRecord[] {
  return experiment.policies.map((policy) => {
    const known = catalogue.policies.find(({ name }) => name === policy.name);
    return { ...policy, purpose: known?.purpose ?? '', isOracle: known?.isOracle ?? false };
  });
}

function machineRecords(experiment: Experiment, specs: readonly MachineSpec[]): MachineRecord[] {
  const isOneMachine = new Set(experiment.machines.map(({ machine }) => machine)).size === 1;
  return experiment.machines.map((choice, i) => {
    const picture = pictureOf(specs[i]!);
    return {
      label: machineLabel(choice, specs[i]!, isOneMachine),
      ratio: ratioText(choice),
      picture,
    };
  });
}

function ratioText({ ratio }: MachineChoice): string {
  return ratio === null ? '' : formatRatio(ratio);
}

function machineLabel(choice: MachineChoice, spec: MachineSpec, isOneMachine: boolean): string {
  if (choice.ratio === null) return spec.name;
  const { fast, slow } = tierNames(pictureOf(spec));
  // A machine of one kind has no ratio; what it was asked for still needs a name.
  const kinds = [fast, slow].filter((kind) => kind !== '').join(':');
  const ratio = `${kinds} ${ratioText(choice)}`;
  return isOneMachine ? ratio : `${spec.name} ${ratio}`;
}

function workloadRecords(
  experiment: Experiment,
  facts: readonly WorkloadFacts[],
): WorkloadRecord[] {
  return experiment.workloads.map((workload, i) => {
    const programs = facts[i]!.programs.map((program, n) => {
      return programRecord(workload.together![n]!, program);
    });
    return { ...programRecord(workload, facts[i]!), programs };
  });
}

function programRecord({ name, generator, params }: WorkloadSpec, facts: WorkloadFacts) {
  const { footprintPages, provenance } = facts;
  return { name, generator, params, footprintPages, provenance };
}

function groupRecord(
  group: PlannedGroup,
  runs: readonly RunRecord[],
  policies: readonly PolicyRecord[],
): GroupRecord {
  const baselineNs = group.baseline.map((run) => runs[run]!.result?.time.totalNs ?? 0);
  const finished = baselineNs.filter((ns) => ns > 0);
  const outcomes = group.runs.map((own, policy) => outcomeOf(policy, own, runs, baselineNs));
  return {
    workload: group.workload,
    machine: group.machine,
    baseline: group.baseline,
    baselineNs: finished.length > 0 ? spreadOf(finished) : null,
    outcomes: withBest(outcomes, policies),
  };
}

/** `baselineNs`: by seed, 0 = that all-DRAM run did not finish. */
function outcomeOf(
  policy: number,
  own: readonly number[],
  runs: readonly RunRecord[],
  baselineNs: readonly number[],
): PolicyOutcome {
  const finished = own.filter((run) => runs[run]!.result !== null);
  const timeOf = (run: number) => runs[run]!.result!.time.totalNs;
  const compared = own.filter((run, i) => finished.includes(run) && baselineNs[i]! > 0);
  const slowdowns = compared.map((run) => timeOf(run) / baselineNs[own.indexOf(run)]!);
  let representative = -1;
  if (slowdowns.length > 0) representative = compared[medianIndex(slowdowns)]!;
  else if (finished.length > 0) representative = finished[medianIndex(finished.map(timeOf))]!;
  const slowdown = slowdowns.length > 0 ? spreadOf(slowdowns) : null;
  return { policy, runs: own, slowdown, representative, isBest: false };
}

function withBest(
  outcomes: readonly PolicyOutcome[],
  policies: readonly PolicyRecord[],
): readonly PolicyOutcome[] {
  if (isObservation({ policies })) return outcomes;
  const competing = outcomes.filter(
    ({ policy, slowdown }) => slowdown !== null && !policies[policy]!.isOracle,
  );
  const best = Math.min(...competing.map(({ slowdown }) => hundredths(slowdown!.median)));
  return outcomes.map((outcome) => {
    const isBest = competing.includes(outcome) && hundredths(outcome.slowdown!.median) === best;
    return { ...outcome, isBest };
  });
}
