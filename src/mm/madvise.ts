/**
 * madvise(2) over one range of page numbers (mm/madvise.c). OV-24b, OV-31g.
 *
 * Not modelled: WILLNEED and RANDOM/SEQUENTIAL (no readahead), REMOVE of hugetlb pages (-EINVAL).
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { EACCES, EINVAL, ENOMEM, EOPNOTSUPP, EREMOTEIO } from '../uapi/errno.ts';
import { FOLL_HWPOISON, FOLL_TOUCH, FOLL_WRITE } from '../uapi/gup.ts';
import {
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from '../uapi/mman.ts';
import { installGuards, removeGuards } from './guardRegion.ts';
import { checkVmaFlags, faultInPage } from './gupFollow.ts';
import { checkHugetlbCuts } from './hugetlb.ts';
import type { Kernel } from './kernel.ts';
import { coldOrPageout } from './madviseCold.ts';
import { freeLazily } from './madviseFree.ts';
import type { Task } from './task.ts';
import { punchHole } from './truncate.ts';
import {
  VM_DONTCOPY,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_MAYNOTWRITE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
  VM_SHARED,
  VM_SPECIAL,
  VM_WIPEONFORK,
  type Vma,
} from './vma.ts';
import { mergeRange, splitAtEnds } from './vmaList.ts';
import { zapRange } from './zap.ts';

/** Applies `advice` to [start, end). 0, -EINVAL, -ENOMEM (holes; the rest is done). */
export function madviseRange(k: Kernel, task: Task, start: Vpn, end: Vpn, advice: number): number {
  const mm = task.mm!;
  if (advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE) {
    return populate(k, task, start, end, advice === MADV_POPULATE_WRITE);
  }
  if (changesFlags(advice)) {
    const cut = checkHugetlbCuts(mm, start, end);
    if (cut !== 0) return cut;
    splitAtEnds(k, mm, start, end);
  }
  let result = 0;
  let vpn = start;
  while (vpn < end) {
    const i = mm.indexAtOrAfter(vpn);
    const vma = mm.vmas[i];
    if (vma === undefined || vma.start >= end) return -ENOMEM;
    if (vma.start > vpn) {
      result = -ENOMEM;
      vpn = vma.start;
    }
    const last = Math.min(end, vma.end);
    const one = adviseVma(k, task, vma, vpn, last, advice);
    if (one !== 0) return one;
    vpn = last;
  }
  if (changesFlags(advice)) mergeRange(k, mm, start, end);
  return result;
}

function changesFlags(advice: number): boolean {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
    case MADV_FREE:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_WILLNEED:
    case MADV_REMOVE:
    case MADV_GUARD_INSTALL:
    case MADV_GUARD_REMOVE:
      return false;
    default:
      return true;
  }
}

function adviseVma(k: Kernel, task: Task, vma: Vma, start: Vpn, end: Vpn, advice: number): number {
  const { cpu } = task;
  switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTDUMP:
      return 0;
    case MADV_DODUMP:
      return vma.has(VM_SPECIAL) && !vma.has(VM_HUGETLB) ? -EINVAL : 0;
    case MADV_REMOVE:
      return removeFromFile(k, vma, start, end);
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      if (vma.has(VM_PFNMAP) || (advice === MADV_DONTNEED && vma.has(VM_LOCKED))) return -EINVAL;
      if (!vma.has(VM_HUGETLB)) zapRange(k, vma, start, end);
      else return dropHugetlb(k, vma, start, end);
      return 0;
    case MADV_FREE:
      if (!vma.isAnonymous() || vma.has(VM_LOCKED | VM_PFNMAP | VM_HUGETLB)) return -EINVAL;
      freeLazily(k, cpu, vma, start, end);
      return 0;
    case MADV_COLD:
    case MADV_PAGEOUT:
      if (vma.has(VM_LOCKED | VM_PFNMAP | VM_HUGETLB)) return -EINVAL;
      coldOrPageout(k, cpu, vma, start, end, advice === MADV_PAGEOUT);
      return 0;
    case MADV_GUARD_INSTALL:
      if (!k.profile.guardRegions) return -EINVAL;
      return installGuards(k, task.cpuNid, vma, start, end);
    case MADV_GUARD_REMOVE:
      return k.profile.guardRegions ? removeGuards(k, vma, start, end) : -EINVAL;
    default:
      return adviseFlags(vma, advice);
  }
}

/** madvise_remove: a hole in the file of a shared mapping. */
function removeFromFile(k: Kernel, vma: Vma, start: Vpn, end: Vpn): number {
  const { file } = vma;
  if (vma.has(VM_LOCKED) || file === null || vma.has(VM_HUGETLB)) return -EINVAL;
  if (!vma.has(VM_SHARED) || vma.has(VM_MAYNOTWRITE)) return -EACCES;
  if (!file.isShmem() && file.kind !== 'ext4') return -EOPNOTSUPP;
  punchHole(k, file, vma.indexOf(start), vma.indexOf(end));
  return 0;
}

/** madvise_dontneed_free_valid_vma: from a huge page's start on, whole huge pages only. */
function dropHugetlb(k: Kernel, vma: Vma, start: Vpn, end: Vpn): number {
  if (start % HPAGE_PMD_NR !== 0) return -EINVAL;
  zapRange(k, vma, start, end - (end % HPAGE_PMD_NR));
  return 0;
}

function adviseFlags(vma: Vma, advice: number): number {
  switch (advice) {
    case MADV_HUGEPAGE:
      vma.flags = (vma.flags & ~VM_NOHUGEPAGE) | VM_HUGEPAGE;
      return 0;
    case MADV_NOHUGEPAGE:
      vma.flags = (vma.flags & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
      return 0;
    case MADV_DONTFORK:
      vma.flags |= VM_DONTCOPY;
      return 0;
    case MADV_DOFORK:
      if (vma.has(VM_IO)) return -EINVAL;
      vma.flags &= ~VM_DONTCOPY;
      return 0;
    case MADV_WIPEONFORK:
      if (!vma.isAnonymous() || vma.has(VM_SHARED)) return -EINVAL;
      vma.flags |= VM_WIPEONFORK;
      return 0;
    case MADV_KEEPONFORK:
      vma.flags &= ~VM_WIPEONFORK;
      return 0;
    case MADV_MERGEABLE:
      // vma_ksm_compatible: other areas are left as they are.
      if (!vma.has(VM_SHARED | VM_SPECIAL | VM_HUGETLB)) vma.flags |= VM_MERGEABLE;
      return 0;
    case MADV_UNMERGEABLE:
      vma.flags &= ~VM_MERGEABLE;
      return 0;
    default:
      return -EINVAL;
  }
}

/**
 * madvise_populate: 0, -ENOMEM (holes, no memory), -EINVAL (the area does not allow it), -EFAULT
 * (SIGBUS), -EHWPOISON.
 */
function populate(k: Kernel, task: Task, start: Vpn, end: Vpn, write: boolean): number {
  for (let vpn = start; vpn < end; vpn++) {
    const vma = task.mm!.findVma(vpn);
    if (vma === null) return -ENOMEM;
    const flags = FOLL_TOUCH | FOLL_HWPOISON | (write ? FOLL_WRITE : 0);
    if (checkVmaFlags(vma, flags) !== 0) return -EINVAL;
    const page = faultInPage(k, task, vma, vpn, flags);
    if (page < 0) return page === -EREMOTEIO ? -ENOMEM : page;
  }
  return 0;
}
