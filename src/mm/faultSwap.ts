/**
 * Fault on a swap entry (mm/memory.c: do_swap_page). OV-31c: the page comes back where the policy
 * in force says, not where it was. A slot that only this entry refers to is read without the swap
 * cache and freed at once, as for a synchronous device such as zram; where the setting of a size
 * allows it, with its neighbours as one large folio (alloc_swap_folio).
 *
 * Not modelled: swap readahead, zswap.
 */
import { type FrameId, HPAGE_PMD_ORDER, type Vpn } from '../base/units.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import {
  addToLruVma,
  FAULT_DONE,
  FAULT_MAJOR,
  FAULT_OOM,
  FAULT_POISONED,
  FAULT_RETRY,
  FAULT_WAIT,
} from './fault.ts';
import { doWpPage } from './faultCow.ts';
import { PG_ANON_EXCLUSIVE, PG_HWPOISON, PG_SWAPBACKED } from './frameTable.ts';
import { type Kernel, PGMAJFAULT } from './kernel.ts';
import { mlockFolio } from './mlock.ts';
import {
  PTE_A,
  PTE_D,
  PTE_KIND_SWAP,
  PTE_W,
  PTEB_EXCLUSIVE,
  PTEB_SOFT_DIRTY,
  PTEB_UFFD_WP,
  pteFast,
  pteIsKind,
  ptePayload,
} from './pageTable.ts';
import { allocVmaFolio } from './policyNode.ts';
import { anonVmaPrepare } from './pteSetup.ts';
import { addRmapPte } from './rmap.ts';
import { addToSwapCache, freeSwapCache } from './swapCache.ts';
import type { Task } from './task.ts';
import { mthpOrders } from './thpFault.ts';
import { VM_LOCKED, VM_UFFD_MISSING, VM_UFFD_WP, VM_WRITE, type Vma } from './vma.ts';

const PSWPIN = vmEvent('pswpin');
const KSM_SWPIN_COPY = vmEvent('ksm_swpin_copy');

/**
 * Brings the page of the swap entry at `i` back and maps it. FAULT_WAIT: the page is in the swap
 * cache, locked by a migration (MC-90).
 */
export function doSwapPage(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  i: number,
  write: boolean,
): number {
  anonVmaPrepare(k, vma);
  const slot = ptePayload(k.ptes.words[i]);
  const byte = k.ptes.bytes[i];
  let page = k.swap.cachedFrame(slot);
  const fresh = page < 0;
  if (fresh) {
    const order = swapInOrder(k, vma, vpn, i);
    if (order > 0 && swapInLarge(k, task, vma, vpn, i, order, write)) return FAULT_MAJOR;
    page = swapIn(k, task, vma, vpn, slot);
    if (page < 0) return FAULT_OOM;
  } else {
    if (k.frames.has(page, PG_HWPOISON)) return FAULT_POISONED; // MC-82a: the data is lost
    if (k.inFlight.has(k.frames.headOf(page))) return FAULT_WAIT | FAULT_RETRY;
    k.folios.get(k.frames.headOf(page));
  }
  const head = k.frames.headOf(page);
  if (isOthersPage(k, vma, vpn, page)) return copySwappedIn(k, task, vma, vpn, i, page, write);
  k.swap.release(slot);
  freeSwapCache(k, head);
  // Nobody else can have it: the entry says so, or no reference but this fault's is left.
  const exclusive = (byte & PTEB_EXCLUSIVE) !== 0 || k.frames.refcount[head] === 1;
  mapSwappedIn(k, vma, vpn, i, page, byte, exclusive, write);
  if (fresh) addToLruVma(k, task, vma, head);
  else if (vma.has(VM_LOCKED) && !k.folios.isLarge(head)) mlockFolio(k, head);
  let outcome = fresh ? FAULT_MAJOR : FAULT_DONE;
  if (write && (k.ptes.words[i] & PTE_W) === 0) outcome |= doWpPage(k, task, vma, vpn, i);
  return outcome;
}

/**
 * ksm_might_need_to_copy: the page of a slot that merged places share is somebody's own by now, and
 * rmap would not find this place.
 */
function isOthersPage(k: Kernel, vma: Vma, vpn: Vpn, page: FrameId): boolean {
  const head = k.frames.headOf(page);
  if (!k.folios.isAnon(head) || k.folios.isKsm(head)) return false;
  if (k.frames.indexOf(head) + (page - head) !== vma.indexOf(vpn)) return true;
  const anonVma = k.anonVmas[k.folios.mappingId(head)];
  return anonVma == null || !vma.anonVmaChain.includes(anonVma);
}

/** The place gets a copy of its own; the caller's reference to `page` is used up. */
function copySwappedIn(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  i: number,
  page: FrameId,
  write: boolean,
): number {
  const f = k.frames;
  const head = f.headOf(page);
  const copy = allocVmaFolio(k, task, vma, vpn, 0, GFP_HIGHUSER_MOVABLE);
  if (copy < 0) {
    k.putFolio(head);
    return FAULT_OOM;
  }
  if (f.content !== null) f.content[copy] = f.content[page];
  f.flags[copy] |= PG_SWAPBACKED;
  k.vmstat.count(KSM_SWPIN_COPY, 1);
  k.swap.release(ptePayload(k.ptes.words[i]));
  freeSwapCache(k, head);
  k.putFolio(head);
  mapSwappedIn(k, vma, vpn, i, copy, k.ptes.bytes[i], true, write);
  addToLruVma(k, task, vma, copy);
  return FAULT_DONE;
}

/** A fresh page with the slot's content; in the swap cache if others refer to the slot too. */
function swapIn(k: Kernel, task: Task, vma: Vma, vpn: Vpn, slot: number): FrameId {
  const page = allocVmaFolio(k, task, vma, vpn, 0, GFP_HIGHUSER_MOVABLE);
  if (page < 0) return -1;
  const f = k.frames;
  if (f.content !== null) f.content[page] = k.swap.contentOf(slot);
  f.flags[page] |= PG_SWAPBACKED;
  if (k.swap.count(slot) > 1) addToSwapCache(k, page, slot);
  k.vmstat.count(PSWPIN, 1);
  k.vmstat.count(PGMAJFAULT, 1);
  return page;
}

/** The largest enabled order whose entries are one run of slots that nobody else has; 0: none. */
function swapInOrder(k: Kernel, vma: Vma, vpn: Vpn, i: number): number {
  const orders = k.profile.largeSwapIn ? mthpOrders(k, vma) : 0;
  if (orders === 0 || vma.has(VM_UFFD_WP | VM_UFFD_MISSING)) return 0;
  for (let order = HPAGE_PMD_ORDER - 1; order > 0; order--) {
    if ((orders & (1 << order)) === 0) continue;
    const first = vpn - (vpn % (1 << order));
    if (first < vma.start || first + (1 << order) > vma.end) continue;
    if (isSwapRun(k, i - (vpn - first), 1 << order)) return order;
  }
  return 0;
}

/** can_swapin_thp: consecutive slots of one alignment, equal bits, none in the swap cache. */
function isSwapRun(k: Kernel, base: number, nr: number): boolean {
  const { words, bytes } = k.ptes;
  const slot = ptePayload(words[base]);
  if (slot % nr !== 0) return false;
  for (let n = 0; n < nr; n++) {
    if (!pteIsKind(words[base + n], PTE_KIND_SWAP) || bytes[base + n] !== bytes[base]) return false;
    if (ptePayload(words[base + n]) !== slot + n) return false;
    if (k.swap.count(slot + n) !== 1 || k.swap.cachedFrame(slot + n) >= 0) return false;
  }
  return true;
}

/** Brings 2^order pages back as one folio. False: no memory for it. */
function swapInLarge(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  i: number,
  order: number,
  write: boolean,
): boolean {
  const nr = 1 << order;
  const first = vpn - (vpn % nr);
  const base = i - (vpn - first);
  const head = allocVmaFolio(k, task, vma, first, order, GFP_HIGHUSER_MOVABLE);
  // The allocation may reclaim: what was a run may be none now.
  if (head < 0 || !isSwapRun(k, base, nr)) {
    if (head >= 0) k.putFolio(head);
    return false;
  }
  const f = k.frames;
  f.flags[head] |= PG_SWAPBACKED;
  f.refcount[head] += nr - 1;
  for (let n = 0; n < nr; n++) {
    const slot = ptePayload(k.ptes.words[base + n]);
    if (f.content !== null) f.content[head + n] = k.swap.contentOf(slot);
    mapSwappedIn(k, vma, first + n, base + n, head + n, k.ptes.bytes[base + n], true, write);
    k.swap.release(slot);
  }
  k.vmstat.count(PSWPIN, nr);
  k.vmstat.count(PGMAJFAULT, 1);
  addToLruVma(k, task, vma, head);
  return true;
}

/** set_pte for the swapped-in page: exclusive and writable if the entry says nobody else has it. */
function mapSwappedIn(
  k: Kernel,
  vma: Vma,
  vpn: Vpn,
  i: number,
  page: FrameId,
  byte: number,
  exclusive: boolean,
  write: boolean,
): void {
  const f = k.frames;
  const head = f.headOf(page);
  if (f.mapping[head] === 0) {
    // A page that forked relatives share must be found through the anon_vma all of them have.
    const anonVma = exclusive ? vma.anonVma! : vma.anonVmaChain[0];
    k.folios.setAnonMapping(head, anonVma.id);
    f.setIndex(head, vma.indexOf(vpn - (page - head)));
  }
  let adw = PTE_A;
  if (exclusive) {
    f.flags[page] |= PG_ANON_EXCLUSIVE;
    if (vma.has(VM_WRITE) && (byte & PTEB_UFFD_WP) === 0) adw |= PTE_W;
    if (write && (adw & PTE_W) !== 0) adw |= PTE_D;
  }
  addRmapPte(k, page, vma.mm);
  vma.mm.rssAnon++;
  vma.mm.swapEnts--;
  const soft = (adw & PTE_D) !== 0 ? PTEB_SOFT_DIRTY : 0;
  k.ptes.set(i, pteFast(page, adw), soft | (byte & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP)));
}
