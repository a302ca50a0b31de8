/**
 * Cpusets: which nodes the tasks of a group may allocate from, and what happens to tasks, policies
 * and pages when that changes (kernel/cgroup/cpuset.c). MP-100..MP-106b, OV-62.
 *
 * The migration of MP-103 runs in a worker on Linux and the writer waits for it before it returns
 * to user space: here it is over when the function returns.
 * Order: task nodes and task policies, then the policies of areas, then the pages.
 * Not modelled: CPUs, partitions.
 */
import { EACCES, EBUSY, EINVAL, ENOSPC } from '../uapi/errno.ts';
import { MPOL_MF_MOVE_ALL } from '../uapi/mempolicy.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import { rebindPolicy } from './mempolicy.ts';
import { doMigratePages } from './migrateNodes.ts';
import type { Task } from './task.ts';

export class Cpuset {
  readonly parent: Cpuset | null;
  readonly children: Cpuset[] = [];
  /** cgroup v1: mems are never inherited, and pages stay unless memoryMigrate is set (MP-100). */
  readonly legacy: boolean;
  /** Never of the root: its tasks' pages stay. */
  memoryMigrate: boolean;
  /** cpuset.mems as written; 0 = nothing written (v2: the parent's). */
  mems = 0;
  /** cpuset.mems.effective. */
  effectiveMems: number;
  /** The nodes that its tasks' pages were last meant to be on (old_mems_allowed). */
  oldMems: number;

  constructor(parent: Cpuset | null, mems: number, legacy: boolean) {
    this.parent = parent;
    this.legacy = legacy;
    this.memoryMigrate = !legacy && parent !== null;
    this.mems = parent === null ? mems : 0;
    this.effectiveMems = mems;
    this.oldMems = mems;
    parent?.children.push(this);
  }
}

/** The cpuset that all tasks are in at boot; tasks without one of their own are in it. */
export function rootCpuset(k: Kernel, legacy: boolean): Cpuset {
  k.topCpuset = new Cpuset(null, k.pm.nodesWithMemory, legacy);
  return k.topCpuset;
}

/** mkdir: v2 inherits the effective nodes, v1 starts without any. */
export function createCpuset(parent: Cpuset): Cpuset {
  const mems = parent.legacy ? 0 : parent.effectiveMems;
  return new Cpuset(parent, mems, parent.legacy);
}

/**
 * A write to cpuset.mems. Returns 0, -EINVAL (a node that cannot exist; v1: that the root lacks),
 * v1 besides: -EBUSY (a cpuset below has such a node), -EACCES (not the parent's); -ENOSPC (empty
 * with tasks in it; v2 before 7.0, too).
 */
export function writeCpusetMems(k: Kernel, cpuset: Cpuset, mems: number): number {
  const possible = (1 << (k.pm.highestNid + 1)) - 1;
  const known = cpuset.legacy ? k.topCpuset.mems : possible;
  if ((mems & ~known) !== 0) return -EINVAL;
  if (mems === cpuset.mems) return 0;
  const refusal = validateChange(k, cpuset, mems);
  if (refusal !== 0) return refusal;
  cpuset.mems = mems;
  updateEffective(k, cpuset);
  return 0;
}

function validateChange(k: Kernel, cpuset: Cpuset, mems: number): number {
  const { legacy, parent } = cpuset;
  if (legacy && cpuset.children.some((child) => (child.mems & ~mems) !== 0)) return -EBUSY;
  if (legacy && parent !== null && (mems & ~parent.mems) !== 0) return -EACCES;
  if (!legacy && k.profile.cpusetMayBeEmptied) return 0;
  return mems === 0 && isPopulated(k, cpuset) ? -ENOSPC : 0;
}

/** cgroup_is_populated: tasks in it or below. */
function isPopulated(k: Kernel, cpuset: Cpuset): boolean {
  if (tasksOf(k, cpuset).length > 0) return true;
  return cpuset.children.some((child) => isPopulated(k, child));
}

/** update_nodemasks_hier: the cpuset and all below it whose effective nodes change. */
function updateEffective(k: Kernel, cpuset: Cpuset): void {
  const above = cpuset.parent === null ? k.pm.nodesWithMemory : cpuset.parent.effectiveMems;
  const wanted = cpuset.mems & k.pm.nodesWithMemory & (cpuset.legacy ? -1 : above);
  const effective = wanted === 0 && !cpuset.legacy ? above : wanted;
  if (effective !== cpuset.effectiveMems) {
    cpuset.effectiveMems = effective;
    updateTasks(k, cpuset);
  }
  for (const child of cpuset.children) if (!child.legacy) updateEffective(k, child);
}

/**
 * cpuset_hotplug_workfn: a node gained its first or lost its last memory. OV-62, MP-106. v2 keeps
 * what was written and gives the node back when it returns; v1 forgets it for good, and tasks of
 * a cpuset without nodes move to the nearest ancestor that has some.
 */
export function cpusetTrackOnlineNodes(k: Kernel): void {
  const top = k.topCpuset;
  if (top.effectiveMems === k.pm.nodesWithMemory) return;
  if (top.legacy) top.mems = k.pm.nodesWithMemory;
  top.effectiveMems = k.pm.nodesWithMemory;
  updateTasks(k, top);
  for (const child of top.children) hotplugUpdateTasks(k, child);
}

/** cpuset_hotplug_update_tasks of a cpuset and of all below it. */
function hotplugUpdateTasks(k: Kernel, cpuset: Cpuset): void {
  const above = cpuset.parent!.effectiveMems;
  const own = cpuset.mems & above;
  const effective = own === 0 && !cpuset.legacy ? above : own;
  if (effective !== cpuset.effectiveMems) {
    if (cpuset.legacy) cpuset.mems = effective;
    cpuset.effectiveMems = effective;
    if (effective !== 0) updateTasks(k, cpuset);
    else for (const task of tasksOf(k, cpuset)) attachTask(k, task, ancestorWithMems(cpuset));
  }
  for (const child of cpuset.children) hotplugUpdateTasks(k, child);
}

function ancestorWithMems(cpuset: Cpuset): Cpuset {
  let at = cpuset;
  while (at.mems === 0 && at.parent !== null) at = at.parent;
  return at;
}

/** guarantee_online_mems: nodes with memory, from the nearest ancestor that has some. */
function onlineMems(k: Kernel, cpuset: Cpuset): number {
  let at: Cpuset = cpuset;
  while ((at.effectiveMems & k.pm.nodesWithMemory) === 0 && at.parent !== null) at = at.parent;
  return at.effectiveMems & k.pm.nodesWithMemory;
}

/** cpuset_update_tasks_nodemask: MP-101. */
function updateTasks(k: Kernel, cpuset: Cpuset): void {
  const mems = onlineMems(k, cpuset);
  const seen = new Set<AddressSpace>();
  for (const task of tasksOf(k, cpuset)) {
    changeTaskMems(task, mems);
    const { mm } = task;
    if (mm === null || seen.has(mm)) continue;
    seen.add(mm);
    rebindAreas(mm, mems);
    if (cpuset.memoryMigrate) migrateMm(k, mm, cpuset.oldMems, mems);
  }
  cpuset.oldMems = mems;
}

function tasksOf(k: Kernel, cpuset: Cpuset): Task[] {
  return [...k.tasks.values()].filter((task) => cpusetOf(k, task) === cpuset && !task.exited);
}

function cpusetOf(k: Kernel, task: Task): Cpuset {
  return task.cpuset ?? k.topCpuset;
}

/** cpuset_change_task_nodemask. */
function changeTaskMems(task: Task, mems: number): void {
  task.memsAllowed = mems;
  if (task.policy !== null) task.policy = rebindPolicy(task.policy, mems);
}

/** mpol_rebind_mm. */
function rebindAreas(mm: AddressSpace, mems: number): void {
  for (const vma of mm.vmas) if (vma.policy !== null) vma.policy = rebindPolicy(vma.policy, mems);
}

/** cpuset_migrate_mm: errors are nobody's; the worker's own nodes do not matter (MP-103). */
function migrateMm(k: Kernel, mm: AddressSpace, from: number, to: number): void {
  if (from !== to) doMigratePages(k, mm, from, to, MPOL_MF_MOVE_ALL, -1);
}

/**
 * Moves a task into a cpuset (cgroup.procs). Returns 0 or -ENOSPC (v1: a cpuset without nodes).
 * MP-102.
 */
export function attachTask(k: Kernel, task: Task, to: Cpuset): number {
  if (to.legacy && to.mems === 0) return -ENOSPC;
  const from = cpusetOf(k, task);
  task.cpuset = to;
  if (!to.legacy && from.effectiveMems === to.effectiveMems) return 0;
  const mems = onlineMems(k, to);
  changeTaskMems(task, mems);
  to.oldMems = mems;
  const { mm } = task;
  // Only the leader of a thread group carries its memory along.
  if (mm === null || task.pid !== task.tgid) return 0;
  rebindAreas(mm, mems);
  if (to.memoryMigrate) migrateMm(k, mm, from.oldMems, mems);
  return 0;
}
