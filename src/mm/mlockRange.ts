/**
 * mlock, munlock and populate over ranges (mm/mlock.c: apply_vma_lock_flags, mlock_vma_pages_range;
 * mm/gup.c: __mm_populate). OV-31g.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { ENOMEM } from '../uapi/errno.ts';
import { FOLL_FORCE, FOLL_TOUCH, FOLL_WRITE } from '../uapi/gup.ts';
import type { AddressSpace } from './addressSpace.ts';
import { PG_MLOCKED } from './frameTable.ts';
import { faultInPage } from './gupFollow.ts';
import type { Kernel } from './kernel.ts';
import { mlockFolio, munlockFolio } from './mlock.ts';
import { PTEB_SPECIAL, pteIsPresent, pteMapsPage, ptePayload } from './pageTable.ts';
import { folioPteBatch } from './pageWalk.ts';
import type { Task } from './task.ts';
import {
  isLockable,
  VM_IO,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_PFNMAP,
  VM_SHARED,
  VM_WRITE,
  type Vma,
} from './vma.ts';
import { mergeRange, splitAtEnds } from './vmaList.ts';

/**
 * Sets or clears the lock flags of [start, end): 0 flags = munlock. -ENOMEM where part of the
 * range is not mapped. Present pages change state at once; populating is the caller's.
 */
export function applyLockFlags(
  k: Kernel,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  flags: number,
): number {
  splitAtEnds(k, mm, start, end);
  let vpn = start;
  let result = 0;
  for (let i = mm.indexAtOrAfter(start); vpn < end; i++) {
    const vma = mm.vmas[i];
    if (vma === undefined || vma.start > vpn) {
      result = -ENOMEM;
      break;
    }
    // Secret memory is locked by its mmap or not at all (MC-41a).
    if (isLockable(vma.flags) && vma.file?.kind !== 'secretmem') lockVma(k, vma, flags);
    vpn = vma.end;
  }
  mergeRange(k, mm, start, end);
  return result;
}

function lockVma(k: Kernel, vma: Vma, flags: number): void {
  const was = vma.has(VM_LOCKED);
  const now = (flags & VM_LOCKED) !== 0;
  vma.flags = (vma.flags & ~(VM_LOCKED | VM_LOCKONFAULT)) | flags;
  if (was === now) return;
  vma.mm.lockedVm += now ? vma.nrPages : -vma.nrPages;
  const mm = vma.mm;
  for (let vpn = vma.start; vpn < vma.end; ) {
    const slot = mm.slotOf(vpn);
    const next = Math.min(vma.end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
    if (slot >= 0 && mm.pmd[slot] !== 0) {
      const plain = (mm.pmdByte[slot] & PTEB_SPECIAL) === 0 && pteIsPresent(mm.pmd[slot]);
      if (plain) lockFolio(k, ptePayload(mm.pmd[slot]), now);
    } else if (slot >= 0 && mm.leaf[slot] >= 0) {
      lockEntries(k, vma, mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]), vpn, next);
    }
    vpn = next;
  }
}

/** mlock_pte_range: entries of one leaf table, `i` being that of page `from`. */
function lockEntries(k: Kernel, vma: Vma, i: number, from: Vpn, to: Vpn): void {
  const now = vma.has(VM_LOCKED);
  for (let n = 0; n < to - from; ) {
    const word = k.ptes.words[i + n];
    if (!pteMapsPage(word) || (k.ptes.bytes[i + n] & PTEB_SPECIAL) !== 0) {
      n++;
      continue;
    }
    const page = ptePayload(word);
    const head = k.frames.headOf(page);
    const run = folioPteBatch(k, i + n, to - from - n, head, page);
    // allow_mlock_munlock: a large folio is locked only if this area maps all of it here.
    if (!now || run === k.folios.nrPages(head)) lockFolio(k, head, now);
    n += run;
  }
}

function lockFolio(k: Kernel, head: number, lock: boolean): void {
  if (k.pm.isZoneDevice(head)) return;
  const locked = (k.frames.flags[head] & PG_MLOCKED) !== 0;
  if (lock && !locked) mlockFolio(k, head);
  else if (!lock && locked) munlockFolio(k, head);
}

/**
 * Faults every page of [start, end) in, writable where the area is private and writable, and marks
 * it accessed, as GUP does (populate_vma_page_range, FOLL_TOUCH). Stops where a page cannot be had:
 * -EFAULT (no access, SIGBUS), -ENOMEM.
 */
export function populateRange(k: Kernel, task: Task, start: Vpn, end: Vpn): number {
  const mm = task.mm!;
  for (let vpn = start; vpn < end; vpn++) {
    const vma = mm.findVma(vpn);
    if (vma === null) return -ENOMEM;
    if (vma.has(VM_IO | VM_PFNMAP | VM_LOCKONFAULT)) continue;
    const write = vma.has(VM_WRITE) && !vma.has(VM_SHARED);
    // Everything but PROT_NONE can be locked.
    const force = vma.isAccessible() ? FOLL_FORCE : 0;
    const page = faultInPage(k, task, vma, vpn, FOLL_TOUCH | force | (write ? FOLL_WRITE : 0));
    if (page < 0) return page;
  }
  return 0;
}
