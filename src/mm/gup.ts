/**
 * Getting hold of user pages: references (FOLL_GET) and pins (FOLL_PIN), and moving pages out of
 * ZONE_MOVABLE and CMA before they are pinned for long (mm/gup.c). PM-1..PM-25.
 *
 * Order of a long-term pin: fault and pin all; if some may not stay where they are, unpin all,
 * migrate those, start again (PM-17).
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { EAGAIN, EBUSY, EFAULT, EINTR, EINVAL, ENOMEM } from '../uapi/errno.ts';
import { __GFP_MOVABLE, __GFP_NOWARN, GFP_USER } from '../uapi/gfp.ts';
import {
  FOLL_FAST,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HONOR_NUMA_FAULT,
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
import { releaseFolio } from './folioLifecycle.ts';
import { PG_REFERENCED } from './frameTable.ts';
import { checkVmaFlags, faultInPage, followPage, NEED_FAULT, WOULD_WAIT } from './gupFollow.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import { isDeviceCoherent, isFsDax } from './memremap.ts';
import { migratePages } from './migrate.ts';
import { migrateDeviceCoherentFolio } from './migrateVma.ts';
import type { Task } from './task.ts';

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
  if (!isValidGupArgs(flags, FOLL_PIN)) return -EINVAL;
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
  if (!isValidGupArgs(flags, FOLL_GET)) return -EINVAL;
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
  return pagesFast(k, task, start, nr, flags, FOLL_PIN, out);
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
  return pagesFast(k, task, start, nr, flags, FOLL_GET, out);
}

/** is_valid_gup_args: PM-2. */
function isValidGupArgs(given: number, kind: typeof FOLL_PIN | typeof FOLL_GET): boolean {
  if ((given & FOLL_INTERNAL) !== 0) return false;
  const flags = given | kind;
  if ((flags & FOLL_PIN) !== 0 && (flags & FOLL_GET) !== 0) return false;
  if ((flags & FOLL_LONGTERM) === 0) return true;
  return (flags & FOLL_PIN) !== 0 && (flags & FOLL_PCI_P2PDMA) === 0;
}

function pagesFast(
  k: Kernel,
  task: Task,
  start: Vpn,
  nr: number,
  given: number,
  kind: typeof FOLL_PIN | typeof FOLL_GET,
  out: FrameId[],
): number {
  if (!isValidGupArgs(given, kind) || (given & ~FOLL_FAST) !== 0) return -EINVAL;
  const flags = given | kind | FOLL_TOUCH;
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
  if (k.pm.isZoneDevice(page)) return !isDeviceCoherent(k, page) && !isFsDax(k, page);
  const blocks = k.pm.blocks;
  if (blocks.isIsolated(page) || blocks.migratetypeBelowIsolation(page) === MIGRATE_CMA) {
    return false;
  }
  if (page === k.zeroFrame || k.pinsStayInMovable) return true;
  if (!k.pm.isCapable('longterm_pin', page)) return false;
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
  k.currentMm = task.mm;
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
  if (list.length === 0) {
    // Nobody else can bring back what was off its list: the task spins until it is killed (PM-18).
    return coherent.length > 0 || k.letOthersRun() ? -EAGAIN : -EINTR;
  }
  const movable = k.pinsStayInMovable ? __GFP_MOVABLE : 0;
  const gfp = GFP_USER | __GFP_NOWARN | movable;
  const reason = k.pinsStayInMovable ? MR_CONTIG_RANGE : MR_LONGTERM_PIN;
  const mask = task.memsAllowed & k.pm.capable.longterm_pin;
  const destination = { nid: -1, mask, gfp };
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
    if (page < 0) return n > 0 || page === WOULD_WAIT ? n : page;
    grab(k, page, flags);
    out.push(page);
  }
  return nr;
}

/** gup_fast_pte_range: only what needs no fault and may be pinned where it is; else negative. */
function fastPage(k: Kernel, task: Task, vpn: Vpn, flags: number): FrameId {
  const vma = task.mm!.findVma(vpn);
  if (vma === null || checkVmaFlags(vma, flags & ~FOLL_LONGTERM) !== 0) return NEED_FAULT;
  const strict = (flags & ~(FOLL_TOUCH | FOLL_FORCE)) | FOLL_HONOR_NUMA_FAULT;
  const page = followPage(k, vma, vpn, strict);
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
