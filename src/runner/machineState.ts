/**
 * The modelled machine in the middle of one run of an experiment, for saved states: the run is done
 * again up to that time, in this thread.
 */
import { UserError } from '../base/assert.ts';
import type { Nanoseconds } from '../base/units.ts';
import { BASELINE, type Experiment, type RunSpec } from '../experiment/index.ts';
import type { Kernel } from '../mm/index.ts';
import { kernelAt } from '../sim/index.ts';
import type { Library } from './library.ts';
import { planExperiment } from './runExperiment.ts';
import { openSource, placeOf } from './workloads.ts';

/** One run of an experiment. */
export interface NumberedRun {
  /** From 1, in the order of results; all-DRAM runs have none. */
  readonly number: number;
  /** "hemem, 1:2, redis, seed 1". */
  readonly name: string;
  /** null: it cannot be made; `problem` says why. */
  readonly spec: RunSpec | null;
  readonly problem: string;
  readonly tracePaths: readonly string[];
}

/** The runs of policies. Errors: UserError for a machine or trace that cannot be opened. */
export async function numberedRuns(
  experiment: Experiment,
  library: Library,
): Promise<NumberedRun[]> {
  const { plan } = await planExperiment(experiment, library);
  const runs = plan.runs.filter(({ policy }) => policy !== BASELINE);
  return runs.map(({ workload, machine, policy, seed, spec, problem }, n) => {
    const { name } = experiment.workloads[workload]!;
    const { ratio, machine: machineName } = experiment.machines[machine]!;
    const size = ratio === null ? machineName : `${machineName} ${ratio.fast}:${ratio.slow}`;
    return {
      number: n + 1,
      name: `${experiment.policies[policy]!.label}, ${size}, ${name}, seed ${seed}`,
      spec,
      problem,
      tracePaths: placeOf(experiment.workloads[workload]!, library).tracePaths,
    };
  });
}

/** The kernel when the run's clock has reached `atNs`, or at its end. Errors: UserError. */
export async function machineAt(run: NumberedRun, atNs: Nanoseconds): Promise<Kernel> {
  const { spec, tracePaths, problem, name } = run;
  if (spec === null) throw new UserError(name, problem);
  const place = { workload: spec.workload, tracePaths };
  const { source, close } = await openSource(place, spec.seed);
  try {
    return kernelAt(spec, source, atNs);
  } finally {
    close();
  }
}
