/**
 * mremap(2): shrinking, growing in place, and moving a mapping with its page tables
 * (mm/mremap.c: move_vma, move_page_tables). MC-35: migration entries move too; remap finds them
 * through rmap because the moved VMA keeps the linear index of its pages.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { EFAULT, EINVAL, ENOMEM } from '../uapi/errno.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../uapi/mman.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import { unmergeRange } from './ksm.ts';
import { findUnmappedArea, munmapRange, rangeIsFree } from './mmap.ts';
import { MMU_NOTIFY_UNMAP, mmuNotifierInvalidate } from './mmuNotifier.ts';
import { PTEB_SOFT_DIRTY } from './pageTable.ts';
import { pteAlloc, splitPmd } from './pteSetup.ts';
import type { Task } from './task.ts';
import {
  VM_DONTEXPAND,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MERGEABLE,
  VM_PFNMAP,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  Vma,
} from './vma.ts';
import {
  cloneAnonVmas,
  insertVma,
  mergeRange,
  mergeVma,
  splitAtEnds,
  unlinkAnonVmas,
} from './vmaList.ts';

/** Moves or resizes [oldStart, +oldPages) of `task`. The new first page or a negative errno. */
export function mremapRange(
  k: Kernel,
  task: Task,
  oldStart: Vpn,
  oldPages: number,
  newPages: number,
  flags: number,
  newStart: Vpn,
): number {
  const isMove = (flags & MREMAP_FIXED) !== 0 && (flags & MREMAP_DONTUNMAP) === 0;
  const overlaps = newStart < oldStart + oldPages && oldStart < newStart + newPages;
  const mayBeMany = k.profile.mremapMovesManyAreas && isMove && oldPages === newPages && !overlaps;
  if (mayBeMany && (flags & MREMAP_MAYMOVE) !== 0) {
    return moveAreas(k, task, oldStart, oldPages, flags, newStart);
  }
  return remapArea(k, task, oldStart, oldPages, newPages, flags, newStart);
}

/**
 * remap_move: the areas of a range go to a new place one after the other, with the holes between
 * them but not at the beginning. What is moved already stays moved if a later one fails.
 */
function moveAreas(
  k: Kernel,
  task: Task,
  oldStart: Vpn,
  oldPages: number,
  flags: number,
  newStart: Vpn,
): number {
  const mm = task.mm!;
  const end = oldStart + oldPages;
  if (mm.findVma(oldStart) === null) return -EFAULT;
  for (let vpn = oldStart; ; ) {
    const vma = mm.vmas[mm.indexAtOrAfter(vpn)];
    if (vma === undefined || vma.start >= end) return newStart;
    const from = Math.max(vma.start, oldStart);
    const to = Math.min(vma.end, end);
    const isWhole = from === oldStart && to === end;
    if (!isWhole && vma.has(VM_UFFD_WP | VM_UFFD_MISSING)) return -EFAULT; // vma_multi_allowed
    const target = newStart + (from - oldStart);
    const result = remapArea(k, task, from, to - from, to - from, flags, target);
    if (result < 0) return result;
    vpn = to;
  }
}

/** One area, or a part of one. */
function remapArea(
  k: Kernel,
  task: Task,
  oldStart: Vpn,
  oldPages: number,
  newPages: number,
  flags: number,
  newStart: Vpn,
): number {
  const mm = task.mm!;
  const fixed = (flags & MREMAP_FIXED) !== 0;
  const keepOld = (flags & MREMAP_DONTUNMAP) !== 0;
  if (newPages <= 0) return -EINVAL;
  if ((fixed || keepOld) && (flags & MREMAP_MAYMOVE) === 0) return -EINVAL;
  if (keepOld && oldPages !== newPages) return -EINVAL;
  if (fixed && newStart < oldStart + oldPages && oldStart < newStart + newPages) return -EINVAL;
  const vma = mm.findVma(oldStart);
  if (vma === null || vma.end < oldStart + oldPages) return -EFAULT;
  if (newPages > oldPages && vma.has(VM_DONTEXPAND | VM_PFNMAP)) return -EFAULT;
  if (fixed) {
    munmapRange(k, mm, newStart, newStart + newPages);
  } else if (!keepOld) {
    if (newPages <= oldPages) {
      if (newPages < oldPages) munmapRange(k, mm, oldStart + newPages, oldStart + oldPages);
      return oldStart;
    }
    if (expandInPlace(k, mm, vma, oldStart + oldPages, newPages - oldPages)) return oldStart;
    if ((flags & MREMAP_MAYMOVE) === 0) return -ENOMEM;
  }
  if (fixed && newPages < oldPages) {
    munmapRange(k, mm, oldStart + newPages, oldStart + oldPages);
  }
  const kept = Math.min(oldPages, newPages);
  const anonymous = vma.file === null;
  const target = fixed ? newStart : findUnmappedArea(mm, newPages, anonymous);
  if (target < 0) return -ENOMEM;
  // Merged pages are found by their addresses: they may not move (move_vma, ksm_madvise).
  const mayMerge = vma.has(VM_MERGEABLE);
  if (mayMerge && unmergeRange(k, task, mm, oldStart, oldStart + kept) !== 0) return -ENOMEM;
  return moveVma(k, mm, oldStart, kept, target, newPages, keepOld);
}

function expandInPlace(k: Kernel, mm: AddressSpace, vma: Vma, end: Vpn, pages: number): boolean {
  if (vma.end !== end || !rangeIsFree(mm, end, pages)) return false;
  vma.end += pages;
  if (vma.has(VM_LOCKED)) mm.lockedVm += pages;
  mergeVma(k, vma);
  return true;
}

function moveVma(
  k: Kernel,
  mm: AddressSpace,
  oldStart: Vpn,
  oldPages: number,
  newStart: Vpn,
  newPages: number,
  keepOld: boolean,
): number {
  splitAtEnds(k, mm, oldStart, oldStart + oldPages);
  const old = mm.findVma(oldStart)!;
  const untouched = old.file === null && old.anonVma === null;
  const pgoff = untouched ? newStart : old.indexOf(oldStart);
  const moved = new Vma(mm, newStart, newStart + newPages, old.flags, pgoff);
  moved.file = old.file;
  moved.policy = old.policy;
  moved.anonVma = old.anonVma;
  cloneAnonVmas(old, moved);
  insertVma(moved);
  if (!moveEntries(k, mm, oldStart, newStart, oldPages)) {
    moveEntries(k, mm, newStart, oldStart, oldPages);
    moved.flags &= ~(VM_LOCKED | VM_LOCKONFAULT); // it was not counted as locked yet
    munmapRange(k, mm, newStart, newStart + newPages);
    return -ENOMEM;
  }
  if (keepOld) {
    // The lock goes with the pages; the area left behind is empty.
    old.flags &= ~(VM_LOCKED | VM_LOCKONFAULT);
    unlinkAnonVmas(k, old);
    mergeRange(k, mm, oldStart, oldStart + oldPages);
  } else {
    if (moved.has(VM_LOCKED)) mm.lockedVm += newPages;
    munmapRange(k, mm, oldStart, oldStart + oldPages);
  }
  mergeVma(k, moved);
  return newStart;
}

/** move_page_tables: whole PMD leaves where both sides are aligned, else entry by entry. */
function moveEntries(k: Kernel, mm: AddressSpace, from: Vpn, to: Vpn, pages: number): boolean {
  mmuNotifierInvalidate(mm, from, from + pages, MMU_NOTIFY_UNMAP);
  for (let n = 0; n < pages; ) {
    const slot = mm.slotOf(from + n);
    const inPmd = HPAGE_PMD_NR - ((from + n) % HPAGE_PMD_NR);
    const chunk = Math.min(inPmd, pages - n);
    if (slot >= 0 && mm.pmd[slot] !== 0) {
      const aligned = chunk === HPAGE_PMD_NR && (to + n) % HPAGE_PMD_NR === 0;
      if (aligned) {
        movePmd(k, mm, slot, to + n);
        n += chunk;
        continue;
      }
      splitPmd(k, mm, slot);
    }
    if (slot >= 0 && mm.leaf[slot] >= 0) {
      for (let j = 0; j < chunk; j++) {
        const source = mm.leaf[slot] * HPAGE_PMD_NR + (from + n + j - mm.slotVpn[slot]);
        if (k.ptes.words[source] === 0) continue;
        const target = pteAlloc(k, mm, to + n + j, 0);
        if (target < 0) return false;
        // move_soft_dirty_pte: a moved entry counts as changed.
        k.ptes.set(target, k.ptes.words[source], k.ptes.bytes[source] | PTEB_SOFT_DIRTY);
        k.ptes.set(source, 0, 0);
      }
    }
    n += chunk;
  }
  return true;
}

function movePmd(k: Kernel, mm: AddressSpace, slot: number, to: Vpn): void {
  const target = mm.ensureSlot(to);
  if (mm.leaf[target] >= 0) {
    k.freePageTable(mm.leaf[target]);
    mm.leaf[target] = -1;
  }
  mm.pmd[target] = mm.pmd[slot];
  mm.pmdByte[target] = mm.pmdByte[slot] | PTEB_SOFT_DIRTY;
  mm.deposit[target] = mm.deposit[slot];
  mm.pmd[slot] = 0;
  mm.pmdByte[slot] = 0;
  mm.deposit[slot] = -1;
}
