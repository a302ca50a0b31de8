/**
 * Getting hold of user pages: references (FOLL_GET) and pins (FOLL_PIN), and moving pages out of
 * ZONE_MOVABLE and CMA before they are pinned for long (mm/gup.c). PM-1..PM-25.
 *
 * Order of a long-term pin: fault and pin all; if some may not stay where they are, unpin all,
 * migrate those, start again (PM-17).
 * Deviates: where no page can be isolated the call gives up with -ENOMEM; Linux tries on (PM-18).
 * Not modelled: FOLL_FORCE, fs-dax, guard regions with their own errno.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { HPAGE_PMD_NR } from '../base/units.ts';
import { EAGAIN, EBUSY, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP } from '../uapi/errno.ts';
import { __GFP_MOVABLE, __GFP_NOWARN, GFP_USER } from '../uapi/gfp.ts';
import {
  FOLL_ANON,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_INTERNAL,
  FOLL_LONGTERM,
  FOLL_PCI_P2PDMA,
  FOLL_PIN,
  FOLL_TOUCH,
  FOLL_WRITE,
} from '../uapi/gup.ts';
import { MIGRATE_SYNC, MR_CONTIG_RANGE, MR_LONGTERM_PIN } from '../uapi/migrate.ts';
import { NR_FOLL_PIN_ACQUIRED, NR_FOLL_PIN_RELEASED } from '../uapi/vmstat.ts';
import { MIGRATE_CMA, ZONE_MOVABLE } from '../uapi/zone.ts';
import {
  FAULT_CLEARED,
  FAULT_COPIED,
  FAULT_ERROR,
  FAULT_OOM,
  FAULT_WAIT,
  handleFault,
  waitOnMigration,
  wantsWriteNotify,
} from './fault.ts';
import { canReuseAnon, copyToAnon } from './faultCow.ts';
import { setFolioDirty } from './fileFolio.ts';
import { releaseFolio } from './folioLifecycle.ts';
import { PG_REFERENCED } from './frameTable.ts';
import { hugetlbWp } from './hugetlb.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import { isDeviceCoherent } from './memremap.ts';
import { migratePages } from './migrate.ts';
import { migrateDeviceCoherentFolio } from './migrateVma.ts';
import { PTE_A, PTE_D, PTE_FAST, PTE_W, PTEB_SPECIAL, ptePayload } from './pageTable.ts';
import { PAGE_SPECIAL, PAGE_ZERO, presentPage } from './pageWalk.ts';
import { splitPmd } from './pteSetup.ts';
import type { Task } from './task.ts';
import {
  VM_DAX,
  VM_HUGETLB,
  VM_IO,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  type Vma,
} from './vma.ts';

/** followPage: nothing usable there yet; a read-only pin must have a copy of its own first. */
const NEED_FAULT = -1001;
const NEED_UNSHARE = -1002;
/** Faults taken for one page before the model calls it a livelock. */
const RETRIES_MAX = 64;

/**
 * pin_user_pages: pins pages [start, start + nr) of the task. The frames (tails included) are
 * appended to `out`. Returns how many were pinned from the start, or the errno if the first could
 * not be: -EFAULT, -EOPNOTSUPP, -ENOMEM, -EINVAL (flags). PM-2, PM-5, PM-17.
 */
export function pinUserPages(
  k: Kernel,
  task: Task,
  start: Vpn,
  nr: number,
  flags: number,
  out: FrameId[],
): number {
  const invalid = flags & (FOLL_INTERNAL | FOLL_GET);
  const p2p = (flags & FOLL_LONGTERM) !== 0 && (flags & FOLL_PCI_P2PDMA) !== 0;
  if (invalid !== 0 || p2p) return -EINVAL;
  return longtermLocked(k, task, start, nr, flags | FOLL_PIN, out);
}

/** get_user_pages: as pinUserPages with plain references. LONGTERM is for pins only (PM-2). */
export function getUserPages(
  k: Kernel,
  task: Task,
  start: Vpn,
  nr: number,
  flags: number,
  out: FrameId[],
): number {
  if ((flags & (FOLL_INTERNAL | FOLL_LONGTERM)) !== 0) return -EINVAL;
  return getPages(k, task, start, nr, flags | FOLL_GET | FOLL_TOUCH, out);
}

/** pin_user_pages_fast: without faults as far as it goes, the rest as pin_user_pages (PM-9). */
export function pinUserPagesFast(
  k: Kernel,
  task: Task,
  start: Vpn,
  nr: number,
  flags: number,
  out: FrameId[],
): number {
  return pagesFast(k, task, start, nr, flags | FOLL_PIN | FOLL_TOUCH, out);
}

/** get_user_pages_fast: as pinUserPagesFast with plain references. */
export function getUserPagesFast(
  k: Kernel,
  task: Task,
  start: Vpn,
  nr: number,
  flags: number,
  out: FrameId[],
): number {
  if ((flags & (FOLL_INTERNAL | FOLL_LONGTERM)) !== 0) return -EINVAL;
  return pagesFast(k, task, start, nr, flags | FOLL_GET | FOLL_TOUCH, out);
}

function pagesFast(
  k: Kernel,
  task: Task,
  start: Vpn,
  nr: number,
  flags: number,
  out: FrameId[],
): number {
  let fast = 0;
  while (fast < nr) {
    const page = fastPage(k, task, start + fast, flags);
    if (page < 0) break;
    grab(k, page, flags);
    out.push(page);
    fast++;
  }
  if (fast === nr) return nr;
  const slow = longtermLocked(k, task, start + fast, nr - fast, flags, out);
  if (slow >= 0) return fast + slow;
  return fast > 0 ? fast : slow;
}

/** unpin_user_pages. */
export function unpinUserPages(k: Kernel, pages: readonly FrameId[]): void {
  for (const page of pages) {
    if (page === k.zeroFrame) continue;
    const head = k.frames.headOf(page);
    k.vmstat.modNode(k.pm.nidOf(head), NR_FOLL_PIN_RELEASED, 1);
    if (k.folios.unpin(head, 1)) releaseFolio(k, head);
  }
}

/** put_page of pages that getUserPages got. */
export function putUserPages(k: Kernel, pages: readonly FrameId[]): void {
  for (const page of pages) k.putFolio(k.frames.headOf(page));
}

/** PM-15 (folio_is_longterm_pinnable). */
export function isLongtermPinnable(k: Kernel, page: FrameId): boolean {
  if (k.pm.isZoneDevice(page)) return !isDeviceCoherent(k, page);
  const blocks = k.pm.blocks;
  if (blocks.isIsolated(page) || blocks.migratetypeBelowIsolation(page) === MIGRATE_CMA) {
    return false;
  }
  if (page === k.zeroFrame || k.pinsStayInMovable) return true;
  return k.pm.zoneOf(page).type !== ZONE_MOVABLE;
}

/**
 * __gup_longterm_locked: the loop of PM-17 under memalloc_pin (PM-16). Before 5.13 only CMA was
 * left behind, under memalloc_nocma, and what did not migrate was pinned where it was.
 */
function longtermLocked(
  k: Kernel,
  task: Task,
  start: Vpn,
  nr: number,
  flags: number,
  out: FrameId[],
): number {
  if ((flags & FOLL_LONGTERM) === 0) return getPages(k, task, start, nr, flags, out);
  const { hooks } = k.pm;
  const { memallocPin, memallocNocma } = hooks;
  if (k.pinsStayInMovable) hooks.memallocNocma = true;
  else hooks.memallocPin = true;
  let mayMigrate = true;
  let result = -EAGAIN;
  while (result === -EAGAIN) {
    const pinned: FrameId[] = [];
    const got = getPages(k, task, start, nr, flags, pinned);
    if (got <= 0) result = got;
    else result = mayMigrate ? migrateUnpinnable(k, task, pinned) : 0;
    if (result === -ENOMEM && got > 0 && k.pinsStayInMovable) {
      mayMigrate = false;
      result = -EAGAIN;
    }
    if (result !== 0 || got <= 0) continue;
    for (const page of pinned) out.push(page);
    result = got;
  }
  hooks.memallocPin = memallocPin;
  hooks.memallocNocma = memallocNocma;
  return result;
}

/**
 * check_and_migrate_movable_pages: 0 if all pages may stay. Otherwise everything is unpinned, those
 * that may not are migrated, and -EAGAIN asks for another round; -ENOMEM if one did not move,
 * -EBUSY if a coherent device page did not.
 */
function migrateUnpinnable(k: Kernel, task: Task, pinned: readonly FrameId[]): number {
  const list: FrameId[] = [];
  const coherent: FrameId[] = [];
  let unpinnable = 0;
  let previous = -1;
  let drained = false;
  for (const page of pinned) {
    const head = k.frames.headOf(page);
    if (head === previous || isLongtermPinnable(k, head)) continue;
    previous = head;
    unpinnable++;
    if (k.pm.isZoneDevice(head)) {
      // The pin becomes a plain reference, which the migration expects (DM-36).
      k.folios.get(head);
      coherent.push(head);
      continue;
    }
    // A batch would hold a reference and keep the folio off the lists.
    if (!drained) k.lru.drainAll();
    drained = true;
    // A folio that cannot be isolated is looked at again in the next round (PM-18).
    isolateFolio(k, head, list);
  }
  if (unpinnable === 0) return 0;
  unpinUserPages(k, pinned);
  if (!moveCoherent(k, task, coherent)) {
    putbackMovablePages(k, list);
    return -EBUSY;
  }
  if (list.length === 0) return coherent.length > 0 ? -EAGAIN : -ENOMEM;
  const movable = k.pinsStayInMovable ? __GFP_MOVABLE : 0;
  const gfp = GFP_USER | __GFP_NOWARN | movable;
  const reason = k.pinsStayInMovable ? MR_CONTIG_RANGE : MR_LONGTERM_PIN;
  const destination = { nid: -1, mask: task.memsAllowed, gfp };
  const left = migratePages(k, list, destination, MIGRATE_SYNC, reason);
  putbackMovablePages(k, list);
  return left === 0 ? -EAGAIN : -ENOMEM;
}

/** Coherent pages to system memory; false if one could not go: the references of the rest go. */
function moveCoherent(k: Kernel, task: Task, coherent: readonly FrameId[]): boolean {
  for (let n = 0; n < coherent.length; n++) {
    if (migrateDeviceCoherentFolio(k, task, coherent[n]) === 0) continue;
    for (const head of coherent.slice(n + 1)) k.putFolio(head);
    return false;
  }
  return true;
}

/** __get_user_pages: as many from the start as there are, or the first one's errno. */
function getPages(
  k: Kernel,
  task: Task,
  start: Vpn,
  nr: number,
  flags: number,
  out: FrameId[],
): number {
  for (let n = 0; n < nr; n++) {
    const vma = task.mm!.findVma(start + n);
    const page = vma === null ? -EFAULT : faultInPage(k, task, vma, start + n, flags);
    if (page < 0) return n > 0 ? n : page;
    grab(k, page, flags);
    out.push(page);
  }
  return nr;
}

/**
 * faultin_page until follow_page_mask finds the page: a frame, or a negative errno. Takes no
 * reference.
 */
export function faultInPage(k: Kernel, task: Task, vma: Vma, vpn: Vpn, flags: number): FrameId {
  const refused = checkVmaFlags(vma, flags);
  if (refused !== 0) return refused;
  for (let tries = 0; tries < RETRIES_MAX; tries++) {
    const page = followPage(k, vma, vpn, flags);
    if (page >= 0 || page === -EFAULT) return page;
    const outcome =
      page === NEED_UNSHARE
        ? unshare(k, task, vma, vpn)
        : handleFault(k, task, vpn, (flags & FOLL_WRITE) !== 0);
    if ((outcome & FAULT_OOM) !== 0) return -ENOMEM;
    if ((outcome & FAULT_ERROR) !== 0) return -EFAULT;
    if ((outcome & FAULT_WAIT) !== 0) waitOnMigration(k, vma.mm, vpn);
  }
  throw new Error(`pinning page ${vpn} of mm ${vma.mm.id} does not settle`);
}

/** PM-3 (check_vma_flags). */
function checkVmaFlags(vma: Vma, flags: number): number {
  if (vma.has(VM_IO | VM_PFNMAP)) return -EFAULT;
  if ((flags & FOLL_ANON) !== 0 && !vma.isAnonymous()) return -EFAULT;
  const longterm = (flags & FOLL_LONGTERM) !== 0;
  if (longterm && vma.has(VM_DAX)) return -EOPNOTSUPP;
  if (vma.file?.kind === 'secretmem') return -EFAULT;
  const mayForce = (flags & FOLL_FORCE) !== 0;
  if ((flags & FOLL_WRITE) === 0) return vma.has(VM_READ) || mayForce ? 0 : -EFAULT;
  const tracked = vma.has(VM_SHARED) && vma.has(VM_WRITE) && wantsWriteNotify(vma);
  if (longterm && tracked) return -EFAULT;
  return vma.has(VM_WRITE) ? 0 : -EFAULT;
}

/** follow_page_mask: a frame, NEED_*, or -EFAULT for raw memory; accessed and dirty (PM-6a). */
function followPage(k: Kernel, vma: Vma, vpn: Vpn, flags: number): FrameId {
  const mm = vma.mm;
  const slot = mm.slotOf(vpn);
  if (slot < 0) return NEED_FAULT;
  const offset = vpn - mm.slotVpn[slot];
  const huge = mm.pmd[slot] !== 0;
  if (!huge && mm.leaf[slot] < 0) return NEED_FAULT;
  const i = mm.leaf[slot] * HPAGE_PMD_NR + offset;
  const word = huge ? mm.pmd[slot] : k.ptes.words[i];
  const byte = huge ? mm.pmdByte[slot] : k.ptes.bytes[i];
  // NUMA hints and everything that is not present are resolved by a fault.
  if ((word & PTE_FAST) === 0) return NEED_FAULT;
  const write = (flags & FOLL_WRITE) !== 0;
  if (write && (word & PTE_W) === 0) return NEED_FAULT;
  const special = (byte & PTEB_SPECIAL) !== 0;
  const frame = huge ? ptePayload(word) + (special ? 0 : offset) : presentPage(k, word, byte);
  if (frame === PAGE_SPECIAL) return -EFAULT;
  const zero = frame === PAGE_ZERO || (huge && special);
  const page = zero ? k.zeroFrame : frame;
  if (mustUnshare(k, vma, page, zero, huge, flags)) return NEED_UNSHARE;
  if ((flags & FOLL_TOUCH) !== 0) {
    // touch_pmd: a huge page's entry is marked, not the folio.
    if (huge) mm.pmd[slot] = (word | (write ? PTE_A | PTE_D : PTE_A)) >>> 0;
    else if (!zero) touch(k, page, write && (word & PTE_D) === 0);
  }
  return page;
}

function touch(k: Kernel, page: FrameId, dirties: boolean): void {
  const head = k.frames.headOf(page);
  if (dirties) setFolioDirty(k, head);
  k.lru.markAccessed(head);
}

/** gup_must_unshare: PM-8. */
function mustUnshare(
  k: Kernel,
  vma: Vma,
  page: FrameId,
  zero: boolean,
  huge: boolean,
  flags: number,
): boolean {
  if ((flags & (FOLL_WRITE | FOLL_PIN)) !== FOLL_PIN) return false;
  const head = k.frames.headOf(page);
  if (zero || !k.folios.isAnon(head)) return (flags & FOLL_LONGTERM) !== 0 && vma.isCow();
  return !k.folios.isAnonExclusive(huge ? head : page);
}

/** A fault with FAULT_FLAG_UNSHARE: the entry gets an exclusive page, but does not get writable. */
function unshare(k: Kernel, task: Task, vma: Vma, vpn: Vpn): number {
  const mm = vma.mm;
  const slot = mm.slotOf(vpn);
  if (vma.has(VM_HUGETLB)) return hugetlbWp(k, task, vma, slot, true);
  if (mm.pmd[slot] !== 0) splitPmd(k, mm, slot);
  const i = mm.pteIndex(vpn);
  const page = presentPage(k, k.ptes.words[i], k.ptes.bytes[i]);
  const head = page < 0 ? -1 : k.frames.headOf(page);
  if (head >= 0 && k.folios.isAnon(head) && canReuseAnon(k, task.cpu, head, page)) return 0;
  const outcome = copyToAnon(k, task, vma, vpn, i, page < 0 ? -1 : page);
  // FAULT_DONE alone: reclaim changed the entry meanwhile, nothing was copied.
  if ((outcome & (FAULT_COPIED | FAULT_CLEARED)) !== 0) {
    k.ptes.set(i, (k.ptes.words[i] & ~(PTE_W | PTE_D)) >>> 0, k.ptes.bytes[i]);
  }
  return outcome;
}

/** gup_fast_pte_range: only what needs no fault and may be pinned where it is; else negative. */
function fastPage(k: Kernel, task: Task, vpn: Vpn, flags: number): FrameId {
  const vma = task.mm!.findVma(vpn);
  if (vma === null || checkVmaFlags(vma, flags & ~FOLL_LONGTERM) !== 0) return NEED_FAULT;
  const page = followPage(k, vma, vpn, flags & ~FOLL_TOUCH);
  if (page < 0) return page;
  if ((flags & FOLL_LONGTERM) !== 0) {
    if (!isLongtermPinnable(k, page)) return NEED_FAULT;
    const head = k.frames.headOf(page);
    const swapbacked = k.folios.isAnon(head) || vma.file?.isShmem() === true;
    if ((flags & FOLL_WRITE) !== 0 && !swapbacked) return NEED_FAULT;
  }
  if (page !== k.zeroFrame) k.frames.set(k.frames.headOf(page), PG_REFERENCED);
  return page;
}

/** try_grab_folio: PM-6, PM-7. */
function grab(k: Kernel, page: FrameId, flags: number): void {
  const head = k.frames.headOf(page);
  if ((flags & FOLL_PIN) === 0) {
    k.folios.get(head);
    return;
  }
  if (page === k.zeroFrame) return;
  k.folios.pin(head, 1);
  k.vmstat.modNode(k.pm.nidOf(head), NR_FOLL_PIN_ACQUIRED, 1);
}
