/**
 * The out-of-memory killer (mm/oom_kill.c: out_of_memory, oom_badness, oom_kill_process). PM-25,
 * PM-38. Off by default (Kernel.oom = 'fail'): an allocation that Linux would answer with a kill
 * fails, so that what a model's user asked for is what dies.
 *
 * The victim is the process with most memory; it dies at once, and its memory is free when this
 * returns (oom_reaper). A caller that is the victim itself lives on: its allocation fails (PM-25).
 * Not modelled: oom_score_adj, victims' reserves, victims limited to a cpuset, memory cgroups.
 */
import { vmEvent } from '../uapi/vmstat.ts';
import type { AddressSpace } from './addressSpace.ts';
import { exitTask } from './fork.ts';
import type { Kernel } from './kernel.ts';

const OOM_KILL = vmEvent('oom_kill');

/** True if somebody else died and the allocation may be tried again. */
export function outOfMemory(k: Kernel): boolean {
  const victim = selectBadProcess(k);
  if (victim === null || victim === k.currentMm) return false;
  k.vmstat.count(OOM_KILL, 1);
  for (const task of k.tasks.values()) if (task.mm === victim) exitTask(k, task);
  return true;
}

/** The address space with the highest badness; the oldest of equals. */
function selectBadProcess(k: Kernel): AddressSpace | null {
  let victim: AddressSpace | null = null;
  let most = -1;
  for (const { mm } of k.tasks.values()) {
    if (mm === null) continue;
    const points = oomBadness(mm);
    if (points <= most) continue;
    most = points;
    victim = mm;
  }
  return victim;
}

/** oom_badness: resident pages, swap entries and page tables. */
function oomBadness(mm: AddressSpace): number {
  let tables = 0;
  for (let slot = 0; slot < mm.leaf.length; slot++) {
    if (mm.leaf[slot] >= 0 || mm.deposit[slot] >= 0) tables++;
  }
  return mm.rssAnon + mm.rssFile + mm.rssShmem + mm.swapEnts + tables;
}
