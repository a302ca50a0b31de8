/**
 * Control groups of the programs that run at the same time: which process is in which, and the
 * nodes that its cpuset allows. The first process of a program enters before it does anything; what
 * it forks is born in the same group (cgroup v2, kernel/cgroup/cpuset.c). MP-102.
 *
 * A program without a group of its own is in one by its name.
 *
 * Not modelled: the memory controller: nothing is charged, so memory.low, .high, .max and .reclaim
 * do not exist and reclaim does not tell groups apart; moving between groups; cpuset.cpus.
 */
import { assert, UserError } from '../base/assert.ts';
import { NODES_MAX } from '../hw/index.ts';
import {
  attachTask,
  type Cpuset,
  createCpuset,
  type Kernel,
  type Task,
  writeCpusetMems,
} from '../mm/index.ts';
import type { TraceSource } from '../trace/index.ts';
import { programsOf, type WorkloadSpec } from './runResult.ts';

export interface TraceCgroup {
  readonly name: string;
  /** cpuset.mems; none = the root's nodes. */
  readonly mems: readonly number[];
  readonly cpuset: Cpuset;
}

export class TraceCgroups {
  readonly #k: Kernel;
  readonly #source: TraceSource;
  /** In the order of the programs; empty when one program runs in no group. */
  readonly groups: TraceCgroup[] = [];
  /** Name of a program that runs with others -> its group. */
  readonly #ofProgram: Map<string, number> = new Map();
  /** By process of the trace. */
  readonly #ofProcess: number[] = [];
  readonly #isAlone: boolean;

  /** Errors: UserError for nodes that the machine does not have. */
  constructor(k: Kernel, workload: WorkloadSpec, source: TraceSource) {
    this.#k = k;
    this.#source = source;
    const programs = programsOf(workload);
    this.#isAlone = programs.length === 1;
    for (const { name, cgroup } of programs) {
      if (cgroup === undefined && this.#isAlone) return;
      const group = cgroup ?? { name, mems: [] };
      const known = this.groups.findIndex((one) => one.name === group.name);
      this.#ofProgram.set(name, known >= 0 ? known : this.#create(group.name, group.mems));
    }
  }

  /** The group of a process, -1 = none. */
  groupOf(process: number): number {
    if (this.groups.length === 0) return -1;
    const known = this.#ofProcess[process];
    if (known !== undefined) return known;
    const program = this.#isAlone ? undefined : this.#source.processes[process]?.program;
    const group = program === undefined ? 0 : (this.#ofProgram.get(program) ?? -1);
    this.#ofProcess[process] = group;
    return group;
  }

  /** The first process of a program has a task. */
  enter(process: number, task: Task): void {
    const group = this.groups[this.groupOf(process)];
    if (group === undefined) return;
    const result = attachTask(this.#k, task, group.cpuset);
    assert(result === 0, 'a v2 cpuset takes every task');
  }

  #create(name: string, mems: readonly number[]): number {
    const cpuset = createCpuset(this.#k.topCpuset);
    const has = this.#k.pm.nodesWithMemory;
    const missing = mems.find((nid) => nid >= NODES_MAX || (has & (1 << nid)) === 0);
    if (missing !== undefined) {
      const place = `cgroup ${name}`;
      throw new UserError(place, `node ${missing} has no memory`, 'hetmem machine shows the nodes');
    }
    const mask = mems.reduce((sum, nid) => sum | (1 << nid), 0);
    const result = mask === 0 ? 0 : writeCpusetMems(this.#k, cpuset, mask);
    assert(result === 0, 'nodes with memory are allowed in a cpuset below the root');
    this.groups.push({ name, mems, cpuset });
    return this.groups.length - 1;
  }
}
