/**
 * Faults of file and shmem mappings (mm/memory.c: do_read_fault, do_cow_fault, do_shared_fault;
 * mm/filemap.c: filemap_fault, filemap_map_pages; mm/shmem.c: shmem_fault). OV-24a, OV-31,
 * OV-31d, OV-31f.
 *
 * Not modelled: readahead, large folios made by page faults (except tmpfs huge=always).
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Vpn } from '../base/units.ts';
import { EBUSY, ENOMEM } from '../uapi/errno.ts';
import { GFP_HIGHUSER, GFP_HIGHUSER_MOVABLE, GFP_TRANSHUGE } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import { associateDaxPage, mapDaxPmd } from './daxFault.ts';
import { lookUpCached, NO_ROOM_FOR_RETURN, STAYS_ON_DEVICE } from './devicePageCache.ts';
import {
  accountFault,
  FAULT_CLEARED,
  FAULT_DONE,
  FAULT_ERROR,
  FAULT_HUGE,
  FAULT_MAJOR,
  FAULT_OOM,
  FAULT_RETRY,
  FAULT_SIGBUS,
  FAULT_WAIT,
  wantsWriteNotify,
} from './fault.ts';
import { copyToAnon } from './faultCow.ts';
import { addToPageCache, setFolioDirty } from './fileFolio.ts';
import { PG_DIRTY, PG_HWPOISON, PG_LOCKED, PG_SWAPBACKED } from './frameTable.ts';
import { type Kernel, PGMAJFAULT } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { mlockFolio } from './mlock.ts';
import { changeProtection } from './mprotect.ts';
import {
  PTE_A,
  PTE_D,
  PTE_RAW_FRAME,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  pteFast,
} from './pageTable.ts';
import { allocFolioPolicy, NO_INTERLEAVE_INDEX } from './policyNode.ts';
import { pteAlloc } from './pteSetup.ts';
import { addRmapPmd, addRmapPte } from './rmap.ts';
import { deleteFromSwapCache } from './swapCache.ts';
import type { Task } from './task.ts';
import { VM_LOCKED, VM_PFNMAP, VM_SHARED, VM_WRITE, type Vma } from './vma.ts';

const PGPGIN = vmEvent('pgpgin');
const PSWPIN = vmEvent('pswpin');
const THP_FILE_ALLOC = vmEvent('thp_file_alloc');
const THP_FILE_FALLBACK = vmEvent('thp_file_fallback');
const THP_FILE_MAPPED = vmEvent('thp_file_mapped');

/** Pages of one aligned window that a read fault maps besides its own (fault_around_bytes). */
const FAULT_AROUND_PAGES = 16;

/** What the last cacheRead had to do, for the fault's outcome. */
interface ReadResult {
  page: FrameId;
  outcome: number;
}

/** A fault on an empty entry of a file mapping. FAULT_WAIT: a migration holds the folio (MC-90). */
export function doFileFault(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  i: number,
  write: boolean,
): number {
  const file = vma.file!;
  if (vma.has(VM_PFNMAP)) {
    // remap_pfn_range: raw frames, no folio behind them (HS-22a).
    const writable = vma.has(VM_SHARED) && vma.has(VM_WRITE) ? PTE_W : 0;
    k.ptes.set(i, pteFast(PTE_RAW_FRAME, PTE_A | writable), PTEB_SPECIAL);
    return FAULT_DONE;
  }
  const index = vma.indexOf(vpn);
  if (index >= file.sizePages) return FAULT_SIGBUS;
  if (file.kind === 'dax') {
    if (mapDaxPmd(k, vma, vpn, write)) return FAULT_DONE | FAULT_HUGE;
    associateDaxPage(k, file, index);
  }
  const cached = file.frameAt(index);
  if (cached >= 0 && k.inFlight.has(k.frames.headOf(cached))) return FAULT_WAIT | FAULT_RETRY;
  const got = cacheRead(k, task, file, index);
  if ((got.outcome & FAULT_ERROR) !== 0) return got.outcome;
  const outcome = got.outcome;
  // Only faults are counted: read(2) fills the cache by the same way.
  if ((outcome & FAULT_MAJOR) !== 0) k.vmstat.count(PGMAJFAULT, 1);
  const head = k.frames.headOf(got.page);
  if (write && !vma.has(VM_SHARED)) {
    k.frames.refcount[head]++;
    const result = copyFilePage(k, task, vma, vpn, i, got.page);
    k.putFolio(head);
    return result | outcome;
  }
  if (write) setFolioDirty(k, head);
  if (k.folios.isThp(head) && mapHugeFile(k, vma, vpn, head, write)) return outcome | FAULT_HUGE;
  mapFilePage(k, vma, vpn, i, got.page, write);
  // Without a page cache there is no map_pages.
  if (!write && file.specialFrames === null) faultAround(k, vma, vpn, i);
  return outcome;
}

/**
 * The fault after GUP split the PMD that mapped a page of the cache (FOLL_SPLIT_PMD): the table
 * that GUP put there makes it an entry, though the folio would fit a PMD. False: no memory for it.
 */
export function refaultByEntry(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  page: FrameId,
  write: boolean,
): boolean {
  const i = pteAlloc(k, vma.mm, vpn, task.cpuNid);
  if (i < 0) return false;
  if (write) setFolioDirty(k, k.frames.headOf(page));
  mapFilePage(k, vma, vpn, i, page, write);
  if (!write) faultAround(k, vma, vpn, i);
  accountFault(k, FAULT_DONE);
  return true;
}

/** vm_insert_page of a shared mapping: 0, -EBUSY (the entry is taken), -ENOMEM (no page table). */
export function vmInsertPage(k: Kernel, task: Task, vma: Vma, vpn: Vpn, page: FrameId): number {
  const i = pteAlloc(k, vma.mm, vpn, task.cpuNid);
  if (i < 0) return -ENOMEM;
  if (k.ptes.words[i] !== 0) return -EBUSY;
  mapFilePage(k, vma, vpn, i, page, false);
  if (!vma.isAccessible()) changeProtection(k, vma, vpn, vpn + 1); // vm_page_prot
  return 0;
}

/** do_cow_fault: the private copy of a page of the cache. */
function copyFilePage(k: Kernel, task: Task, vma: Vma, vpn: Vpn, i: number, page: FrameId): number {
  const result = copyToAnon(k, task, vma, vpn, i, -1);
  if ((result & FAULT_ERROR) === 0 && k.frames.content !== null) {
    k.frames.content[k.ptes.words[i] >>> 4] = k.frames.content[page];
  }
  return result;
}

/** Maps one page of the cache: set_pte_range for a single page. */
function mapFilePage(
  k: Kernel,
  vma: Vma,
  vpn: Vpn,
  i: number,
  page: FrameId,
  write: boolean,
): void {
  const head = k.frames.headOf(page);
  let adw = PTE_A;
  if (vma.has(VM_SHARED) && vma.has(VM_WRITE) && (write || !wantsWriteNotify(vma))) adw |= PTE_W;
  if (write) adw |= PTE_D;
  k.frames.refcount[head]++;
  addRmapPte(k, page, vma.mm);
  k.ptes.set(i, pteFast(page, adw), write ? PTEB_SOFT_DIRTY : 0);
  accountRss(k, vma, head, 1);
  if (vma.has(VM_LOCKED) && !k.folios.isLarge(head)) mlockFolio(k, head);
  void vpn;
}

/** rss of a file or shmem mapping. */
export function accountRss(k: Kernel, vma: Vma, head: FrameId, pages: number): void {
  if ((k.frames.flags[head] & PG_SWAPBACKED) !== 0) vma.mm.rssShmem += pages;
  else vma.mm.rssFile += pages;
}

/**
 * OV-31d: maps cached neighbours inside an aligned window and the VMA, as accessed: x86-64 wants no
 * old entries (arch_wants_old_prefaulted_pte).
 */
function faultAround(k: Kernel, vma: Vma, vpn: Vpn, i: number): void {
  const start = vpn - (vpn % FAULT_AROUND_PAGES);
  for (let v = start; v < start + FAULT_AROUND_PAGES; v++) {
    if (v === vpn || v < vma.start || v >= vma.end) continue;
    const at = i + (v - vpn);
    if (k.ptes.words[at] !== 0) continue;
    const index = vma.indexOf(v);
    const page = index < vma.file!.sizePages ? vma.file!.frameAt(index) : -1;
    if (page < 0) continue;
    const head = k.frames.headOf(page);
    if (k.pm.isZoneDevice(page)) continue;
    if ((k.frames.flags[head] & PG_LOCKED) !== 0 || k.frames.has(page, PG_HWPOISON)) continue;
    mapFilePage(k, vma, v, at, page, false);
  }
}

/** Maps a PMD-order cache folio by one PMD where the VMA allows it (do_set_pmd). */
export function mapHugeFile(k: Kernel, vma: Vma, vpn: Vpn, head: FrameId, write: boolean): boolean {
  const mm = vma.mm;
  const slot = mm.slotOf(vpn);
  const first = mm.slotVpn[slot];
  const index = k.frames.indexOf(head);
  if (first < vma.start || first + HPAGE_PMD_NR > vma.end || !vma.has(VM_SHARED)) return false;
  // Nothing behind the end of the file is mapped (since 6.18).
  if (index + HPAGE_PMD_NR > vma.file!.sizePages) return false;
  if (vma.indexOf(first) !== index || !tableIsEmpty(k, mm.leaf[slot])) return false;
  mm.deposit[slot] = mm.leaf[slot];
  mm.leaf[slot] = -1;
  let adw = PTE_A;
  if (vma.has(VM_WRITE)) adw |= PTE_W;
  if (write) adw |= PTE_D;
  k.frames.refcount[head]++;
  addRmapPmd(k, head, mm);
  mm.pmd[slot] = pteFast(head, adw);
  mm.pmdByte[slot] = write ? PTEB_SOFT_DIRTY : 0;
  accountRss(k, vma, head, HPAGE_PMD_NR);
  k.vmstat.count(THP_FILE_MAPPED, 1);
  return true;
}

/** Whether a page table, -1 = none, has no entry at all: false for none. */
export function tableIsEmpty(k: Kernel, table: number): boolean {
  if (table < 0) return false;
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    if (k.ptes.words[table * HPAGE_PMD_NR + i] !== 0) return false;
  }
  return true;
}

// 0 is FAULT_DONE, which is not yet there when fault.ts is loaded first.
const read: ReadResult = { page: -1, outcome: 0 };

/**
 * The cached page of a file, read in or made if needed (filemap_fault, shmem_get_folio). The
 * returned object is reused by the next call.
 */
export function cacheRead(k: Kernel, task: Task, file: MappedFile, index: number): ReadResult {
  read.outcome = FAULT_DONE;
  read.page = lookUpCached(k, task, file, index);
  if (read.page === STAYS_ON_DEVICE || read.page === NO_ROOM_FOR_RETURN) {
    read.outcome = read.page === STAYS_ON_DEVICE ? FAULT_SIGBUS : FAULT_OOM;
    return read;
  }
  if (read.page >= 0) {
    // MC-82a: a shmem object keeps a page whose data is lost. Device memory does not look (DM-50).
    const isCached = file.specialFrames === null;
    if (isCached && k.frames.has(read.page, PG_HWPOISON)) read.outcome = FAULT_SIGBUS;
    return read;
  }
  if (file.isShmem() && file.hugeAlways && file.swapSlotAt(index) < 0) {
    const page = shmemHuge(k, task, file, index);
    if (page >= 0) {
      read.page = page;
      read.outcome = FAULT_CLEARED;
      return read;
    }
  }
  if (file.specialFrames !== null) {
    read.outcome = FAULT_SIGBUS; // nothing could fill it
    return read;
  }
  const gfp = file.gfpZone === ZONE_MOVABLE ? GFP_HIGHUSER_MOVABLE : GFP_HIGHUSER;
  const own = file.isShmem() ? file.policyAt(index) : null;
  const ilx = own === null ? NO_INTERLEAVE_INDEX : index;
  const head = allocFolioPolicy(k, task, own ?? task.policy, ilx, 0, gfp);
  if (head < 0) {
    read.outcome = FAULT_OOM;
    return read;
  }
  read.page = head;
  fillNewCachePage(k, task, file, index, head);
  return read;
}

function fillNewCachePage(
  k: Kernel,
  task: Task,
  file: MappedFile,
  index: number,
  head: FrameId,
): void {
  const f = k.frames;
  const slot = file.swapSlotAt(index);
  const stored = file.backing.get(index);
  addToPageCache(k, file, index, head);
  if (slot >= 0) {
    if (f.content !== null) f.content[head] = k.swap.contentOf(slot);
    if (k.swap.cachedFrame(slot) >= 0) {
      deleteFromSwapCache(k, f.headOf(k.swap.cachedFrame(slot)));
    }
    k.swap.release(slot);
    f.flags[head] |= PG_DIRTY;
    k.vmstat.count(PSWPIN, 1);
    read.outcome = FAULT_MAJOR;
  } else if (!file.isShmem() && file.traits.writeback) {
    if (f.content !== null) f.content[head] = stored ?? 0;
    k.vmstat.count(PGPGIN, 4);
    read.outcome = FAULT_MAJOR;
  } else {
    if (f.content !== null) f.content[head] = stored ?? 0;
    read.outcome = FAULT_CLEARED;
  }
  k.lru.addBatched(task.cpu, head);
  k.putFolio(head);
}

/** A PMD-order shmem folio around `index` (tmpfs mounted huge=always), or -1. */
function shmemHuge(k: Kernel, task: Task, file: MappedFile, index: number): FrameId {
  const first = index - (index % HPAGE_PMD_NR);
  if (first + HPAGE_PMD_NR > file.sizePages) return -1;
  for (let n = 0; n < HPAGE_PMD_NR; n++) if (file.pages.has(first + n)) return -1;
  const own = file.policyAt(index);
  const ilx = own === null ? NO_INTERLEAVE_INDEX : Math.floor(first / HPAGE_PMD_NR);
  const policy = own ?? task.policy;
  const head = allocFolioPolicy(k, task, policy, ilx, HPAGE_PMD_ORDER, GFP_TRANSHUGE);
  if (head < 0) {
    k.vmstat.count(THP_FILE_FALLBACK, 1);
    return -1;
  }
  addToPageCache(k, file, first, head);
  k.vmstat.count(THP_FILE_ALLOC, 1);
  k.lru.addBatched(task.cpu, head);
  k.putFolio(head);
  return head + (index - first);
}
