/**
 * What a device may know of a range of addresses: hmm_range_fault (mm/hmm.c). DM-10..DM-14.
 *
 * A driver asks for the pages of a range; those it requires are faulted in, the others are told as
 * they are. The answer holds as long as the interval notifier was not called meanwhile (DM-3).
 * A pfn word of Linux is a frame and bits here, in two columns.
 *
 * Experimental (device_peer_ranges, DM-92): a private page of another device is told as it is, with
 * HMM_PFN_P2PDMA, if its driver lets peers reach it; Linux brings it to RAM.
 * Not modelled: HMM_PFN_DMA_MAPPED (drivers/dmaRoute.ts says how a page would be mapped).
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Vpn } from '../base/units.ts';
import { EBUSY, EFAULT, EPERM } from '../uapi/errno.ts';
import { FAULT_ERROR, FAULT_WAIT, handleFault, waitOnMigration } from './fault.ts';
import type { Kernel } from './kernel.ts';
import { type MmuInterval, mmuIntervalReadRetry } from './mmuNotifier.ts';
import {
  MARKER_UFFD_WP,
  PTE_FAST,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MARKER,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  PTE_W,
  PTEB_SPECIAL,
  PTEB_WRITE,
  pteIsKind,
  pteIsPresent,
  pteKind,
  ptePayload,
} from './pageTable.ts';
import { PAGE_SPECIAL, presentPage } from './pageWalk.ts';
import type { Task } from './task.ts';
import { waitsForUserfault } from './userfaultfd.ts';
import { VM_IO, VM_PFNMAP, VM_READ, VM_WRITE, type Vma } from './vma.ts';

export const HMM_PFN_VALID = 1;
export const HMM_PFN_WRITE = 2;
export const HMM_PFN_ERROR = 4;
/** The page lies on another device. */
export const HMM_PFN_P2PDMA = 8;
/** Requests: a page must be there; it must be writable. */
export const HMM_PFN_REQ_FAULT = HMM_PFN_VALID;
export const HMM_PFN_REQ_WRITE = HMM_PFN_WRITE;

/** A request and its answer (struct hmm_range). */
export class HmmRange {
  readonly notifier: MmuInterval;
  /** From mmuIntervalReadBegin. */
  seq = 0;
  readonly start: Vpn;
  readonly end: Vpn;
  /** Whose private pages are told as they are; those of others come back to RAM. */
  readonly owner: object | null;
  /** Requests for all pages; and which of the requests in `bits` count. */
  readonly defaultBits: number;
  readonly maskBits: number;
  /** In: requests; out: HMM_PFN_*. Page by page from `start`. */
  readonly bits: Uint8Array;
  /** Out: frame, -1 = none. */
  readonly pages: Int32Array;
  /** Out: order of the mapping, 9 for a PMD. */
  readonly order: Uint8Array;
  /**
   * hmm_range_fault_unlocked: what others do while a page that userfaultfd reports as missing is
   * waited for. null = hmm_range_fault, which keeps the lock and cannot wait.
   */
  onUserfault: ((vpn: Vpn) => void) | null = null;

  constructor(
    notifier: MmuInterval,
    start: Vpn,
    end: Vpn,
    owner: object | null,
    defaultBits: number,
    maskBits: number = 0,
  ) {
    this.notifier = notifier;
    this.start = start;
    this.end = end;
    this.owner = owner;
    this.defaultBits = defaultBits;
    this.maskBits = maskBits;
    this.bits = new Uint8Array(end - start);
    this.pages = new Int32Array(end - start).fill(-1);
    this.order = new Uint8Array(end - start);
  }
}

/** What a page still needs: DM-11. */
const NEED_FAULT = 1;
const NEED_WRITE_FAULT = 2;
/** A fault was taken: look again. Inside only. */
const AGAIN = 1;

/**
 * hmm_range_fault: fills the answer of the range. 0, -EBUSY (the range was invalidated: read a new
 * sequence number and ask again), -EFAULT (a required page cannot be had), -EPERM (a required write
 * to an area that forbids it). `task` is one of the address space: faults are taken in its name.
 */
export function hmmRangeFault(k: Kernel, task: Task, range: HmmRange): number {
  let vpn = range.start;
  while (vpn < range.end) {
    if (mmuIntervalReadRetry(range.notifier, range.seq)) return -EBUSY; // DM-12
    const result = walkOne(k, task, range, vpn);
    if (result < 0) return result;
    if (result === AGAIN) continue;
    vpn += step.pages;
  }
  return 0;
}

/** How many pages the last walkOne answered. */
const step = { pages: 1 };

function walkOne(k: Kernel, task: Task, range: HmmRange, vpn: Vpn): number {
  const mm = range.notifier.mm;
  const vma = mm.findVma(vpn);
  step.pages = 1;
  if (vma === null) return fill(range, vpn, HMM_PFN_ERROR, true);
  if (vma.has(VM_IO | VM_PFNMAP) || !vma.has(VM_READ)) {
    return fill(range, vpn, HMM_PFN_ERROR, true);
  }
  const slot = mm.slotOf(vpn);
  if (slot >= 0 && mm.pmd[slot] !== 0) return walkHuge(k, task, range, vma, vpn, slot);
  const i = mm.pteIndex(vpn);
  const word = i < 0 ? 0 : k.ptes.words[i];
  const byte = i < 0 ? 0 : k.ptes.bytes[i];
  return walkEntry(k, task, range, vma, vpn, word, byte);
}

/** DM-11: NEED_* of a page that offers `cpuBits`. */
function needs(range: HmmRange, vpn: Vpn, cpuBits: number): number {
  const asked = (range.bits[vpn - range.start] & range.maskBits) | range.defaultBits;
  if ((asked & HMM_PFN_REQ_FAULT) === 0) return 0;
  if ((asked & HMM_PFN_REQ_WRITE) !== 0 && (cpuBits & HMM_PFN_WRITE) === 0) {
    return NEED_FAULT | NEED_WRITE_FAULT;
  }
  return (cpuBits & HMM_PFN_VALID) === 0 ? NEED_FAULT : 0;
}

/** An answer without a page; -EFAULT if the page is required and no fault could help. */
function fill(range: HmmRange, vpn: Vpn, bits: number, isError: boolean): number {
  if (isError && needs(range, vpn, 0) !== 0) return -EFAULT;
  range.bits[vpn - range.start] = bits;
  range.pages[vpn - range.start] = -1;
  range.order[vpn - range.start] = 0;
  return 0;
}

/** hmm_vma_handle_pte: DM-13. */
function walkEntry(
  k: Kernel,
  task: Task,
  range: HmmRange,
  vma: Vma,
  vpn: Vpn,
  word: number,
  byte: number,
): number {
  const isWpMarker = pteIsKind(word, PTE_KIND_MARKER) && ptePayload(word) === MARKER_UFFD_WP;
  if (word === 0 || isWpMarker) return faultOrNothing(k, task, range, vma, vpn, 0);
  if (!pteIsPresent(word)) return walkAbsent(k, task, range, vma, vpn, word, byte);
  const cpuBits = presentBits(word);
  if (needs(range, vpn, cpuBits) !== 0) return takeFault(k, task, range, vma, vpn, cpuBits);
  const page = presentPage(k, word, byte);
  if (page === PAGE_SPECIAL) return fill(range, vpn, HMM_PFN_ERROR, true);
  if (cpuBits === 0) return fill(range, vpn, 0, false);
  return tell(range, vpn, ptePayload(word), cpuBits, 0);
}

/** PROT_NONE entries offer nothing. */
function presentBits(word: number): number {
  if ((word & PTE_FAST) === 0) return 0;
  return (word & PTE_W) !== 0 ? HMM_PFN_VALID | HMM_PFN_WRITE : HMM_PFN_VALID;
}

function walkAbsent(
  k: Kernel,
  task: Task,
  range: HmmRange,
  vma: Vma,
  vpn: Vpn,
  word: number,
  byte: number,
): number {
  const kind = pteKind(word);
  if (kind === PTE_KIND_DEVICE_PRIVATE && isOwn(k, range, ptePayload(word))) {
    return tell(range, vpn, ptePayload(word), privateBits(byte), 0);
  }
  if (kind === PTE_KIND_DEVICE_PRIVATE && isReachable(k, ptePayload(word))) {
    const bits = privateBits(byte) | HMM_PFN_P2PDMA;
    if (needs(range, vpn, bits) !== 0) return takeFault(k, task, range, vma, vpn, bits);
    return tell(range, vpn, ptePayload(word), bits, 0);
  }
  const canFault =
    kind === PTE_KIND_SWAP ||
    kind === PTE_KIND_DEVICE_PRIVATE ||
    kind === PTE_KIND_DEVICE_EXCLUSIVE ||
    kind === PTE_KIND_MIGRATION;
  if (canFault) return faultOrNothing(k, task, range, vma, vpn, 0);
  return needs(range, vpn, 0) !== 0 ? -EFAULT : fill(range, vpn, 0, false);
}

function isOwn(k: Kernel, range: HmmRange, page: FrameId): boolean {
  return k.devices.pagemapOf(page).owner === range.owner;
}

function isReachable(k: Kernel, page: FrameId): boolean {
  if (!k.hasExperimental('device_peer_ranges')) return false;
  return k.devices.pagemapOf(page).ops.isReachableByPeers?.() === true;
}

function privateBits(byte: number): number {
  return (byte & PTEB_WRITE) !== 0 ? HMM_PFN_VALID | HMM_PFN_WRITE : HMM_PFN_VALID;
}

/** A PMD leaf: all its pages in the range at once if none needs a fault. */
function walkHuge(
  k: Kernel,
  task: Task,
  range: HmmRange,
  vma: Vma,
  vpn: Vpn,
  slot: number,
): number {
  const mm = vma.mm;
  const word = mm.pmd[slot];
  const byte = mm.pmdByte[slot];
  const first = mm.slotVpn[slot];
  const end = Math.min(range.end, first + HPAGE_PMD_NR);
  const isDevice = pteIsKind(word, PTE_KIND_DEVICE_PRIVATE);
  const isPrivate = isDevice && isOwn(k, range, ptePayload(word));
  const isPeer = isDevice && !isPrivate && isReachable(k, ptePayload(word));
  const told = isPeer ? privateBits(byte) | HMM_PFN_P2PDMA : isPrivate ? privateBits(byte) : 0;
  const cpuBits = pteIsPresent(word) ? presentBits(word) : told;
  for (let v = vpn; v < end && !isPrivate; v++) {
    if (needs(range, v, cpuBits) !== 0) return takeFault(k, task, range, vma, v, cpuBits);
  }
  const isZero = (byte & PTEB_SPECIAL) !== 0 && pteIsPresent(word);
  for (let v = vpn; v < end; v++) {
    if (cpuBits === 0) fill(range, v, 0, false);
    else {
      const page = isZero ? ptePayload(word) : ptePayload(word) + (v - first);
      tell(range, v, page, cpuBits, HPAGE_PMD_ORDER);
    }
  }
  step.pages = end - vpn;
  return 0;
}

function tell(range: HmmRange, vpn: Vpn, page: FrameId, bits: number, order: number): number {
  range.bits[vpn - range.start] = bits;
  range.pages[vpn - range.start] = page;
  range.order[vpn - range.start] = order;
  return 0;
}

function faultOrNothing(
  k: Kernel,
  task: Task,
  range: HmmRange,
  vma: Vma,
  vpn: Vpn,
  cpuBits: number,
): number {
  if (needs(range, vpn, cpuBits) !== 0) return takeFault(k, task, range, vma, vpn, cpuBits);
  return fill(range, vpn, 0, false);
}

/**
 * hmm_vma_fault: DM-14. A missing page of a userfaultfd is VM_FAULT_SIGBUS where nobody may wait
 * (handle_userfault without FAULT_FLAG_ALLOW_RETRY).
 */
function takeFault(
  k: Kernel,
  task: Task,
  range: HmmRange,
  vma: Vma,
  vpn: Vpn,
  cpuBits: number,
): number {
  const write = (needs(range, vpn, cpuBits) & NEED_WRITE_FAULT) !== 0;
  if (write && !vma.has(VM_WRITE)) return -EPERM;
  if (waitsForUserfault(k, vma.mm, vpn, false)) {
    if (range.onUserfault === null) return -EFAULT;
    range.onUserfault(vpn);
    return waitsForUserfault(k, vma.mm, vpn, false) ? -EBUSY : AGAIN;
  }
  const outcome = handleFault(k, task, vpn, write);
  if ((outcome & FAULT_ERROR) !== 0) return -EFAULT;
  if ((outcome & FAULT_WAIT) !== 0) waitOnMigration(k, vma.mm, vpn);
  return AGAIN;
}
