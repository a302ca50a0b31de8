/**
 * fork, clone and exit: copying an address space (kernel/fork.c: dup_mmap; mm/memory.c:
 * copy_page_range; mm/huge_memory.c: copy_huge_pmd). OV-18, OV-31f, MC-35, PM-8, PM-8a.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { ENOMEM } from '../uapi/errno.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import type { AddressSpace } from './addressSpace.ts';
import {
  copyDevicePrivatePmd,
  copyDevicePrivatePte,
  isDevicePrivateWord,
  restoreExclusivePte,
} from './deviceEntries.ts';
import { addToLruVma } from './fault.ts';
import { PG_ANON_EXCLUSIVE, PG_SWAPBACKED } from './frameTable.ts';
import { copyHugetlb } from './hugetlb.ts';
import type { Kernel } from './kernel.ts';
import { exitMmap } from './mmap.ts';
import {
  MMU_NOTIFY_CLEAR,
  MMU_NOTIFY_PROTECTION_PAGE,
  mmuNotifierInvalidate,
} from './mmuNotifier.ts';
import {
  MARKER_UFFD_WP,
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
  PTEB_DIRTY,
  PTEB_EXCLUSIVE,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  PTEB_WRITE,
  PTEB_YOUNG,
  pteChildByte,
  pteFast,
  pteIsPresent,
  pteKind,
  pteMkold,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { allocVmaFolio } from './policyNode.ts';
import { pteAlloc, splitPmd } from './pteSetup.ts';
import { addRmapPmd, addRmapPte } from './rmap.ts';
import type { Task } from './task.ts';
import {
  anonVmaLink,
  VM_DONTCOPY,
  VM_HUGETLB,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYBE_GUARD,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_SHARED,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  VM_WIPEONFORK,
  VM_WRITE,
  Vma,
} from './vma.ts';
import { cloneAnonVmas, insertVma } from './vmaList.ts';
import { addRss } from './zap.ts';

/** fork(2): the child task, or -ENOMEM with nothing left behind. */
export function forkTask(k: Kernel, parent: Task): Task | number {
  const mm = k.newAddressSpace();
  const child = k.addTask(parent, mm, false);
  if (copyAddressSpace(k, parent, child, parent.mm!, mm)) return child;
  exitTask(k, child);
  k.tasks.delete(child.pid);
  return -ENOMEM;
}

/** clone(CLONE_VM | CLONE_THREAD): a thread of the same process. */
export function cloneThread(k: Kernel, parent: Task): Task {
  parent.mm!.users++;
  return k.addTask(parent, parent.mm, true);
}

/** exit: the last user tears the address space down. The task stays as a zombie until reaped. */
export function exitTask(k: Kernel, task: Task): void {
  const mm = task.mm;
  task.mm = null;
  task.exited = true;
  if (mm === null || --mm.users > 0) return;
  exitMmap(k, mm);
}

/** wait(2): the zombie goes. */
export function reapTask(k: Kernel, task: Task): void {
  k.tasks.delete(task.pid);
}

/** dup_mmap. False when memory ran out. */
function copyAddressSpace(
  k: Kernel,
  parent: Task,
  child: Task,
  from: AddressSpace,
  to: AddressSpace,
): boolean {
  to.mmapBase = from.mmapBase;
  to.brkStart = from.brkStart;
  to.brk = from.brk;
  to.dumpable = from.dumpable;
  to.vdsoNid = from.vdsoNid;
  for (const vma of [...from.vmas]) {
    if (vma.has(VM_DONTCOPY)) continue;
    // Nobody asked for fork events: the child is not registered (dup_userfaultfd).
    const flags = vma.flags & ~(VM_LOCKED | VM_LOCKONFAULT | VM_UFFD_WP | VM_UFFD_MISSING);
    const copy = new Vma(to, vma.start, vma.end, flags, vma.pgoff);
    copy.file = vma.file;
    copy.policy = vma.policy;
    insertVma(copy);
    if (vma.has(VM_WIPEONFORK)) continue;
    if (vma.anonVma !== null) {
      cloneAnonVmas(vma, copy);
      copy.anonVma = k.newAnonVma();
      anonVmaLink(copy, copy.anonVma);
    }
    const copies = vma.has(VM_PFNMAP | VM_MIXEDMAP | VM_MAYBE_GUARD) || vma.anonVma !== null;
    if (copies && !copyRange(k, parent, child, vma, copy)) return false;
  }
  return true;
}

function copyRange(k: Kernel, parent: Task, child: Task, vma: Vma, copy: Vma): boolean {
  if (vma.has(VM_HUGETLB)) return copyHugetlb(k, child, vma, copy);
  const mm = vma.mm;
  if (vma.isCow()) mmuNotifierInvalidate(mm, vma.start, vma.end, MMU_NOTIFY_PROTECTION_PAGE);
  for (let vpn = vma.start; vpn < vma.end; ) {
    const next = Math.min(vma.end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
    const slot = mm.slotOf(vpn);
    if (slot >= 0 && mm.pmd[slot] !== 0 && !copyPmd(k, parent, vma, copy, slot)) {
      splitPmd(k, mm, slot);
    }
    if (slot >= 0 && mm.leaf[slot] >= 0) {
      for (let v = vpn; v < next; v++) {
        if (k.ptes.words[mm.leaf[slot] * HPAGE_PMD_NR + (v - mm.slotVpn[slot])] === 0) continue;
        if (!copyEntry(k, child, vma, copy, v)) return false;
      }
    }
    vpn = next;
  }
  return true;
}

/** copy_huge_pmd. False: the PMD must be split first (a pinned page, or no table to deposit). */
function copyPmd(k: Kernel, parent: Task, vma: Vma, copy: Vma, slot: number): boolean {
  const mm = vma.mm;
  const isFile =
    (mm.pmdByte[slot] & PTEB_SPECIAL) === 0 && !k.folios.isAnon(ptePayload(mm.pmd[slot]));
  if (isFile) return true; // the child faults files in itself
  const table = k.allocPageTable(parent.cpuNid);
  if (table < 0) return false;
  // The allocation may have reclaimed, and that splits a PMD leaf for swapping it out.
  const word = mm.pmd[slot];
  const byte = mm.pmdByte[slot];
  const head = ptePayload(word);
  const special = (byte & PTEB_SPECIAL) !== 0;
  const present = pteIsPresent(word);
  if (isDevicePrivateWord(word)) {
    const target = copy.mm.ensureSlot(mm.slotVpn[slot]);
    copy.mm.deposit[target] = table;
    copyDevicePrivatePmd(k, vma, copy, slot, target);
    copy.mm.rssAnon += HPAGE_PMD_NR;
    return true;
  }
  const pinned =
    present && !special && k.folios.isAnonExclusive(head) && k.folios.maybeDmaPinned(head);
  if (word === 0 || pinned) {
    k.freePageTable(table);
    return word === 0;
  }
  const target = copy.mm.ensureSlot(mm.slotVpn[slot]);
  copy.mm.deposit[target] = table;
  if (special) {
    copy.mm.pmd[target] = pteMkold(word);
    copy.mm.pmdByte[target] = pteChildByte(byte);
    return true;
  }
  if (present) {
    k.frames.flags[head] &= ~PG_ANON_EXCLUSIVE;
    k.frames.refcount[head]++;
    addRmapPmd(k, head, copy.mm);
    if ((word & PTE_FAST) !== 0) mm.pmd[slot] = (word & ~PTE_W) >>> 0;
  } else {
    mm.pmdByte[slot] = byte & ~(PTEB_WRITE | PTEB_EXCLUSIVE);
  }
  // The child's leaf starts old (pmd_mkold).
  copy.mm.pmd[target] = present ? pteMkold(mm.pmd[slot]) : mm.pmd[slot];
  copy.mm.pmdByte[target] = pteChildByte(mm.pmdByte[slot]) & ~(present ? PTEB_YOUNG : 0);
  copy.mm.rssAnon += HPAGE_PMD_NR;
  return true;
}

/** copy_present_ptes and copy_nonpresent_pte for one entry. */
function copyEntry(k: Kernel, child: Task, vma: Vma, copy: Vma, vpn: Vpn): boolean {
  const from = vma.mm.pteIndex(vpn);
  const to = pteAlloc(k, copy.mm, vpn, child.cpuNid);
  if (to < 0) return false;
  const word = k.ptes.words[from];
  const byte = k.ptes.bytes[from];
  const private_ = !vma.has(VM_SHARED);
  if (pteIsPresent(word)) {
    if ((byte & PTEB_SPECIAL) !== 0) {
      k.ptes.set(to, pteMkold(word), pteChildByte(byte));
      return true;
    }
    return copyPresent(k, child, vma, copy, vpn, from, to);
  }
  switch (pteKind(word)) {
    case PTE_KIND_SWAP:
      k.swap.duplicate(ptePayload(word));
      k.ptes.bytes[from] = byte & ~PTEB_EXCLUSIVE;
      k.ptes.set(to, word, pteChildByte(k.ptes.bytes[from]));
      copy.mm.swapEnts++;
      return true;
    case PTE_KIND_MIGRATION:
      if (private_) k.ptes.bytes[from] = byte & ~(PTEB_WRITE | PTEB_EXCLUSIVE);
      k.ptes.set(to, word, pteChildByte(k.ptes.bytes[from]));
      addRss(k, copy.mm, k.frames.headOf(ptePayload(word)), 1);
      return true;
    case PTE_KIND_HWPOISON:
      k.ptes.set(to, word, byte);
      return true;
    case PTE_KIND_MARKER:
      // copy_pte_marker: guards and errors; what userfaultfd protects is the parent's affair.
      if (ptePayload(word) !== MARKER_UFFD_WP) k.ptes.set(to, word, byte);
      return true;
    case PTE_KIND_DEVICE_PRIVATE:
      copyDevicePrivatePte(k, vma, copy, from, to);
      return true;
    case PTE_KIND_DEVICE_EXCLUSIVE:
      // DM-71: the parent's entry is an ordinary one again, and is copied as such.
      mmuNotifierInvalidate(vma.mm, vpn, vpn + 1, MMU_NOTIFY_CLEAR);
      restoreExclusivePte(k, vma, from);
      return copyPresent(k, child, vma, copy, vpn, from, to);
    default:
      return assert(false, 'an entry of an unknown kind', word) as never;
  }
}

function copyPresent(
  k: Kernel,
  child: Task,
  vma: Vma,
  copy: Vma,
  vpn: Vpn,
  from: number,
  to: number,
): boolean {
  const f = k.frames;
  const word = k.ptes.words[from];
  const page = ptePayload(word);
  const head = f.headOf(page);
  const anon = k.folios.isAnon(head);
  if (anon && (f.flags[page] & PG_ANON_EXCLUSIVE) !== 0) {
    if (k.folios.maybeDmaPinned(head)) return copyPinned(k, child, copy, vpn, to, page);
    f.flags[page] &= ~PG_ANON_EXCLUSIVE;
  }
  const private_ = !vma.has(VM_SHARED);
  let kept = word;
  if (private_ && (word & PTE_FAST) !== 0) kept = (word & ~PTE_W) >>> 0;
  k.ptes.words[from] = kept;
  // The child's entry starts old, and clean for shared mappings (__copy_present_ptes).
  let childWord = pteMkold(kept);
  if ((kept & PTE_FAST) !== 0 && !private_) childWord = (childWord & ~PTE_D) >>> 0;
  k.ptes.set(to, childWord, pteChildByte(k.ptes.bytes[from]) & ~PTEB_YOUNG);
  f.refcount[head]++;
  addRmapPte(k, page, copy.mm);
  addRss(k, copy.mm, head, 1);
  return true;
}

/** PM-8: a page that may be pinned stays the parent's alone; the child gets its copy at once. */
function copyPinned(
  k: Kernel,
  child: Task,
  copy: Vma,
  vpn: Vpn,
  to: number,
  page: FrameId,
): boolean {
  const fresh = allocVmaFolio(k, child, copy, vpn, 0, GFP_HIGHUSER_MOVABLE);
  if (fresh < 0) return false;
  const f = k.frames;
  if (f.content !== null) f.content[fresh] = f.content[page];
  f.flags[fresh] |= PG_SWAPBACKED | PG_ANON_EXCLUSIVE;
  k.folios.setAnonMapping(fresh, copy.anonVma!.id);
  f.setIndex(fresh, copy.indexOf(vpn));
  addRmapPte(k, fresh, copy.mm);
  copy.mm.rssAnon++;
  if (copy.isAccessible()) {
    const writable = copy.has(VM_WRITE) ? PTE_W : 0;
    k.ptes.set(to, pteFast(fresh, PTE_D | writable), PTEB_SOFT_DIRTY);
  } else {
    k.ptes.set(to, pteOther(PTE_KIND_PROTNONE, fresh), PTEB_SOFT_DIRTY | PTEB_DIRTY);
  }
  addToLruVma(k, child, copy, fresh);
  return true;
}
