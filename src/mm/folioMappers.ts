/**
 * Who maps a folio, and whether every one of them lets it go to a node: the walk over the reverse
 * mapping of move_phys_pages, as posted in 2024 (never merged). PP-13, PP-14, PP-20..PP-22, PP-49.
 *
 * Not modelled: mm->owner moving to another process when its own exits: here the owner is the
 * oldest process with the address space.
 */
import type { FrameId, Nid } from '../base/units.ts';
import { EACCES, EFAULT, ENOENT } from '../uapi/errno.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';

import { pageAt } from './pageWalk.ts';
import { rmapCollect } from './rmap.ts';
import type { Task } from './task.ts';
import { vmaMigratable } from './vma.ts';

/**
 * 0 if all areas that map the folio are migratable and their owners' cpusets allow `nid`; -EFAULT
 * or -EACCES by the first that does not, -EFAULT before -EACCES (PP-20); -ENOENT if none maps it.
 * `isExact`: an area counts only if it has an entry for the folio; the posted walk took every area
 * that covers its index (PP-21).
 */
export function mappersVerdict(k: Kernel, head: FrameId, nid: Nid, isExact: boolean): number {
  const ranges = rmapCollect(k, head);
  let isFound = false;
  for (let r = 0; r < ranges; r++) {
    if (isExact && !mapsAny(k, head, r)) continue;
    isFound = true;
    const vma = k.rmap.vma[r];
    if (!vmaMigratable(vma)) return -EFAULT;
    if (!ownerAllows(k, vma.mm, nid)) return -EACCES;
  }
  return isFound ? 0 : -ENOENT;
}

/** Whether candidate range `r` of k.rmap has an entry for one of the folio's pages. */
function mapsAny(k: Kernel, head: FrameId, r: number): boolean {
  const { mm } = k.rmap.vma[r];
  for (let j = 0; j < k.rmap.nr[r]; j++) {
    if (pageAt(k, mm, k.rmap.vpn[r] + j) === head + k.rmap.sub[r] + j) return true;
  }
  return false;
}

/** PP-22: an address space without an owner (its process is exiting) allows everything. */
function ownerAllows(k: Kernel, mm: AddressSpace, nid: Nid): boolean {
  const owner = ownerOf(k, mm);
  return owner === null || (owner.memsAllowed & k.pm.nodesWithMemory & (1 << nid)) !== 0;
}

function ownerOf(k: Kernel, mm: AddressSpace): Task | null {
  for (const task of k.tasks.values()) if (task.mm === mm) return task;
  return null;
}
