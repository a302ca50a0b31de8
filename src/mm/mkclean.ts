/**
 * Write protection of a file's mappings before it is written back (mm/rmap.c: folio_mkclean,
 * page_mkclean_one), so that the next store faults and makes the folio dirty again. OV-21. Entries
 * of file pages that lie on a device, too (experimental, DM-86).
 */
import { type FrameId, HPAGE_PMD_NR } from '../base/units.ts';
import type { Kernel } from './kernel.ts';
import { MMU_NOTIFY_PROTECTION_PAGE, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_D,
  PTE_FAST,
  PTE_W,
  PTEB_DIRTY,
  PTEB_WRITE,
  pteIsDirty,
  pteIsWrite,
  pteMapsPage,
  ptePayload,
} from './pageTable.ts';
import { rmapCollect } from './rmap.ts';
import { VM_SHARED } from './vma.ts';

/** Cleans and write-protects every entry of shared areas. True if any was dirty or writable. */
export function folioMkclean(k: Kernel, head: FrameId): boolean {
  let cleaned = false;
  const n = rmapCollect(k, head);
  const { words, bytes } = k.ptes;
  for (let r = 0; r < n; r++) {
    const vma = k.rmap.vma[r];
    const mm = vma.mm;
    if (!vma.has(VM_SHARED)) continue;
    const first = k.rmap.vpn[r];
    mmuNotifierInvalidate(mm, first, first + k.rmap.nr[r], MMU_NOTIFY_PROTECTION_PAGE);
    for (let j = 0; j < k.rmap.nr[r]; j++) {
      const vpn = k.rmap.vpn[r] + j;
      const slot = mm.slotOf(vpn);
      if (slot < 0) continue;
      const pmd = mm.pmd[slot];
      if (pmd !== 0) {
        if (!pteMapsPage(pmd) || ptePayload(pmd) !== head) continue;
        cleaned ||= pteIsDirty(pmd, mm.pmdByte[slot]) || pteIsWrite(pmd, mm.pmdByte[slot]);
        mm.pmd[slot] = clean(pmd);
        mm.pmdByte[slot] &= ~(PTEB_DIRTY | PTEB_WRITE);
        continue;
      }
      if (mm.leaf[slot] < 0) continue;
      const i = mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
      if (!pteMapsPage(words[i]) || ptePayload(words[i]) !== head + k.rmap.sub[r] + j) continue;
      cleaned ||= pteIsDirty(words[i], bytes[i]) || pteIsWrite(words[i], bytes[i]);
      words[i] = clean(words[i]);
      bytes[i] &= ~(PTEB_DIRTY | PTEB_WRITE);
    }
  }
  return cleaned;
}

function clean(word: number): number {
  return (word & PTE_FAST) !== 0 ? (word & ~(PTE_D | PTE_W)) >>> 0 : word;
}
