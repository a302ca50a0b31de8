/**
 * From an experiment to its runs: every policy with every seed for each workload on each machine,
 * and the all-DRAM runs that slowdowns are measured against.
 *
 * How: machines are sized for each workload (machineSizing.ts) by its footprint with the first
 * seed, so that all seeds see the same machine. The all-DRAM run of a workload does not depend on
 * the ratio, so ratios share it. A run that cannot be made says why and stays in the plan: it is
 * reported as failed, and the others go on.
 * Order: workloads, then machines, then the all-DRAM runs, then policies, then seeds; results keep
 * this order, whichever run is done first.
 */
import { UserError } from '../base/assert.ts';
import type { MachineSpec } from '../hw/index.ts';
import type { Experiment, MachineChoice } from './experiment.ts';
import { allFast, type MemoryNeed, withRatio } from './machineSizing.ts';
import type { PolicyChoice, RunSpec, WorkloadSpec } from './runTypes.ts';

/** What the all-DRAM run does: pages stay where they are first touched, and there is room. */
export const BASELINE_POLICY: PolicyChoice = { name: 'first-touch', params: {} };
/** Index of BASELINE_POLICY among the policies of an experiment. */
export const BASELINE = -1;

export interface PlannedRun {
  /** Indices into the experiment; policy may be BASELINE. */
  readonly workload: number;
  readonly machine: number;
  readonly policy: number;
  readonly seed: number;
  /** null = it cannot be made; `problem` says why. */
  readonly spec: RunSpec | null;
  readonly problem: string;
}

/** One workload on one machine: what is compared with each other. */
export interface PlannedGroup {
  readonly workload: number;
  readonly machine: number;
  /** Indices of runs, by seed. */
  readonly baseline: readonly number[];
  /** Indices of runs, [policy][seed]. */
  readonly runs: readonly (readonly number[])[];
}

export interface Plan {
  readonly groups: readonly PlannedGroup[];
  readonly runs: readonly PlannedRun[];
}

/** What must be known of the outside to plan. */
export interface PlanInputs {
  /** The machine of each choice as its file has it, by index of experiment.machines. */
  readonly machines: readonly MachineSpec[];
  /** What each workload takes at most, by index of experiment.workloads. */
  readonly needs: readonly MemoryNeed[];
  /**
   * Misses a core can have in flight, by index of experiment.workloads; null = as the machine has
   * it. A chase of pointers has one, on whichever machine.
   */
  readonly memoryParallelism: readonly (number | null)[];
}

/** All runs of `experiment`, in the order of their results. */
export function planRuns(experiment: Experiment, inputs: PlanInputs): Plan {
  const planner = new Planner(experiment, inputs);
  for (const workload of experiment.workloads.keys()) {
    for (const machine of experiment.machines.keys()) planner.addGroup(workload, machine);
  }
  return { groups: planner.groups, runs: planner.runs };
}

type Sized = { readonly spec: MachineSpec | null; readonly problem: string };

class Planner {
  readonly groups: PlannedGroup[] = [];
  readonly runs: PlannedRun[] = [];
  readonly #experiment: Experiment;
  readonly #inputs: PlanInputs;
  /** workload and machine file -> runs of its all-DRAM machine. */
  readonly #baselines = new Map<string, readonly number[]>();

  constructor(experiment: Experiment, inputs: PlanInputs) {
    this.#experiment = experiment;
    this.#inputs = inputs;
  }

  addGroup(workload: number, machine: number): void {
    const { policies } = this.#experiment;
    const baseline = this.#baselineOf(workload, machine);
    const choice = this.#experiment.machines[machine]!;
    const sized = sizedAs(() => this.#sized(choice, workload, machine));
    const runs = policies.map((policy, i) => {
      const { name, params } = policy;
      return this.#addRuns(workload, machine, i, { name, params }, sized);
    });
    this.groups.push({ workload, machine, baseline, runs });
  }

  #sized({ ratio, headroom }: MachineChoice, workload: number, machine: number): MachineSpec {
    const base = this.#inputs.machines[machine]!;
    return ratio === null ? base : withRatio(base, ratio, headroom, this.#inputs.needs[workload]!);
  }

  #baselineOf(workload: number, machine: number): readonly number[] {
    const key = `${workload} ${this.#experiment.machines[machine]!.machine}`;
    const known = this.#baselines.get(key);
    if (known !== undefined) return known;
    const base = this.#inputs.machines[machine]!;
    const sized = sizedAs(() => allFast(base, this.#inputs.needs[workload]!));
    const runs = this.#addRuns(workload, machine, BASELINE, BASELINE_POLICY, sized);
    this.#baselines.set(key, runs);
    return runs;
  }

  #addRuns(
    workload: number,
    machine: number,
    policy: number,
    choice: PolicyChoice,
    sized: Sized,
  ): number[] {
    const { seeds, workloads, seriesPoints } = this.#experiment;
    const parallelism = this.#inputs.memoryParallelism[workload] ?? null;
    return seeds.map((seed) => {
      const { spec: machineSpec, problem } = sized;
      const spec =
        machineSpec === null
          ? null
          : {
              machine: withParallelism(machineSpec, parallelism),
              policy: choice,
              workload: policy === BASELINE ? unbound(workloads[workload]!) : workloads[workload]!,
              seed,
              seriesPoints,
            };
      this.runs.push({ workload, machine, policy, seed, spec, problem });
      return this.runs.length - 1;
    });
  }
}

/** All-DRAM is for every program: no cpuset keeps one from it. */
function unbound(workload: WorkloadSpec): WorkloadSpec {
  const { together, cgroup } = workload;
  return {
    ...workload,
    ...(together === undefined ? {} : { together: together.map(unbound) }),
    ...(cgroup === undefined ? {} : { cgroup: { name: cgroup.name, mems: [] } }),
  };
}

function withParallelism(spec: MachineSpec, parallelism: number | null): MachineSpec {
  if (parallelism === null) return spec;
  return { ...spec, costs: { ...spec.costs, memoryParallelism: parallelism } };
}

/** The machine, or what the user must be told about it. */
function sizedAs(make: () => MachineSpec): Sized {
  try {
    return { spec: make(), problem: '' };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { spec: null, problem: error.message };
  }
}
