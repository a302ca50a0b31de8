/**
 * Fault on a swap entry (mm/memory.c: do_swap_page). OV-31c: the page comes back where the policy
 * in force says, not where it was. A slot that only this entry refers to is read without the swap
 * cache and freed at once, as for a synchronous device such as zram.
 *
 * Not modelled: swap readahead, large swap-in, zswap.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { addToLruVma, FAULT_DONE, FAULT_MAJOR, FAULT_OOM } from './fault.ts';
import { PG_ANON_EXCLUSIVE, PG_SWAPBACKED } from './frameTable.ts';
import { type Kernel, PGMAJFAULT } from './kernel.ts';
import {
  PTE_A,
  PTE_D,
  PTE_W,
  PTEB_EXCLUSIVE,
  PTEB_SOFT_DIRTY,
  PTEB_UFFD_WP,
  pteFast,
  ptePayload,
} from './pageTable.ts';
import { allocVmaFolio } from './policyNode.ts';
import { anonVmaPrepare } from './pteSetup.ts';
import { addRmapPte } from './rmap.ts';
import { addToSwapCache, freeSwapCache } from './swapCache.ts';
import type { Task } from './task.ts';
import { VM_WRITE, type Vma } from './vma.ts';

const PSWPIN = vmEvent('pswpin');

/** Brings the page of the swap entry at `i` back and maps it. */
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
  let outcome = FAULT_DONE;
  let fresh = false;
  if (page < 0) {
    page = swapIn(k, task, vma, vpn, slot);
    if (page < 0) return FAULT_OOM;
    outcome = FAULT_MAJOR;
    fresh = true;
  }
  const head = k.frames.headOf(page);
  if (!fresh) k.frames.refcount[head]++;
  mapSwappedIn(k, vma, vpn, i, page, byte, write);
  k.swap.release(slot);
  freeSwapCache(k, head);
  if (fresh) addToLruVma(k, task, vma, head);
  return outcome;
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

/** set_pte for the swapped-in page: exclusive and writable if the entry says nobody else has it. */
function mapSwappedIn(
  k: Kernel,
  vma: Vma,
  vpn: Vpn,
  i: number,
  page: FrameId,
  byte: number,
  write: boolean,
): void {
  const f = k.frames;
  const head = f.headOf(page);
  const exclusive = (byte & PTEB_EXCLUSIVE) !== 0;
  if (f.mapping[head] === 0) {
    // A page that forked relatives share must be found through the anon_vma all of them have.
    const anonVma = exclusive ? vma.anonVma! : vma.anonVmaChain[0];
    k.folios.setAnonMapping(head, anonVma.id);
    f.setIndex(head, vma.indexOf(vpn));
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
  k.ptes.set(i, pteFast(page, adw), byte & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP));
}
