/** The page table entries of one area, in order (walk_page_vma): shared by smaps and numa_maps. */
import { HPAGE_PMD_NR, PAGE_SIZE, type Vpn } from '../base/units.ts';
import { type Kernel, VM_HUGETLB, type Vma } from '../mm/index.ts';

/** vma_kernel_pagesize, in bytes. */
export function vmaPageSize(vma: Vma): number {
  return vma.has(VM_HUGETLB) ? HPAGE_PMD_NR * PAGE_SIZE : PAGE_SIZE;
}

/** One entry that holds something: `nr` pages from `vpn`; more than one only for a PMD. */
export interface EntryVisitor {
  entry(word: number, byte: number, vpn: Vpn, nr: number): void;
  /** Pages [start, end) without an entry. */
  hole(start: Vpn, end: Vpn): void;
}

export function walkVmaEntries(k: Kernel, vma: Vma, visitor: EntryVisitor): void {
  for (let vpn = vma.start; vpn < vma.end; ) {
    const next = (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR;
    const end = Math.min(next, vma.end);
    walkSlot(k, vma, vpn, end, visitor);
    vpn = end;
  }
}

function walkSlot(k: Kernel, vma: Vma, start: Vpn, end: Vpn, visitor: EntryVisitor): void {
  const mm = vma.mm;
  const slot = mm.slotOf(start);
  if (slot >= 0 && mm.pmd[slot] !== 0) {
    visitor.entry(mm.pmd[slot], mm.pmdByte[slot], start, end - start);
    return;
  }
  if (slot < 0 || mm.leaf[slot] < 0) {
    visitor.hole(start, end);
    return;
  }
  const first = mm.leaf[slot] * HPAGE_PMD_NR - mm.slotVpn[slot];
  for (let vpn = start; vpn < end; vpn++) {
    const word = k.ptes.words[first + vpn];
    if (word === 0) visitor.hole(vpn, vpn + 1);
    else visitor.entry(word, k.ptes.bytes[first + vpn], vpn, 1);
  }
}
