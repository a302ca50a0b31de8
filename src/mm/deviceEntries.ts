/**
 * Device-private and device-exclusive entries: the CPU fault on one, and fork's copy
 * (mm/memory.c: do_swap_page, remove_device_exclusive_entry, restore_exclusive_pte,
 * copy_nonpresent_pte; mm/huge_memory.c: do_huge_pmd_device_private, copy_huge_non_present_pmd).
 * DM-40..DM-43, DM-71, DM-75..DM-77, DM section 9.
 *
 * Not modelled: per-VMA locks (the retry of DM-40).
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { FAULT_DONE, FAULT_WAIT } from './fault.ts';
import { PG_ANON_EXCLUSIVE, PG_DIRTY, PG_LOCKED } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_D,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_UFFD_WP,
  PTEB_WRITE,
  pteChildByte,
  pteFast,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { addRmapPmd, addRmapPte } from './rmap.ts';
import type { Task } from './task.ts';
import { VM_WRITE, type Vma } from './vma.ts';
import { addRss } from './zap.ts';

/**
 * DM-40, DM-42: the page of a device-private entry must come back before the CPU can touch it. The
 * driver's migrateToRam does it; FAULT_SIGBUS is its way to say that it could not.
 */
export function doDevicePrivate(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  page: FrameId,
  isWrite: boolean,
  isHuge: boolean,
): number {
  const f = k.frames;
  const head = f.headOf(page);
  if ((f.flags[head] & PG_LOCKED) !== 0) return FAULT_WAIT;
  f.flags[head] |= PG_LOCKED;
  k.folios.get(head);
  const fault = { task, vma, vpn, isWrite, page, isHuge };
  const result = k.devices.pagemapOf(page).ops.migrateToRam!(fault);
  // A split for the fault's sake moved lock and reference to the page's own folio.
  const now = f.headOf(fault.page);
  f.flags[now] &= ~PG_LOCKED;
  k.putFolio(now);
  return result;
}

/** DM-43: the CPU takes an exclusive page back from the device. */
export function removeDeviceExclusive(k: Kernel, vma: Vma, vpn: Vpn, i: number): number {
  const head = k.frames.headOf(ptePayload(k.ptes.words[i]));
  if ((k.frames.flags[head] & PG_LOCKED) !== 0) return FAULT_WAIT;
  mmuNotifierInvalidate(vma.mm, vpn, vpn + 1, MMU_NOTIFY_CLEAR);
  restoreExclusivePte(k, vma, i);
  return FAULT_DONE;
}

/**
 * restore_exclusive_pte: an ordinary entry again; writable where the area allows it and the page is
 * this process's alone, and then dirty if the folio is.
 */
export function restoreExclusivePte(k: Kernel, vma: Vma, i: number): void {
  const page = ptePayload(k.ptes.words[i]);
  const head = k.frames.headOf(page);
  const kept = k.ptes.bytes[i] & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP);
  if (!vma.isAccessible()) {
    k.ptes.set(i, pteOther(PTE_KIND_PROTNONE, page), kept);
    return;
  }
  const isExclusive = (k.frames.flags[page] & PG_ANON_EXCLUSIVE) !== 0;
  const mayWrite = vma.has(VM_WRITE) && (kept & PTEB_UFFD_WP) === 0 && isExclusive;
  const dirty = (k.frames.flags[head] & PG_DIRTY) !== 0 ? PTE_D : 0;
  k.ptes.set(i, pteFast(page, mayWrite ? PTE_W | dirty : 0), kept);
}

/**
 * fork's copy of a device-private entry: the page has one mapping more, and where copy-on-write
 * applies both entries are of the read kind from now on.
 */
export function copyDevicePrivatePte(
  k: Kernel,
  vma: Vma,
  copy: Vma,
  from: number,
  to: number,
): void {
  const word = k.ptes.words[from];
  const page = ptePayload(word);
  k.frames.refcount[k.frames.headOf(page)]++;
  addRss(k, copy.mm, k.frames.headOf(page), 1);
  k.frames.flags[page] &= ~PG_ANON_EXCLUSIVE;
  addRmapPte(k, page, copy.mm);
  k.ptes.bytes[from] = readKind(vma, k.ptes.bytes[from]);
  k.ptes.set(to, word, pteChildByte(k.ptes.bytes[from]));
}

/** As copyDevicePrivatePte for a PMD leaf; the child's table is deposited already. */
export function copyDevicePrivatePmd(
  k: Kernel,
  vma: Vma,
  copy: Vma,
  from: number,
  to: number,
): void {
  const word = vma.mm.pmd[from];
  const head = ptePayload(word);
  k.frames.refcount[head]++;
  k.frames.flags[head] &= ~PG_ANON_EXCLUSIVE;
  addRmapPmd(k, head, copy.mm);
  vma.mm.pmdByte[from] = readKind(vma, vma.mm.pmdByte[from]);
  copy.mm.pmd[to] = word;
  copy.mm.pmdByte[to] = pteChildByte(vma.mm.pmdByte[from]);
}

/** Soft-dirty does not survive the change of kind. */
function readKind(vma: Vma, byte: number): number {
  return vma.isCow() && (byte & PTEB_WRITE) !== 0 ? byte & PTEB_UFFD_WP : byte;
}

/** Whether a PMD leaf word is a device-private entry. */
export function isDevicePrivateWord(word: number): boolean {
  return (word & 0xf) === PTE_KIND_DEVICE_PRIVATE;
}
