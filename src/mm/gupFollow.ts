/**
 * How GUP gets at one page: may this area be looked at, what does its entry hold, which fault would
 * make it usable (mm/gup.c: check_vma_flags, follow_page_mask, faultin_page, gup_must_unshare).
 * PM-3, PM-6a, PM-8.
 *
 * Order: checks of the area -> entry -> fault -> entry again.
 * Not modelled: shadow stacks, protection keys, signals while
 * waiting (FOLL_INTERRUPTIBLE has no effect).
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { HPAGE_PMD_NR } from '../base/units.ts';
import { EBUSY, EFAULT, EHWPOISON, ENOMEM, EOPNOTSUPP, EREMOTEIO } from '../uapi/errno.ts';
import {
  FOLL_ANON,
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_HONOR_NUMA_FAULT,
  FOLL_HWPOISON,
  FOLL_LONGTERM,
  FOLL_NOFAULT,
  FOLL_NOWAIT,
  FOLL_PCI_P2PDMA,
  FOLL_PIN,
  FOLL_SPLIT_PMD,
  FOLL_TOUCH,
  FOLL_WRITE,
} from '../uapi/gup.ts';
import {
  accountFault,
  FAULT_CLEARED,
  FAULT_COPIED,
  FAULT_ERROR,
  FAULT_HWPOISON,
  FAULT_OOM,
  FAULT_WAIT,
  handleFault,
  waitOnMigration,
  wantsWriteNotify,
} from './fault.ts';
import { canReuseAnon, copyToAnon } from './faultCow.ts';
import { refaultByEntry } from './faultFile.ts';
import { setFolioDirty } from './fileFolio.ts';
import { hugetlbWp } from './hugetlb.ts';
import type { Kernel } from './kernel.ts';
import { isPciP2pdma } from './memremap.ts';
import { changeProtection } from './mprotect.ts';
import {
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_W,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  pteIsDirty,
  pteIsPresent,
  ptePayload,
} from './pageTable.ts';
import { PAGE_SPECIAL, PAGE_ZERO, presentPage } from './pageWalk.ts';
import { splitPmd } from './pteSetup.ts';
import type { Task } from './task.ts';
import { doHugePmdWp, FAULT_FALLBACK } from './thpFault.ts';
import {
  VM_ACCESS_FLAGS,
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
export const NEED_FAULT = -1001;
const NEED_UNSHARE = -1002;
/** FOLL_NOWAIT, and the fault would have to wait. */
export const WOULD_WAIT = -EBUSY;
/** Faults taken for one page before the model calls it a livelock. */
const RETRIES_MAX = 64;

/**
 * faultin_page until follow_page_mask finds the page: a frame, a negative errno, or WOULD_WAIT.
 * Takes no reference.
 */
export function faultInPage(k: Kernel, task: Task, vma: Vma, vpn: Vpn, flags: number): FrameId {
  const refused = checkVmaFlags(vma, flags);
  if (refused !== 0) return refused;
  for (let tries = 0; tries < RETRIES_MAX; tries++) {
    if ((flags & FOLL_SPLIT_PMD) !== 0 && !splitLeaf(k, task, vma, vpn, flags)) return -ENOMEM;
    const page = followPage(k, vma, vpn, flags);
    if (page >= 0 || page === -EFAULT || page === -EREMOTEIO) return page;
    if ((flags & FOLL_NOFAULT) !== 0) return -EFAULT;
    const outcome =
      page === NEED_UNSHARE ? unshare(k, task, vma, vpn) : faultin(k, task, vma, vpn, flags);
    if ((outcome & FAULT_OOM) !== 0) return -ENOMEM;
    if ((outcome & FAULT_ERROR) !== 0) {
      const tells = (outcome & FAULT_HWPOISON) !== 0 && (flags & FOLL_HWPOISON) !== 0;
      return tells ? -EHWPOISON : -EFAULT;
    }
    if ((outcome & FAULT_WAIT) === 0) continue;
    if ((flags & FOLL_NOWAIT) !== 0) return WOULD_WAIT;
    waitOnMigration(k, vma.mm, vpn);
  }
  throw new Error(`pinning page ${vpn} of mm ${vma.mm.id} does not settle`);
}

/** FOLL_SPLIT_PMD (split_huge_pmd, pte_alloc); a page of a file faults in again. */
function splitLeaf(k: Kernel, task: Task, vma: Vma, vpn: Vpn, flags: number): boolean {
  const { mm } = vma;
  const slot = mm.slotOf(vpn);
  const word = slot < 0 ? 0 : mm.pmd[slot];
  if (word === 0) return true;
  const page = ptePayload(word) + (vpn - mm.slotVpn[slot]);
  const isFile = vma.file !== null && pteIsPresent(word) && !k.folios.isAnon(ptePayload(word));
  splitPmd(k, mm, slot);
  const writes = (flags & FOLL_WRITE) !== 0 && vma.has(VM_WRITE);
  return !isFile || refaultByEntry(k, task, vma, vpn, page, writes);
}

/** PM-3 (check_vma_flags): 0, -EFAULT or -EOPNOTSUPP. */
export function checkVmaFlags(vma: Vma, flags: number): number {
  if (vma.has(VM_IO | VM_PFNMAP)) return -EFAULT;
  if ((flags & FOLL_ANON) !== 0 && !vma.isAnonymous()) return -EFAULT;
  const longterm = (flags & FOLL_LONGTERM) !== 0;
  // vma_is_fsdax: device-dax has no file system that could want its blocks back.
  if (longterm && vma.has(VM_DAX) && vma.file?.kind !== 'devdax') return -EOPNOTSUPP;
  if ((flags & FOLL_SPLIT_PMD) !== 0 && vma.has(VM_HUGETLB)) return -EOPNOTSUPP;
  if (vma.file?.kind === 'secretmem') return -EFAULT;
  const force = (flags & FOLL_FORCE) !== 0;
  if ((flags & FOLL_WRITE) === 0) return vma.has(VM_READ) || force ? 0 : -EFAULT;
  const tracked = vma.has(VM_SHARED) && vma.has(VM_WRITE) && wantsWriteNotify(vma);
  if (longterm && tracked) return -EFAULT;
  if (vma.has(VM_WRITE)) return 0;
  return force && vma.isCow() && !vma.has(VM_HUGETLB) ? 0 : -EFAULT;
}

/** follow_page_mask: a frame, NEED_*, or -EFAULT for raw memory; accessed and dirty (PM-6a). */
export function followPage(k: Kernel, vma: Vma, vpn: Vpn, flags: number): FrameId {
  const mm = vma.mm;
  const slot = mm.slotOf(vpn);
  if (slot < 0) return nothingThere(vma, flags);
  const offset = vpn - mm.slotVpn[slot];
  const huge = mm.pmd[slot] !== 0;
  if (!huge && mm.leaf[slot] < 0) return nothingThere(vma, flags);
  const i = mm.leaf[slot] * HPAGE_PMD_NR + offset;
  const word = huge ? mm.pmd[slot] : k.ptes.words[i];
  const byte = huge ? mm.pmdByte[slot] : k.ptes.bytes[i];
  if (word === 0) return nothingThere(vma, flags);
  if (!pteIsPresent(word)) return NEED_FAULT;
  if ((word & PTE_FAST) === 0 && !canFollowProtnone(k, vma, flags)) return NEED_FAULT;
  const special = (byte & PTEB_SPECIAL) !== 0;
  const frame = huge ? ptePayload(word) + (special ? 0 : offset) : presentPage(k, word, byte);
  if (frame === PAGE_SPECIAL) return -EFAULT;
  const zero = frame === PAGE_ZERO || (huge && special);
  const page = zero ? k.zeroFrame : frame;
  // PM-4 (try_grab_folio): memory of a device, for those who can do DMA between devices.
  const isPeer = !zero && (flags & FOLL_PCI_P2PDMA) === 0 && isPciP2pdma(k, page);
  if (isPeer) return -EREMOTEIO;
  const write = (flags & FOLL_WRITE) !== 0;
  if (write && !canFollowWrite(k, vma, word, byte, zero, page, flags)) return NEED_FAULT;
  if (zero && (flags & FOLL_DUMP) !== 0) return -EFAULT;
  if (mustUnshare(k, vma, page, zero, huge, flags)) return NEED_UNSHARE;
  if ((flags & FOLL_TOUCH) !== 0) {
    // touch_pmd: a huge page's entry is marked, not the folio.
    if (huge && (word & PTE_FAST) !== 0) {
      mm.pmd[slot] = (word | (write ? PTE_A | PTE_D : PTE_A)) >>> 0;
    } else if (!zero) touch(k, page, write && !pteIsDirty(word, byte));
  }
  return page;
}

/** no_page_table: a core dump leaves holes where nothing ever was. */
function nothingThere(vma: Vma, flags: number): number {
  return (flags & FOLL_DUMP) !== 0 && vma.isAnonymous() ? -EFAULT : NEED_FAULT;
}

/** gup_can_follow_protnone: NUMA hints are no obstacle, unless the caller asks to honour them. */
function canFollowProtnone(k: Kernel, vma: Vma, flags: number): boolean {
  if (!k.profile.gupFollowsNumaHints) return (flags & FOLL_FORCE) !== 0;
  return (flags & FOLL_HONOR_NUMA_FAULT) === 0 || !vma.isAccessible();
}

/** can_follow_write_pte: writable, or forced upon a private page that is broken out already. */
function canFollowWrite(
  k: Kernel,
  vma: Vma,
  word: number,
  byte: number,
  zero: boolean,
  page: FrameId,
  flags: number,
): boolean {
  if ((word & PTE_FAST) !== 0 && (word & PTE_W) !== 0) return true;
  if ((flags & FOLL_FORCE) === 0 || vma.has(VM_SHARED) || vma.has(VM_WRITE) || zero) return false;
  const exclusive = k.folios.isAnon(k.frames.headOf(page)) && k.folios.isAnonExclusive(page);
  return exclusive && (byte & PTEB_UFFD_WP) === 0;
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
  return accountFault(k, unsharePage(k, task, vma, vpn));
}

function unsharePage(k: Kernel, task: Task, vma: Vma, vpn: Vpn): number {
  const mm = vma.mm;
  const slot = mm.slotOf(vpn);
  if (vma.has(VM_HUGETLB)) return hugetlbWp(k, task, vma, slot, true);
  if (mm.pmd[slot] !== 0) {
    const huge = unshareHuge(k, task, vma, slot);
    if (huge !== FAULT_FALLBACK) return huge;
  }
  const i = mm.pteIndex(vpn);
  const page = presentPage(k, k.ptes.words[i], k.ptes.bytes[i]);
  const head = page < 0 ? -1 : k.frames.headOf(page);
  if (head >= 0 && k.folios.isAnon(head) && canReuseAnon(k, task.cpu, head, page)) return 0;
  const outcome = copyToAnon(k, task, vma, vpn, i, page < 0 ? -1 : page);
  // FAULT_DONE alone: reclaim changed the entry meanwhile, nothing was copied.
  if ((outcome & (FAULT_COPIED | FAULT_CLEARED)) !== 0) {
    k.ptes.set(i, (k.ptes.words[i] & ~(PTE_W | PTE_D)) >>> 0, k.ptes.bytes[i]);
    if (!vma.isAccessible()) changeProtection(k, vma, vpn, vpn + 1);
  }
  return outcome;
}

/** wp_huge_pmd: only private anonymous areas take a huge leaf over; others fall back to entries. */
function unshareHuge(k: Kernel, task: Task, vma: Vma, slot: number): number {
  if (vma.isAnonymous()) return doHugePmdWp(k, task, vma, slot, true);
  splitPmd(k, vma.mm, slot);
  return FAULT_FALLBACK;
}

/** faultin_page: an ordinary fault, or one that the area's protection would not let a CPU take. */
function faultin(k: Kernel, task: Task, vma: Vma, vpn: Vpn, flags: number): number {
  const write = (flags & FOLL_WRITE) !== 0;
  if (vma.has(write ? VM_WRITE : VM_ACCESS_FLAGS)) return handleFault(k, task, vpn, write);
  return forcedFault(k, task, vma, vpn, write);
}

/**
 * FOLL_FORCE: the fault is taken as if the area allowed it, and entries end as its protection has
 * it (maybe_mkwrite, vm_page_prot): copy-on-write is broken, and the CPU may still not write.
 */
function forcedFault(k: Kernel, task: Task, vma: Vma, vpn: Vpn, write: boolean): number {
  const own = vma.flags;
  const first = Math.max(vma.start, vpn - (vpn % HPAGE_PMD_NR));
  const last = Math.min(vma.end, vpn - (vpn % HPAGE_PMD_NR) + HPAGE_PMD_NR);
  vma.flags |= VM_READ | (write ? VM_WRITE : 0);
  changeProtection(k, vma, first, last);
  const outcome = handleFault(k, task, vpn, write);
  vma.flags = own;
  changeProtection(k, vma, first, last);
  return outcome;
}
