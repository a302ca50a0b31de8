/**
 * /proc/PID/pagemap (fs/proc/task_mmu.c: pagemap_open, pagemap_read). HS-20..HS-23.
 *
 * A file is opened by a task on a task; the opener's rights decide at open whether it may read, and
 * at every read whether it sees frame numbers. What an entry says is mm's pagemapEntry; this file
 * adds the swap type in bits 0..4 and lays the word out.
 * Not modelled: PAGEMAP_SCAN, soft-dirty, user namespaces.
 */
import type { Vpn } from '../base/units.ts';
import {
  type AddressSpace,
  CAP_SYS_ADMIN,
  type Kernel,
  PM_PRESENT,
  PM_SWAP,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_HWPOISON,
  PTE_KIND_MARKER,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  PTEB_EXCLUSIVE,
  PTEB_WRITE,
  pagemapEntry,
  pteKind,
  ptePayload,
  ptraceMayRead,
  TASK_SIZE_PAGES,
  type Task,
} from '../mm/index.ts';
import { EACCES, ESRCH } from '../uapi/errno.ts';
import { readWords, type Word64, type Words, wordRange } from './wordFile.ts';

/** Swap types of x86-64 with all kinds of entries configured (include/linux/swap.h). */
export const SWP_HWPOISON = 24;
export const SWP_MIGRATION_READ = 25;
export const SWP_MIGRATION_READ_EXCLUSIVE = 26;
export const SWP_MIGRATION_WRITE = 27;
export const SWP_DEVICE_WRITE = 28;
export const SWP_DEVICE_READ = 29;
export const SWP_DEVICE_EXCLUSIVE = 30;
export const SWP_PTE_MARKER = 31;

const SWP_TYPES = 32;

/** An open pagemap of a process. */
export class PagemapFile {
  readonly #k: Kernel;
  readonly #mm: AddressSpace;
  readonly #opener: Task;

  constructor(k: Kernel, mm: AddressSpace, opener: Task) {
    this.#k = k;
    this.#mm = mm;
    this.#opener = opener;
  }

  /**
   * The words of `length` bytes from `offset`, 8 bytes a page; fewer at the end of the address
   * space, none past it. Errors: -EINVAL unless both are multiples of 8 (HS-23).
   */
  read(offset: number, length: number): Words | number {
    const showsPfn = this.#opener.capable(CAP_SYS_ADMIN);
    return readWords(wordRange(offset, length, TASK_SIZE_PAGES), (vpn) =>
      pagemapWord(this.#k, this.#mm, vpn, showsPfn),
    );
  }
}

/** Opens the pagemap of `target`. Errors: -EACCES without ptrace-read access (HS-21), -ESRCH. */
export function openPagemap(k: Kernel, opener: Task, target: Task): PagemapFile | number {
  if (target.mm === null) return -ESRCH;
  return ptraceMayRead(opener, target) ? new PagemapFile(k, target.mm, opener) : -EACCES;
}

/** The word of one page. */
export function pagemapWord(k: Kernel, mm: AddressSpace, vpn: Vpn, showsPfn: boolean): Word64 {
  const { payload, bits } = pagemapEntry(k, mm, vpn);
  let low55 = 0;
  if (showsPfn) {
    if ((bits & PM_PRESENT) !== 0) low55 = payload;
    else if ((bits & PM_SWAP) !== 0) low55 = swapField(k, mm, vpn, payload);
  }
  return { low: low55 >>> 0, high: ((bits << 24) | Math.floor(low55 / 2 ** 32)) >>> 0 };
}

/** Swap type and offset of an entry that is not present. */
function swapField(k: Kernel, mm: AddressSpace, vpn: Vpn, payload: number): number {
  const { word, byte } = entryAt(k, mm, vpn);
  const type = swapType(word, byte);
  // Page 0 of a swap area holds its header, so the model's slot 0 is Linux' slot 1.
  if (pteKind(word) === PTE_KIND_SWAP) return (payload + 1) * SWP_TYPES + type;
  if (type !== SWP_PTE_MARKER) return payload * SWP_TYPES + type;
  return 2 ** ptePayload(word) * SWP_TYPES + type;
}

function entryAt(k: Kernel, mm: AddressSpace, vpn: Vpn): { word: number; byte: number } {
  const slot = mm.slotOf(vpn);
  if (mm.pmd[slot] !== 0) return { word: mm.pmd[slot], byte: mm.pmdByte[slot] };
  const i = mm.pteIndex(vpn);
  return { word: k.ptes.words[i], byte: k.ptes.bytes[i] };
}

function swapType(word: number, byte: number): number {
  const writes = (byte & PTEB_WRITE) !== 0;
  switch (pteKind(word)) {
    case PTE_KIND_MIGRATION:
      if (writes) return SWP_MIGRATION_WRITE;
      return (byte & PTEB_EXCLUSIVE) !== 0 ? SWP_MIGRATION_READ_EXCLUSIVE : SWP_MIGRATION_READ;
    case PTE_KIND_DEVICE_PRIVATE:
      return writes ? SWP_DEVICE_WRITE : SWP_DEVICE_READ;
    case PTE_KIND_DEVICE_EXCLUSIVE:
      return SWP_DEVICE_EXCLUSIVE;
    case PTE_KIND_HWPOISON:
      return SWP_HWPOISON;
    case PTE_KIND_MARKER:
      return SWP_PTE_MARKER;
    default:
      return 0;
  }
}
