/**
 * Page faults: what the kernel does when an access finds no usable entry
 * (mm/memory.c: handle_mm_fault and below). OV section 6, OV-31a..OV-31d.
 *
 * accessPage is the whole access of one page as a CPU does it: walk, set accessed/dirty, fault and
 * retry. The replay loop does the walk itself and calls handleFault only when it must.
 *
 * Not modelled: userfaultfd missing/minor, stack guard gaps, per-VMA locks, readahead.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import type { AddressSpace } from './addressSpace.ts';
import { doDevicePrivate, removeDeviceExclusive } from './deviceEntries.ts';
import { doWpPage } from './faultCow.ts';
import { doFileFault } from './faultFile.ts';
import { doSwapPage } from './faultSwap.ts';
import { PG_ANON_EXCLUSIVE, PG_SWAPBACKED } from './frameTable.ts';
import { hugetlbFault } from './hugetlb.ts';
import { type Kernel, PGFAULT } from './kernel.ts';
import { mlockNewFolio } from './mlock.ts';
import { doNumaPage } from './numaFault.ts';
import {
  MARKER_GUARD,
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_HWPOISON,
  PTE_KIND_MARKER,
  PTE_KIND_MIGRATION,
  PTE_KIND_PROTNONE,
  PTE_KIND_SWAP,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  pteFast,
  pteIsKind,
  pteKind,
  ptePayload,
} from './pageTable.ts';
import { allocVmaFolio } from './policyNode.ts';
import { anonVmaPrepare, pteAlloc } from './pteSetup.ts';
import { addRmapPte } from './rmap.ts';
import type { Task } from './task.ts';
import { doHugePmdFault, doHugePmdWp, mthpOrders, thpFaultOrder } from './thpFault.ts';
import {
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  type Vma,
} from './vma.ts';

/** Outcome bits of a fault (enum vm_fault_reason, and what it cost). */
export const FAULT_DONE = 0;
export const FAULT_MAJOR = 1;
export const FAULT_HINT = 2;
/** A migration entry: the access must wait until that migration is over (MC-35). */
export const FAULT_WAIT = 4;
export const FAULT_OOM = 8;
export const FAULT_SIGSEGV = 16;
export const FAULT_SIGBUS = 32;
/** A page was zeroed or copied (its cost). */
export const FAULT_CLEARED = 64;
export const FAULT_COPIED = 128;
/** A PMD-order page was set up. */
export const FAULT_HUGE = 256;
/** A hint fault migrated the page. */
export const FAULT_MIGRATED = 512;
/** With FAULT_WAIT: a lock is waited for, and the fault is taken again and counted then. */
export const FAULT_RETRY = 1024;
/** An error in memory (VM_FAULT_HWPOISON): SIGBUS, and GUP can tell. */
export const FAULT_HWPOISON = 2048;
export const FAULT_POISONED = FAULT_SIGBUS | FAULT_HWPOISON;
export const FAULT_ERROR = FAULT_OOM | FAULT_SIGSEGV | FAULT_SIGBUS;

/** Default RLIMIT_STACK, 8 MiB. */
const STACK_PAGES_MAX = 2048;

/** Faults one access may take before the model calls it a livelock. */
const RETRIES_MAX = 64;

/**
 * One access of `task` to a page, faults included. Returns the outcome bits of all faults taken;
 * FAULT_ERROR bits mean the access did not happen. A wait for a migration in flight is resolved by
 * finishing that migration.
 */
export function accessPage(k: Kernel, task: Task, vpn: Vpn, write: boolean): number {
  const mm = task.mm;
  if (mm === null) return FAULT_SIGSEGV;
  let outcome = FAULT_DONE;
  for (let tries = 0; tries < RETRIES_MAX; tries++) {
    if (touchEntry(k, mm, vpn, write)) return outcome;
    const result = handleFault(k, task, vpn, write);
    outcome |= result;
    if ((result & FAULT_ERROR) !== 0) return outcome;
    if ((result & FAULT_WAIT) !== 0) waitOnMigration(k, mm, vpn);
  }
  throw new Error(`access to page ${vpn} of mm ${mm.id} does not settle`);
}

/** The hardware's part: true if the entry allows the access, with accessed/dirty set. */
export function touchEntry(k: Kernel, mm: AddressSpace, vpn: Vpn, write: boolean): boolean {
  const slot = mm.slotOf(vpn);
  if (slot < 0) return false;
  const need = write ? PTE_FAST | PTE_W : PTE_FAST;
  const set = write ? PTE_A | PTE_D : PTE_A;
  const pmd = mm.pmd[slot];
  if (pmd !== 0) {
    if ((pmd & need) !== need) return false;
    mm.pmd[slot] = (pmd | set) >>> 0;
    return true;
  }
  const table = mm.leaf[slot];
  if (table < 0) return false;
  const i = table * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
  const word = k.ptes.words[i];
  if ((word & need) !== need) return false;
  k.ptes.words[i] = word | set;
  return true;
}

/**
 * Finishes the migration that an access to `vpn` must wait for (FAULT_WAIT): the one that holds the
 * page of a migration entry (migration_entry_wait), or the cached page that the entry leads to
 * (folio_lock in the swap cache and in the page cache). None: nothing happens.
 */
export function waitOnMigration(k: Kernel, mm: AddressSpace, vpn: Vpn): void {
  const page = lockedPageAt(k, mm, vpn);
  if (page >= 0) k.inFlight.get(k.frames.headOf(page))?.finish();
}

/** The page that a fault at `vpn` would have to lock, or -1. */
function lockedPageAt(k: Kernel, mm: AddressSpace, vpn: Vpn): number {
  const slot = mm.slotOf(vpn);
  const pmd = slot < 0 ? 0 : mm.pmd[slot];
  if (pmd !== 0) return pteIsKind(pmd, PTE_KIND_MIGRATION) ? ptePayload(pmd) : -1;
  const i = mm.pteIndex(vpn);
  const word = i < 0 ? 0 : k.ptes.words[i];
  if (pteIsKind(word, PTE_KIND_MIGRATION)) return ptePayload(word);
  if (pteIsKind(word, PTE_KIND_SWAP)) return k.swap.cachedFrame(ptePayload(word));
  const vma = mm.findVma(vpn);
  return word !== 0 || vma === null || vma.file === null ? -1 : vma.file.frameAt(vma.indexOf(vpn));
}

/**
 * do_user_addr_fault: resolves one fault of an access, counted as pgfault. An access that no area
 * allows is none.
 */
export function handleFault(k: Kernel, task: Task, vpn: Vpn, write: boolean): number {
  const mm = task.mm!;
  k.pm.currentNid = task.cpuNid;
  k.currentMm = mm;
  const vma = mm.findVma(vpn) ?? expandStack(mm, vpn);
  if (vma === null) return FAULT_SIGSEGV;
  const need = write ? VM_WRITE : VM_READ | VM_WRITE | VM_EXEC;
  if ((vma.flags & need) === 0) return FAULT_SIGSEGV;
  return accountFault(k, handleMmFault(k, task, vma, vpn, write));
}

/** mm_account_fault: what handle_mm_fault resolved, also for GUP and KSM, is a pgfault. */
export function accountFault(k: Kernel, outcome: number): number {
  if ((outcome & FAULT_RETRY) === 0) k.vmstat.count(PGFAULT, 1);
  return outcome;
}

function handleMmFault(k: Kernel, task: Task, vma: Vma, vpn: Vpn, write: boolean): number {
  const mm = vma.mm;
  if (vma.has(VM_HUGETLB)) return hugetlbFault(k, task, vma, vpn, write);
  const slot = mm.ensureSlot(vpn);
  const pmd = mm.pmd[slot];
  if (pmd !== 0) {
    if ((pmd & PTE_FAST) === 0) {
      if (pteKind(pmd) === PTE_KIND_MIGRATION) return FAULT_WAIT;
      if (pteKind(pmd) === PTE_KIND_DEVICE_PRIVATE) {
        return doDevicePrivate(k, task, vma, vpn, ptePayload(pmd), write, true);
      }
      return doNumaPage(k, task, vma, vpn, slot);
    }
    if (!write || (pmd & PTE_W) !== 0) return FAULT_DONE;
    const result = doHugePmdWp(k, task, vma, slot);
    if (result >= 0) return result;
  } else if (mm.leaf[slot] < 0) {
    const order = thpFaultOrder(k, vma, vpn);
    if (order > 0) {
      const result = doHugePmdFault(k, task, vma, slot, write);
      if (result >= 0) return result;
    }
  }
  return handlePteFault(k, task, vma, vpn, write);
}

function handlePteFault(k: Kernel, task: Task, vma: Vma, vpn: Vpn, write: boolean): number {
  const mm = vma.mm;
  const i = pteAlloc(k, mm, vpn, task.cpuNid);
  if (i < 0) return FAULT_OOM;
  const word = k.ptes.words[i];
  if (word === 0) {
    if (vma.isAnonymous()) return doAnonymousPage(k, task, vma, vpn, i, write);
    return doFileFault(k, task, vma, vpn, i, write);
  }
  if ((word & PTE_FAST) !== 0) {
    if (!write || (word & PTE_W) !== 0) return FAULT_DONE;
    return doWpPage(k, task, vma, vpn, i);
  }
  switch (pteKind(word)) {
    case PTE_KIND_PROTNONE:
      return doNumaPage(k, task, vma, vpn, -1);
    case PTE_KIND_SWAP:
      return doSwapPage(k, task, vma, vpn, i, write);
    case PTE_KIND_MIGRATION:
      return FAULT_WAIT;
    case PTE_KIND_HWPOISON:
      return FAULT_POISONED;
    case PTE_KIND_MARKER:
      return markerFault(k, task, vma, vpn, i, write);
    case PTE_KIND_DEVICE_PRIVATE:
      return doDevicePrivate(k, task, vma, vpn, ptePayload(word), write, false);
    case PTE_KIND_DEVICE_EXCLUSIVE:
      return removeDeviceExclusive(k, vma, vpn, i);
    default:
      return FAULT_SIGBUS;
  }
}

/** OV section 6: guard: SIGSEGV, poisoned: SIGBUS, uffd-wp: dropped. */
function markerFault(k: Kernel, task: Task, vma: Vma, vpn: Vpn, i: number, write: boolean): number {
  const marker = ptePayload(k.ptes.words[i]);
  if (marker === MARKER_GUARD) return FAULT_SIGSEGV;
  if (marker !== 0) return FAULT_POISONED;
  k.ptes.set(i, 0, 0);
  if (vma.isAnonymous()) return doAnonymousPage(k, task, vma, vpn, i, write);
  return doFileFault(k, task, vma, vpn, i, write);
}

/** do_anonymous_page: zero page for a read, a fresh folio for a write. */
function doAnonymousPage(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  i: number,
  write: boolean,
): number {
  if (!write) {
    k.ptes.set(i, pteFast(k.zeroFrame, PTE_A), PTEB_SPECIAL);
    return FAULT_DONE;
  }
  anonVmaPrepare(k, vma);
  const order = mthpOrder(k, vma, vpn, i);
  let head = -1;
  let used = order;
  for (; used > 0 && head < 0; used = nextLowerOrder(k, vma, used)) {
    const first = vpn - (vpn % (1 << used));
    head = allocVmaFolio(k, task, vma, first, used, GFP_HIGHUSER_MOVABLE);
    if (head >= 0) break;
  }
  if (head < 0) {
    used = 0;
    head = allocVmaFolio(k, task, vma, vpn, 0, GFP_HIGHUSER_MOVABLE);
  }
  if (head < 0) return FAULT_OOM;
  const nr = 1 << used;
  const firstVpn = vpn - (vpn % nr);
  mapNewAnon(k, task, vma, head, firstVpn, i - (vpn - firstVpn), vpn);
  return FAULT_CLEARED;
}

/** Maps a fresh anonymous folio at consecutive entries from `i`; `touched` gets A. */
export function mapNewAnon(
  k: Kernel,
  task: Task,
  vma: Vma,
  head: number,
  firstVpn: Vpn,
  i: number,
  touched: Vpn,
): void {
  const f = k.frames;
  const nr = k.folios.nrPages(head);
  f.flags[head] |= PG_SWAPBACKED;
  k.folios.setAnonMapping(head, vma.anonVma!.id);
  f.setIndex(head, vma.indexOf(firstVpn));
  f.refcount[head] += nr - 1;
  const writable = (vma.flags & VM_WRITE) !== 0 ? PTE_W | PTE_D : 0;
  const soft = PTEB_SOFT_DIRTY;
  for (let n = 0; n < nr; n++) {
    f.flags[head + n] |= PG_ANON_EXCLUSIVE;
    addRmapPte(k, head + n, vma.mm);
    const young = firstVpn + n === touched || nr > 1 ? PTE_A : 0;
    k.ptes.set(i + n, pteFast(head + n, writable | young), soft);
  }
  vma.mm.rssAnon += nr;
  addToLruVma(k, task, vma, head);
}

/** folio_add_lru_vma: the unevictable list for locked areas, else the cpu's batch. */
export function addToLruVma(k: Kernel, task: Task, vma: Vma, head: number): void {
  if (vma.has(VM_LOCKED)) {
    mlockNewFolio(k, task.cpu, head);
    return;
  }
  k.lru.addBatched(task.cpu, head);
}

/** OV-31b: largest enabled mTHP order whose aligned range lies in the VMA with all entries none. */
function mthpOrder(k: Kernel, vma: Vma, vpn: Vpn, i: number): number {
  const orders = mthpOrders(k, vma);
  if (orders === 0) return 0;
  for (let order = 8; order >= 2; order--) {
    if ((orders & (1 << order)) === 0) continue;
    const nr = 1 << order;
    const first = vpn - (vpn % nr);
    if (first < vma.start || first + nr > vma.end) continue;
    const base = i - (vpn - first);
    let n = 0;
    while (n < nr && k.ptes.words[base + n] === 0) n++;
    if (n === nr) return order;
  }
  return 0;
}

function nextLowerOrder(k: Kernel, vma: Vma, order: number): number {
  const orders = mthpOrders(k, vma);
  for (let o = order - 1; o >= 2; o--) if ((orders & (1 << o)) !== 0) return o;
  return 0;
}

/** expand_stack: a GROWSDOWN area grows to an address below it within the stack limit. */
function expandStack(mm: AddressSpace, vpn: Vpn): Vma | null {
  const i = mm.indexAtOrAfter(vpn);
  if (i === mm.vmas.length) return null;
  const vma = mm.vmas[i];
  if (!vma.has(VM_GROWSDOWN) || vma.end - vpn > STACK_PAGES_MAX) return null;
  const previous = i > 0 ? mm.vmas[i - 1] : null;
  if (previous !== null && vpn < previous.end + 256) return null;
  vma.pgoff -= vma.start - vpn;
  vma.start = vpn;
  return vma;
}

/** Shared writable file mappings that must see the first write (vma_wants_writenotify). */
export function wantsWriteNotify(vma: Vma): boolean {
  return (vma.flags & VM_SHARED) !== 0 && vma.file !== null && vma.file.traits.writeback;
}
