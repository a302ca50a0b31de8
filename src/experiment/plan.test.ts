import { beforeAll, describe, expect, it } from 'vitest';
import { fabricateExperiment, fabricateMachine, NEED } from '../../test/experiment/fabricate.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { type MachineSpec, nodeManagedBytes } from '../hw/index.ts';
import type { Experiment } from './experiment.ts';
import { ampleBytes } from './machineSizing.ts';
import { BASELINE, planRuns } from './plan.ts';

let machine: MachineSpec;
beforeAll(async () => {
  machine = await fabricateMachine();
});

function planOf(fields: Partial<Experiment>, footprintBytes = NEED.footprintBytes) {
  const experiment = fabricateExperiment(fields);
  return planRuns(experiment, {
    machines: experiment.machines.map(() => machine),
    needs: experiment.workloads.map(() => ({ ...NEED, footprintBytes })),
    memoryParallelism: [null, 1],
  });
}

describe('planRuns', () => {
  it('is workloads x machines x policies x seeds, and one all-DRAM run a workload and seed', () => {
    const plan = planOf({ seeds: [1, 2, 3] });
    expect(plan.groups).toHaveLength(4);
    const baselines = plan.runs.filter(({ policy }) => policy === BASELINE);
    expect(baselines.map(({ workload, seed }) => [workload, seed])).toEqual([
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 1],
      [1, 2],
      [1, 3],
    ]);
    expect(plan.runs).toHaveLength(6 + 4 * 5 * 3);
    expect(plan.groups[1]!.baseline).toEqual(plan.groups[0]!.baseline);
    expect(plan.groups[2]!.baseline).not.toEqual(plan.groups[0]!.baseline);
  });

  it('orders runs by workload, machine, policy, seed, and groups point at their own', () => {
    const plan = planOf({ seeds: [5, 6] });
    const order = plan.runs.map((run) => [run.workload, run.machine, run.policy, run.seed]);
    expect(order.slice(0, 5)).toEqual([
      [0, 0, BASELINE, 5],
      [0, 0, BASELINE, 6],
      [0, 0, 0, 5],
      [0, 0, 0, 6],
      [0, 0, 1, 5],
    ]);
    for (const group of plan.groups) {
      group.runs.forEach((runs, policy) => {
        expect(runs.map((run) => plan.runs[run])).toMatchObject([
          { workload: group.workload, machine: group.machine, policy, seed: 5 },
          { workload: group.workload, machine: group.machine, policy, seed: 6 },
        ]);
      });
    }
  });

  it('gives each run the machine of its ratio, and the all-DRAM run one with room', () => {
    const plan = planOf({});
    const dram = (run: number) => nodeManagedBytes(plan.runs[run]!.spec!.machine.nodes[0]!);
    const { footprintBytes } = NEED;
    expect(dram(plan.groups[0]!.runs[0]![0]!)).toBe(footprintBytes / 3);
    expect(dram(plan.groups[1]!.runs[0]![0]!)).toBe(footprintBytes / 9);
    expect(dram(plan.groups[0]!.baseline[0]!)).toBe(ampleBytes(NEED));
    expect(plan.runs[0]!.spec!.policy).toEqual({ name: 'first-touch', params: {} });
  });

  it('takes a machine without ratio as it is', () => {
    const plan = planOf({
      machines: [{ machine: 'test-machine', ratio: null, headroom: { bytes: 0, share: 0 } }],
    });
    expect(plan.runs[plan.groups[0]!.runs[0]![0]!]!.spec!.machine).toBe(machine);
  });

  it('keeps no program of an all-DRAM run from DRAM by its cpuset', () => {
    const program = { name: 'a', trace: '', generator: 'gups', params: {} };
    const bound = { ...program, cgroup: { name: 'batch', mems: [1] } };
    const workload = { ...program, name: 'a+b', together: [program, bound] };
    const { groups, runs } = planOf({ workloads: [workload, bound] });
    const specOf = (run: number) => runs[run]!.spec!.workload;
    expect(specOf(groups[0]!.runs[0]![0]!)).toEqual(workload);
    const free = { name: 'batch', mems: [] };
    expect(specOf(groups[0]!.baseline[0]!).together).toEqual([program, { ...bound, cgroup: free }]);
    expect(specOf(groups[2]!.baseline[0]!).cgroup).toEqual(free);
  });

  it('gives a workload its own memory parallelism, in every run', () => {
    const { runs } = planOf({});
    for (const { workload, spec } of runs) {
      const own = workload === 1 ? 1 : machine.costs.memoryParallelism;
      expect(spec!.machine.costs.memoryParallelism).toBe(own);
    }
  });

  it('keeps a run that cannot be made, with the reason; its all-DRAM run goes on', () => {
    const plan = planOf({}, 8000 * PAGE_SIZE);
    const [wide, narrow] = plan.groups;
    expect(plan.runs[wide!.runs[0]![0]!]!.problem).toBe('');
    const run = plan.runs[narrow!.runs[0]![0]!]!;
    expect(run.spec).toBeNull();
    expect(run.problem).toMatch(/test-machine 1:8: .*is less than the 4\.00 MiB a node needs/);
    expect(plan.runs[narrow!.baseline[0]!]!.spec).not.toBeNull();
  });
});
