/**
 * Faults and writes of files on a DAX device (fs/dax.c: dax_iomap_fault, dax_iomap_rw,
 * dax_associate_entry, dax_disassociate_entry). DM-50, PM-3.
 *
 * A page of the device belongs to a mapping (folio->mapping) from its first fault until the file
 * is cut, mapped or not. An aligned 2 MiB of a file that lie in one piece on the device become one
 * folio when the first fault there is one that a PMD can resolve; once a page of them was faulted
 * by itself, they stay pages.
 *
 * Deviates: the PMD has a page table deposited, as all have here; x86-64 deposits none for files.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Vpn } from '../base/units.ts';
import { ENOSPC } from '../uapi/errno.ts';
import { accountRss, tableIsEmpty } from './faultFile.ts';
import { PG_HEAD, PG_TAIL } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { PTE_A, PTE_D, PTE_W, PTEB_SOFT_DIRTY, pteFast } from './pageTable.ts';
import { addRmapPmd } from './rmap.ts';
import { VM_SHARED, VM_WRITE, type Vma } from './vma.ts';

/**
 * dax_iomap_pmd_fault on an empty slot: maps 2 MiB of the file by one PMD. False: the fault goes on
 * with a small page (VM_FAULT_FALLBACK). The settings of THP are not asked, VM_NOHUGEPAGE is.
 */
export function mapDaxPmd(k: Kernel, vma: Vma, vpn: Vpn, write: boolean): boolean {
  const { mm } = vma;
  const file = vma.file!;
  const slot = mm.slotOf(vpn);
  const start = mm.slotVpn[slot];
  if (vma.isNoHuge() || !tableIsEmpty(k, mm.leaf[slot])) return false;
  // dax_fault_check_fallback
  const first = vma.indexOf(start);
  if (start < vma.start || start + HPAGE_PMD_NR > vma.end) return false;
  if (first % HPAGE_PMD_NR !== 0) return false;
  if ((write && !vma.has(VM_SHARED)) || first + HPAGE_PMD_NR > file.sizePages) return false;
  const head = hugeEntry(k, file, first);
  if (head < 0) return false;
  mm.deposit[slot] = mm.leaf[slot];
  mm.leaf[slot] = -1;
  const writable = vma.has(VM_SHARED) && vma.has(VM_WRITE) ? PTE_W : 0;
  k.folios.get(head);
  addRmapPmd(k, head, mm);
  mm.pmd[slot] = pteFast(head, PTE_A | writable | (write ? PTE_D : 0));
  mm.pmdByte[slot] = write ? PTEB_SOFT_DIRTY : 0;
  accountRss(k, vma, head, HPAGE_PMD_NR);
  return true;
}

/** grab_mapping_entry(PMD_ORDER): the folio of 2 MiB of a file, or -1: they are pages. */
function hugeEntry(k: Kernel, file: MappedFile, first: number): FrameId {
  const head = file.frameAt(first);
  if (head < 0 || head % HPAGE_PMD_NR !== 0) return -1;
  if (k.folios.isLarge(head)) return head;
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    if (file.frameAt(first + n) !== head + n || k.folios.hasFileMapping(head + n)) return -1;
  }
  associateDaxPages(k, file, first, head, true);
  return head;
}

/** The page that a small fault needs belongs to the file from now on. */
export function associateDaxPage(k: Kernel, file: MappedFile, index: number): void {
  const page = file.frameAt(index);
  if (page < 0 || k.folios.hasFileMapping(k.frames.headOf(page))) return;
  associateDaxPages(k, file, index, page, false);
}

function associateDaxPages(
  k: Kernel,
  file: MappedFile,
  index: number,
  head: FrameId,
  isHuge: boolean,
): void {
  const f = k.frames;
  k.folios.setFileMapping(head, file.id);
  f.setIndex(head, index);
  if (!isHuge) return;
  // dax_folio_init
  f.flags[head] |= PG_HEAD;
  f.setOrder(head, HPAGE_PMD_ORDER);
  for (let page = head + 1; page < head + HPAGE_PMD_NR; page++) {
    f.flags[page] |= PG_TAIL;
    f.mapping[page] = head;
  }
  k.folios.initLarge(head, false);
}

/**
 * dax_iomap_rw: a write goes to the device's blocks, whether mapped or not. 0 or -ENOSPC with the
 * pages before written.
 * Not modelled: new blocks for what is written behind the end.
 */
export function writeDaxPages(
  k: Kernel,
  file: MappedFile,
  index: number,
  words: Uint32Array,
): number {
  for (const [n, word] of words.entries()) {
    const page = file.frameAt(index + n);
    if (page < 0) return -ENOSPC;
    if (k.frames.content !== null) k.frames.content[page] = word;
  }
  return 0;
}

/**
 * dax_disassociate_entry: the entry of a page goes, of a huge one all of it, which is pages again.
 * Preconditions: nobody maps or holds it (dax_layout_busy_page).
 */
export function disassociateDaxPage(k: Kernel, page: FrameId): void {
  const f = k.frames;
  const head = f.headOf(page);
  assert(f.refcount[head] === 0, 'a DAX entry goes while its page is in use', page);
  if (!k.folios.isLarge(head)) {
    k.folios.clearMapping(page);
    f.setIndex(page, 0);
    return;
  }
  f.flags[head] &= ~PG_HEAD;
  f.orderIndexHigh[head] = 0;
  f.refcount[head + 1] = 0;
  f.private_[head + 1] = 0;
  f.lruNext[head + 1] = 0;
  f.lruPrev[head + 1] = 0;
  for (let at = head; at < head + HPAGE_PMD_NR; at++) {
    f.flags[at] &= ~PG_TAIL;
    k.folios.clearMapping(at);
    f.indexLow[at] = 0;
  }
}
