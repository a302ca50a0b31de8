/**
 * Whether the names of an experiment mean something: policies, knobs, generators, machines, traces.
 * Used for files and for command lines alike; who calls says where a field stands.
 */
import { suggestion } from '../base/closestWord.ts';
import { type Knob, type KnobValue, resolveKnobs } from '../policy/index.ts';
import { type Catalogue, isMachinePath, isTracePath } from './catalogue.ts';
import type { Experiment } from './experiment.ts';
import type { PolicyChoice, WorkloadSpec } from './runTypes.ts';
import type { FieldPath } from './yamlFile.ts';

/** Takes a problem of the field at `path`. */
export type ReportProblem = (path: FieldPath, message: string, remedy: string) => void;

type Params = Readonly<Record<string, KnobValue>>;

/** Reports every name of `experiment` that `catalogue` does not have, and what is there twice. */
export function checkExperiment(
  experiment: Experiment,
  catalogue: Catalogue,
  report: ReportProblem,
): void {
  for (const [i, { machine }] of experiment.machines.entries()) {
    if (isMachinePath(machine) || catalogue.machines.includes(machine)) continue;
    report(['machines', i], `no machine ${machine}`, suggestion(machine, catalogue.machines));
  }
  for (const [i, policy] of experiment.policies.entries()) {
    checkPolicy(policy, catalogue, (path, ...rest) => report(['policies', i, ...path], ...rest));
  }
  for (const [i, workload] of experiment.workloads.entries()) {
    checkWorkload(workload, catalogue, (path, ...rest) =>
      report(['workloads', i, ...path], ...rest),
    );
  }
  reportTwins(
    'policies',
    experiment.policies.map(({ label }) => label),
    report,
  );
  reportTwins(
    'workloads',
    experiment.workloads.map(({ name }) => name),
    report,
  );
  reportTwins('seeds', experiment.seeds.map(String), report);
}

function checkPolicy(policy: PolicyChoice, catalogue: Catalogue, report: ReportProblem): void {
  const known = catalogue.policies.find(({ name }) => name === policy.name);
  if (known === undefined) {
    const names = catalogue.policies.map(({ name }) => name);
    report([], `no policy ${policy.name}`, suggestion(policy.name, names));
    return;
  }
  checkParams(policy.params, known.knobs, report);
}

function checkWorkload(workload: WorkloadSpec, catalogue: Catalogue, report: ReportProblem): void {
  if (workload.together !== undefined) {
    for (const program of workload.together) checkWorkload(program, catalogue, report);
    checkCgroups(workload.together, report);
    return;
  }
  if (workload.trace !== '') {
    if (isTracePath(workload.trace) || catalogue.traces.includes(workload.trace)) return;
    report([], `no trace ${workload.trace}`, suggestion(workload.trace, catalogue.traces));
    return;
  }
  const known = catalogue.generators.find(({ name }) => name === workload.generator);
  if (known === undefined) {
    const names = catalogue.generators.map(({ name }) => name);
    report([], `no generator ${workload.generator}`, suggestion(workload.generator, names));
    return;
  }
  checkParams(workload.params, known.knobs, report);
}

/** A group that several programs share has one cpuset. */
function checkCgroups(programs: readonly WorkloadSpec[], report: ReportProblem): void {
  const mems = new Map<string, string>();
  for (const { cgroup } of programs) {
    if (cgroup === undefined) continue;
    const [own, before] = [cgroup.mems.join(','), mems.get(cgroup.name)];
    mems.set(cgroup.name, own);
    if (before === undefined || before === own) continue;
    report([], `cgroup ${cgroup.name} has two cpuset.mems`, 'give both programs the same mems=');
  }
}

function checkParams(params: Params, knobs: readonly Knob[], report: ReportProblem): void {
  const names = knobs.map(({ name }) => name);
  for (const { name, problem, remedy } of resolveKnobs(knobs, params).problems) {
    report(
      ['params', name],
      problem,
      names.includes(name) ? remedy : suggestion(name, names, remedy),
    );
  }
}

function reportTwins(field: string, names: readonly string[], report: ReportProblem): void {
  for (const [i, name] of names.entries()) {
    if (names.indexOf(name) === i) continue;
    const remedy = field === 'seeds' ? 'remove one' : 'remove one, or give it a name of its own';
    report([field, i], `${name} is there twice`, remedy);
  }
}
