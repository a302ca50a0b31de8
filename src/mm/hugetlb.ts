/**
 * Mappings of hugetlb pages: reservations, faults, copy-on-write, unmapping, fork (mm/hugetlb.c:
 * hugetlb_reserve_pages, hugetlb_fault, hugetlb_wp, unmap_hugepage_range,
 * copy_hugetlb_page_range). MP-110, PM-8.
 *
 * Every mapping of one mmap call has a file of its own, as in Linux. A PMD leaf of such an area has
 * no deposited table: it is never split.
 * Not modelled: hugetlbfs mounts, shared PMD tables, userfaultfd, memory policy of shared objects.
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Nid, type Vpn } from '../base/units.ts';
import { EINVAL } from '../uapi/errno.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import type { AddressSpace } from './addressSpace.ts';
import {
  FAULT_CLEARED,
  FAULT_COPIED,
  FAULT_DONE,
  FAULT_HUGE,
  FAULT_OOM,
  FAULT_POISONED,
  FAULT_SIGBUS,
  FAULT_WAIT,
} from './fault.ts';
import { PG_ANON_EXCLUSIVE, PG_HWPOISON, PG_UPTODATE } from './frameTable.ts';
import { HPAGE_MIGRATABLE } from './hugetlbPool.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import type { Mempolicy } from './mempolicy.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_KIND_HWPOISON,
  PTE_KIND_MIGRATION,
  PTE_W,
  PTEB_EXCLUSIVE,
  PTEB_WRITE,
  pteChildByte,
  pteFast,
  pteIsKind,
  pteIsPresent,
  ptePayload,
} from './pageTable.ts';
import { interleaveIndex, NO_INTERLEAVE_INDEX, policyNode } from './policyNode.ts';
import { anonVmaPrepare } from './pteSetup.ts';
import { addRmapPmd, removeRmapPmd } from './rmap.ts';
import type { Task } from './task.ts';
import { VM_HUGETLB, VM_SHARED, VM_WRITE, type Vma } from './vma.ts';

/**
 * The file of a new hugetlb mapping with its pages promised (hugetlb_file_setup), or null
 * (-ENOMEM). `pages` is a multiple of 512. A private mapping's promise is that of `mm` alone; with
 * MAP_NORESERVE nothing is promised.
 */
export function newHugetlbFile(
  k: Kernel,
  task: Task,
  pages: number,
  isShared: boolean,
  isReserved = true,
): MappedFile | null {
  const count = pages / HPAGE_PMD_NR;
  k.pm.currentNid = task.cpuNid;
  if (isReserved && (count > allowedPages(k, task) || !k.hugetlb.promise(count))) return null;
  const file = k.newFile('/anon_hugepage (deleted)', 'hugetlb', pages);
  file.openCount = 0;
  if (!isReserved) return file;
  file.hugetlbOwner = isShared ? null : task.mm;
  for (let n = 0; n < count; n++) file.hugetlbPromised.add(n);
  return file;
}

/** allowed_mems_nr: free pages of the nodes that the task may use. */
function allowedPages(k: Kernel, task: Task): number {
  let pages = k.hugetlb.overcommit;
  for (const { nid } of k.pm.nodes) {
    if ((task.memsAllowed & (1 << nid)) !== 0) pages += k.hugetlb.freeOf(nid);
  }
  return pages;
}

/** hugetlb_vm_op_split: cuts only between huge pages. -EINVAL if one of the ends is inside. */
export function checkHugetlbCuts(mm: AddressSpace, start: Vpn, end: Vpn): number {
  for (const at of [start, end]) {
    if (at % HPAGE_PMD_NR !== 0 && mm.findVma(at)?.has(VM_HUGETLB)) return -EINVAL;
  }
  return 0;
}

/** hugetlb_vm_op_close: promises of addresses that no area of the owner has any more. */
export function closeHugetlb(k: Kernel, vma: Vma): void {
  const file = vma.file!;
  const isGone = file.hugetlbOwner === null ? file.vmas.length === 0 : true;
  if (!isGone || (file.hugetlbOwner !== null && file.hugetlbOwner !== vma.mm)) return;
  let released = 0;
  for (const index of [...file.hugetlbPromised]) {
    if (file.hugetlbOwner !== null) {
      const page = index * HPAGE_PMD_NR;
      if (!covers(vma, page) || file.vmas.some((v) => v.mm === vma.mm && covers(v, page))) continue;
    }
    file.hugetlbPromised.delete(index);
    released++;
  }
  k.hugetlb.release(released);
}

function covers(vma: Vma, fileIndex: number): boolean {
  return fileIndex >= vma.pgoff && fileIndex < vma.pgoff + vma.nrPages;
}

/** A file whose mapping failed: its promises and itself go. */
export function dropHugetlbFile(k: Kernel, file: MappedFile): void {
  k.hugetlb.release(file.hugetlbPromised.size);
  file.hugetlbPromised.clear();
  k.dropFile(file);
}

/** remove_inode_hugepages: what the pages of a shared object's cache hold goes. */
export function dropHugetlbCache(k: Kernel, file: MappedFile): void {
  const heads = new Set([...file.pages.values()].map((page) => k.frames.headOf(page)));
  file.pages.clear();
  for (const head of heads) {
    k.frames.mapping[head] = 0;
    k.putFolioRefs(head, HPAGE_PMD_NR);
  }
}

/** hugetlb_fault. The access itself was found to be allowed by the area. */
export function hugetlbFault(k: Kernel, task: Task, vma: Vma, vpn: Vpn, write: boolean): number {
  const mm = vma.mm;
  const slot = mm.ensureSlot(vpn);
  const word = mm.pmd[slot];
  if (word === 0) {
    const outcome = hugetlbNoPage(k, task, vma, slot);
    if ((outcome & FAULT_HUGE) === 0 || !write || (mm.pmd[slot] & PTE_W) !== 0) return outcome;
    return outcome | hugetlbWp(k, task, vma, slot, false);
  }
  if (pteIsKind(word, PTE_KIND_MIGRATION)) return FAULT_WAIT;
  if (pteIsKind(word, PTE_KIND_HWPOISON)) return FAULT_POISONED;
  if (!write || (word & PTE_W) !== 0) return FAULT_DONE;
  return hugetlbWp(k, task, vma, slot, false);
}

/** hugetlb_no_page: the cached page of a shared object, or a new one. */
function hugetlbNoPage(k: Kernel, task: Task, vma: Vma, slot: number): number {
  const isShared = vma.has(VM_SHARED);
  const file = vma.file!;
  const index = vma.indexOf(vma.mm.slotVpn[slot]);
  const cached = isShared ? file.frameAt(index) : -1;
  if (cached >= 0 && k.frames.has(cached, PG_HWPOISON)) return FAULT_POISONED; // MC-82a
  if (cached >= 0) {
    k.frames.refcount[cached]++;
    mapHuge(k, vma, slot, cached, vma.has(VM_WRITE) ? PTE_A | PTE_D | PTE_W : PTE_A);
    return FAULT_DONE | FAULT_HUGE;
  }
  const head = takePage(k, task, vma, slot);
  if (head < 0) return FAULT_SIGBUS;
  if (k.frames.content !== null) k.frames.content.fill(0, head, head + HPAGE_PMD_NR);
  k.frames.setIndex(head, index);
  if (isShared) addToCache(k, file, head, index);
  else setAnon(k, vma, head);
  mapHuge(k, vma, slot, head, isShared && vma.has(VM_WRITE) ? PTE_A | PTE_D | PTE_W : PTE_A);
  return FAULT_CLEARED | FAULT_HUGE;
}

/** alloc_hugetlb_folio: uses up the promise for this address if there is one. */
function takePage(k: Kernel, task: Task, vma: Vma, slot: number): FrameId {
  const file = vma.file!;
  const index = vma.indexOf(vma.mm.slotVpn[slot]) / HPAGE_PMD_NR;
  const isOwner = file.hugetlbOwner === null || file.hugetlbOwner === vma.mm;
  const isPromised = isOwner && file.hugetlbPromised.has(index);
  const ilx = interleaveIndex(vma, vma.mm.slotVpn[slot], HPAGE_PMD_ORDER);
  const where = vma.policy === null ? NO_INTERLEAVE_INDEX : ilx;
  const at = hugetlbNode(k, task, vma.policy ?? task.policy, where);
  const head = k.hugetlb.take(at.nid, at.mask, isPromised);
  if (head < 0) return -1;
  if (isPromised) file.hugetlbPromised.delete(index);
  k.frames.flags[head] |= PG_UPTODATE;
  k.frames.private_[head] |= HPAGE_MIGRATABLE;
  k.frames.lastCpupid[head] = 0xffff;
  return head;
}

/** huge_node: the node to start from and the nodes allowed; the returned object is reused. */
function hugetlbNode(
  k: Kernel,
  task: Task,
  policy: Mempolicy | null,
  ilx: number,
): { nid: Nid; mask: number } {
  const where = policyNode(k, task, policy, ilx, GFP_HIGHUSER_MOVABLE);
  where.mask = where.mask < 0 ? task.memsAllowed : where.mask & task.memsAllowed;
  return where;
}

/** The destination of a hugetlb page that a policy sends elsewhere (MP-91). -1: none. */
export function hugetlbByPolicy(
  k: Kernel,
  task: Task,
  policy: Mempolicy | null,
  ilx: number,
): FrameId {
  const { nid, mask } = hugetlbNode(k, task, policy, ilx);
  return k.hugetlb.takeForMigration(nid, mask, GFP_HIGHUSER_MOVABLE, true);
}

function setAnon(k: Kernel, vma: Vma, head: FrameId): void {
  anonVmaPrepare(k, vma);
  k.folios.setAnonMapping(head, vma.anonVma!.id);
  k.frames.flags[head] |= PG_ANON_EXCLUSIVE;
}

/** hugetlb_add_to_page_cache. */
function addToCache(k: Kernel, file: MappedFile, head: FrameId, index: number): void {
  k.folios.setFileMapping(head, file.id);
  for (let n = 0; n < HPAGE_PMD_NR; n++) file.pages.set(index + n, head + n);
  k.frames.refcount[head] += HPAGE_PMD_NR;
}

/** The entry for a page whose reference the caller gives away. */
function mapHuge(k: Kernel, vma: Vma, slot: number, head: FrameId, adw: number): void {
  const mm = vma.mm;
  addRmapPmd(k, head, mm);
  mm.pmd[slot] = pteFast(head, adw);
  mm.pmdByte[slot] = 0;
  mm.hugetlbPages += HPAGE_PMD_NR;
}

/**
 * hugetlb_wp: reuse of a page that nobody else maps, else a copy. `isUnshare`: the entry gets a
 * page
 * of its own and stays read-only (FAULT_FLAG_UNSHARE).
 */
export function hugetlbWp(
  k: Kernel,
  task: Task,
  vma: Vma,
  slot: number,
  isUnshare: boolean,
): number {
  const mm = vma.mm;
  const head = ptePayload(mm.pmd[slot]);
  const reused = isUnshare ? 0 : PTE_W | PTE_D;
  if (vma.has(VM_SHARED)) {
    mm.pmd[slot] = (mm.pmd[slot] | reused) >>> 0;
    return FAULT_DONE;
  }
  const fresh = k.folios.mapcount(head) === 1 ? -1 : takePage(k, task, vma, slot);
  if (fresh < 0 && k.folios.mapcount(head) > 1) {
    // The one who reserved goes on; the others lose the page (unmap_ref_private).
    if (vma.file!.hugetlbOwner !== mm) return FAULT_SIGBUS;
    unmapOthers(k, vma, head);
    if (k.folios.mapcount(head) > 1) return FAULT_OOM;
  }
  if (fresh < 0) {
    k.frames.flags[head] |= PG_ANON_EXCLUSIVE;
    mm.pmd[slot] = (mm.pmd[slot] | reused) >>> 0;
    return FAULT_DONE;
  }
  const { content } = k.frames;
  if (content !== null) content.copyWithin(fresh, head, head + HPAGE_PMD_NR);
  k.frames.setIndex(fresh, k.frames.indexOf(head));
  setAnon(k, vma, fresh);
  notifyClear(mm, slot);
  unmapHuge(k, mm, slot);
  mapHuge(k, vma, slot, fresh, PTE_A | reused);
  return FAULT_COPIED | FAULT_HUGE;
}

function unmapOthers(k: Kernel, vma: Vma, head: FrameId): void {
  for (const other of vma.file!.vmas) {
    if (other.mm === vma.mm) continue;
    const vpn = other.start + (k.frames.indexOf(head) - other.pgoff);
    const slot = vpn >= other.start && vpn < other.end ? other.mm.slotOf(vpn) : -1;
    if (slot < 0 || ptePayload(other.mm.pmd[slot]) !== head) continue;
    notifyClear(other.mm, slot);
    unmapHuge(k, other.mm, slot);
  }
}

/** Mirrors hear of a leaf that goes while its area stays (DM-1). */
function notifyClear(mm: AddressSpace, slot: number): void {
  const start = mm.slotVpn[slot];
  mmuNotifierInvalidate(mm, start, start + HPAGE_PMD_NR, MMU_NOTIFY_CLEAR);
}

/** Takes one leaf out; present pages lose their mapping and its reference. */
function unmapHuge(k: Kernel, mm: AddressSpace, slot: number): void {
  const word = mm.pmd[slot];
  mm.pmd[slot] = 0;
  mm.pmdByte[slot] = 0;
  if (pteIsKind(word, PTE_KIND_HWPOISON)) return;
  mm.hugetlbPages -= HPAGE_PMD_NR;
  if (!pteIsPresent(word)) return;
  const head = ptePayload(word);
  removeRmapPmd(k, head, mm, false);
  k.putFolio(head);
}

/** unmap_hugepage_range; what a private mapping's owner gave up is promised to it again. */
export function zapHugetlb(k: Kernel, vma: Vma, start: Vpn, end: Vpn): void {
  const { mm } = vma;
  const file = vma.file!;
  for (let vpn = start; vpn < end; vpn += HPAGE_PMD_NR) {
    const slot = mm.slotOf(vpn);
    if (slot < 0 || mm.pmd[slot] === 0) continue;
    const restores = file.hugetlbOwner === mm && k.hugetlb.totalSurplus === 0;
    unmapHuge(k, mm, slot);
    if (!restores || k.hugetlb.available <= 0) continue;
    file.hugetlbPromised.add(vma.indexOf(vpn) / HPAGE_PMD_NR);
    k.hugetlb.reserved++;
  }
}

/** copy_hugetlb_page_range of a private mapping. False: -ENOMEM, the copy of a pinned page. */
export function copyHugetlb(k: Kernel, child: Task, vma: Vma, copy: Vma): boolean {
  const { mm } = vma;
  if (vma.isCow()) mmuNotifierInvalidate(mm, vma.start, vma.end, MMU_NOTIFY_CLEAR);
  for (let vpn = vma.start; vpn < vma.end; vpn += HPAGE_PMD_NR) {
    const slot = mm.slotOf(vpn);
    if (slot < 0 || mm.pmd[slot] === 0) continue;
    const target = copy.mm.ensureSlot(vpn);
    const head = ptePayload(mm.pmd[slot]);
    if (pteIsKind(mm.pmd[slot], PTE_KIND_HWPOISON)) {
      copy.mm.pmd[target] = mm.pmd[slot];
      continue;
    }
    if (!pteIsPresent(mm.pmd[slot])) {
      mm.pmdByte[slot] &= ~(PTEB_WRITE | PTEB_EXCLUSIVE);
      copy.mm.pmd[target] = mm.pmd[slot];
      copy.mm.pmdByte[target] = pteChildByte(mm.pmdByte[slot]);
      copy.mm.hugetlbPages += HPAGE_PMD_NR;
      continue;
    }
    if (k.folios.isAnonExclusive(head) && k.folios.maybeDmaPinned(head)) {
      if (!copyPinnedHuge(k, child, copy, target, head)) return false;
      continue;
    }
    k.frames.flags[head] &= ~PG_ANON_EXCLUSIVE;
    if ((mm.pmd[slot] & PTE_FAST) !== 0) mm.pmd[slot] = (mm.pmd[slot] & ~PTE_W) >>> 0;
    k.frames.refcount[head]++;
    mapHuge(k, copy, target, head, 0);
    copy.mm.pmd[target] = mm.pmd[slot];
    // Unlike those of small pages it does not start old.
    copy.mm.pmdByte[target] = pteChildByte(mm.pmdByte[slot]);
  }
  return true;
}

/** PM-8: a page that may be pinned stays the parent's. */
function copyPinnedHuge(k: Kernel, child: Task, copy: Vma, target: number, head: FrameId): boolean {
  const fresh = takePage(k, child, copy, target);
  if (fresh < 0) return false;
  const { content } = k.frames;
  if (content !== null) content.copyWithin(fresh, head, head + HPAGE_PMD_NR);
  k.frames.setIndex(fresh, k.frames.indexOf(head));
  setAnon(k, copy, fresh);
  mapHuge(k, copy, target, fresh, copy.has(VM_WRITE) ? PTE_A | PTE_D | PTE_W : PTE_A);
  return true;
}
