/**
 * Changing protections, and marking entries for NUMA hint faults, which is the same operation
 * (mm/mprotect.c: mprotect_fixup, change_protection, can_change_pte_writable). MC-35, MP-30, TI-21.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { EACCES, ENOMEM } from '../uapi/errno.ts';
import type { AddressSpace } from './addressSpace.ts';
import { wantsWriteNotify } from './fault.ts';
import type { Kernel } from './kernel.ts';
import { vmFlagsOfProt } from './mmap.ts';
import { MMU_NOTIFY_PROTECTION_VMA, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_D,
  PTE_FAST,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MIGRATION,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_DIRTY,
  PTEB_EXCLUSIVE,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  PTEB_WRITE,
  PTEB_YOUNG,
  pteAdwToByte,
  pteByteToAdw,
  pteFast,
  pteIsKind,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { splitPmd } from './pteSetup.ts';
import { VM_ACCESS_FLAGS, VM_MAYNOTWRITE, VM_SHARED, VM_WRITE, type Vma } from './vma.ts';
import { mergeRange, splitAtEnds } from './vmaList.ts';

/**
 * mprotect of [start, end): -ENOMEM where it is not mapped, -EACCES where the file was not opened
 * for writing; what lies before is changed.
 */
export function mprotectRange(
  k: Kernel,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  prot: number,
): number {
  splitAtEnds(k, mm, start, end);
  let vpn = start;
  let result = 0;
  for (let i = mm.indexAtOrAfter(start); vpn < end; i++) {
    const vma = mm.vmas[i];
    if (vma === undefined || vma.start > vpn) {
      result = -ENOMEM;
      break;
    }
    const wanted = vmFlagsOfProt(prot);
    if ((wanted & VM_WRITE) !== 0 && vma.has(VM_MAYNOTWRITE)) {
      result = -EACCES;
      break;
    }
    const flags = (vma.flags & ~VM_ACCESS_FLAGS) | wanted;
    if (flags !== vma.flags) {
      vma.flags = flags;
      mmuNotifierInvalidate(mm, vma.start, vma.end, MMU_NOTIFY_PROTECTION_VMA);
      changeProtection(k, vma, vma.start, vma.end);
    }
    vpn = vma.end;
  }
  mergeRange(k, mm, start, end);
  return result;
}

/** Rewrites the entries of a range to what the VMA's flags allow now. */
export function changeProtection(k: Kernel, vma: Vma, start: Vpn, end: Vpn): void {
  const mm = vma.mm;
  for (let vpn = start; vpn < end; ) {
    const next = Math.min(end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
    const slot = mm.slotOf(vpn);
    if (slot >= 0 && mm.pmd[slot] !== 0) {
      if (next - vpn === HPAGE_PMD_NR) {
        changed.word = mm.pmd[slot];
        changed.byte = mm.pmdByte[slot];
        changeEntry(k, vma);
        mm.pmd[slot] = changed.word;
        mm.pmdByte[slot] = changed.byte;
      } else {
        splitPmd(k, mm, slot);
      }
    }
    if (slot >= 0 && mm.leaf[slot] >= 0) {
      const base = mm.leaf[slot] * HPAGE_PMD_NR - mm.slotVpn[slot];
      for (let i = base + vpn; i < base + next; i++) {
        if (k.ptes.words[i] === 0) continue;
        changed.word = k.ptes.words[i];
        changed.byte = k.ptes.bytes[i];
        changeEntry(k, vma);
        k.ptes.set(i, changed.word, changed.byte);
      }
    }
    vpn = next;
  }
}

/** The entry being rewritten; a pair of fields instead of an object per entry. */
const changed = { word: 0, byte: 0 };

function changeEntry(k: Kernel, vma: Vma): void {
  const { word, byte } = changed;
  if (pteIsKind(word, PTE_KIND_MIGRATION)) {
    // Whatever is allowed now: the entry that comes back is written to by a fault.
    if ((byte & PTEB_WRITE) !== 0) {
      const anon = k.folios.isAnon(k.frames.headOf(ptePayload(word)));
      changed.byte = (byte & ~(PTEB_WRITE | PTEB_EXCLUSIVE)) | (anon ? PTEB_EXCLUSIVE : 0);
    }
    return;
  }
  if (pteIsKind(word, PTE_KIND_DEVICE_PRIVATE)) {
    // DM section 9: read kind from now on, whatever is allowed; soft-dirty is not kept.
    if ((byte & PTEB_WRITE) !== 0) changed.byte = byte & PTEB_UFFD_WP;
    return;
  }
  const fast = (word & PTE_FAST) !== 0;
  if (!fast && !pteIsKind(word, PTE_KIND_PROTNONE)) return;
  const frame = ptePayload(word);
  const adw = fast ? word & 0xe : pteByteToAdw(byte & ~PTEB_WRITE);
  const kept = byte & ~(PTEB_YOUNG | PTEB_DIRTY | PTEB_WRITE);
  if (!vma.isAccessible()) {
    changed.word = pteOther(PTE_KIND_PROTNONE, frame);
    changed.byte = kept | (pteAdwToByte(adw) & ~PTEB_WRITE);
    return;
  }
  let next = adw & ~PTE_W;
  const special = (byte & PTEB_SPECIAL) !== 0;
  if (!special && canBeWritable(k, vma, frame, kept, adw)) next |= PTE_W;
  changed.word = pteFast(frame, next);
  changed.byte = kept;
}

/** can_change_pte_writable. */
function canBeWritable(k: Kernel, vma: Vma, page: number, byte: number, adw: number): boolean {
  if (!vma.has(VM_WRITE) || (byte & PTEB_UFFD_WP) !== 0) return false;
  if (!vma.has(VM_SHARED)) return k.folios.isAnonExclusive(page);
  return !wantsWriteNotify(vma) || (adw & PTE_D) !== 0;
}
