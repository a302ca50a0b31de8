/**
 * Collapse of a 2 MiB range of a file's page cache (mm/khugepaged.c: hpage_collapse_scan_file,
 * collapse_file, collapse_pte_mapped_thp): shmem, and files of file systems with large folios that
 * are mapped without write access. OV-31i.
 *
 * Order: swap in -> node -> huge folio -> nobody uses the small ones -> unmap -> copy -> cache.
 * Page tables of others are left empty; the next fault in them maps the huge page.
 * Not modelled: reading in what a file has not cached (-EINVAL), mlocked areas (-EAGAIN).
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Nid, type Vpn } from '../base/units.ts';
import { EAGAIN, EINVAL, ENOMEM } from '../uapi/errno.ts';
import { GFP_TRANSHUGE } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { lookUpCached, NO_ROOM_FOR_RETURN, STAYS_ON_DEVICE } from './devicePageCache.ts';
import { FAULT_ERROR } from './fault.ts';
import { cacheRead, mapHugeFile } from './faultFile.ts';
import { addToPageCache, removeFromPageCache, setFolioDirty } from './fileFolio.ts';
import { allocFolio } from './folioLifecycle.ts';
import { PG_DIRTY, PG_LOCKED, PG_LRU, PG_WRITEBACK } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { pteAlloc } from './pteSetup.ts';
import type { Task } from './task.ts';
import { tryToUnmap } from './unmapFolio.ts';
import { VM_WRITE, type Vma } from './vma.ts';

const THP_COLLAPSE_ALLOC = vmEvent('thp_collapse_alloc');
const THP_COLLAPSE_ALLOC_FAILED = vmEvent('thp_collapse_alloc_failed');

/** Whether the file behind an area may have huge pages there (file_thp_enabled, shmem). */
export function mayCollapseFile(vma: Vma, first: Vpn): boolean {
  const file = vma.file;
  if (file === null || vma.indexOf(first) % HPAGE_PMD_NR !== 0) return false;
  if (vma.indexOf(first) + HPAGE_PMD_NR > file.sizePages) return false;
  return file.isShmem() || (file.traits.largeFolios && !vma.has(VM_WRITE));
}

/**
 * Collapses the range of the cache under [first, first + 512) and maps it there. At most `holesMax`
 * pages may be missing. 0, -EAGAIN (a page is in use), -ENOMEM, -EINVAL (too many missing).
 */
export function collapseFile(
  k: Kernel,
  task: Task,
  vma: Vma,
  first: Vpn,
  holesMax: number,
): number {
  const file = vma.file as MappedFile;
  const index = vma.indexOf(first);
  const cached = file.frameAt(index);
  const isHuge = cached >= 0 && k.folios.isThp(k.frames.headOf(cached));
  const result = isHuge ? 0 : collapseCache(k, task, file, index, holesMax);
  if (result !== 0) return result;
  return installPmd(k, task, vma, first, k.frames.headOf(file.frameAt(index)));
}

function collapseCache(
  k: Kernel,
  task: Task,
  file: MappedFile,
  index: number,
  holesMax: number,
): number {
  if (!readSwapped(k, task, file, index)) return -ENOMEM;
  if (!bringBack(k, task, file, index)) return -EAGAIN;
  k.lru.drainAll();
  const pages = new Int32Array(32);
  let holes = 0;
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    const page = file.frameAt(index + n);
    if (page < 0) holes++;
    else pages[k.pm.nidOf(page)]++;
  }
  // A file's holes would have to be read in; shmem's are zero.
  if (holes > holesMax || (holes > 0 && !file.isShmem())) return -EINVAL;
  const nid = pages.indexOf(Math.max(...pages)) as Nid;
  const huge = allocFolio(k, HPAGE_PMD_ORDER, GFP_TRANSHUGE, nid, 1 << nid);
  if (huge < 0) {
    k.vmstat.count(THP_COLLAPSE_ALLOC_FAILED, 1);
    return -ENOMEM;
  }
  k.vmstat.count(THP_COLLAPSE_ALLOC, 1);
  const small = foliosOf(k, file, index);
  if (!small.every((head) => unmapUnused(k, file, head))) {
    k.putFolio(huge);
    return -EAGAIN;
  }
  replace(k, task, file, index, huge, small);
  return 0;
}

/** Shmem pages in swap come back to the cache first. */
function readSwapped(k: Kernel, task: Task, file: MappedFile, index: number): boolean {
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    if (file.swapSlotAt(index + n) < 0) continue;
    if ((cacheRead(k, task, file, index + n).outcome & FAULT_ERROR) !== 0) return false;
  }
  return true;
}

/** Experimental: pages that lie on a device are looked up (DM-85). */
function bringBack(k: Kernel, task: Task, file: MappedFile, index: number): boolean {
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    const page = lookUpCached(k, task, file, index + n);
    if (page === STAYS_ON_DEVICE || page === NO_ROOM_FOR_RETURN) return false;
  }
  return true;
}

function foliosOf(k: Kernel, file: MappedFile, index: number): FrameId[] {
  const heads = new Set<FrameId>();
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    const page = file.frameAt(index + n);
    if (page >= 0) heads.add(k.frames.headOf(page));
  }
  return [...heads];
}

/** The checks of collapse_file for one folio, and its mappings gone; false is -EAGAIN. */
function unmapUnused(k: Kernel, file: MappedFile, head: FrameId): boolean {
  const flags = k.frames.flags[head];
  if ((flags & PG_LOCKED) !== 0 || (flags & PG_LRU) === 0) return false;
  if ((flags & PG_WRITEBACK) !== 0) return false;
  if (!file.isShmem() && (flags & PG_DIRTY) !== 0) return false;
  k.folios.get(head);
  const unmapped = k.folios.mapcount(head) === 0 || tryToUnmap(k, head);
  const isAlone = k.frames.refcount[head] === k.folios.expectedRefs(head) + 1;
  k.putFolio(head);
  return unmapped && isAlone;
}

/** The huge folio takes the small ones' places in the cache. */
function replace(
  k: Kernel,
  task: Task,
  file: MappedFile,
  index: number,
  huge: FrameId,
  small: readonly FrameId[],
): void {
  const { content } = k.frames;
  let isDirty = false;
  for (const head of small) {
    const to = huge + (k.frames.indexOf(head) - index);
    content?.copyWithin(to, head, head + k.folios.nrPages(head));
    isDirty ||= (k.frames.flags[head] & PG_DIRTY) !== 0;
    removeFromPageCache(k, head, false);
  }
  addToPageCache(k, file, index, huge);
  if (isDirty) setFolioDirty(k, huge);
  k.lru.addBatched(task.cpu, huge);
  k.putFolio(huge);
}

/** set_huge_pmd: the area that asked gets its PMD at once. */
function installPmd(k: Kernel, task: Task, vma: Vma, first: Vpn, head: FrameId): number {
  const { mm } = vma;
  const slot = mm.slotOf(first);
  if (slot >= 0 && mm.pmd[slot] !== 0) return 0;
  if (pteAlloc(k, mm, first, task.cpuNid) < 0) return -ENOMEM;
  // A private area's copies stay entries of their own.
  mapHugeFile(k, vma, first, head, false);
  return 0;
}
