/** The page table entries that map one page, by way of rmap (mm/page_vma_mapped.c). */
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { PG_DIRTY } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { PTEB_SPECIAL, pteIsDirty, pteIsPresent, ptePayload } from './pageTable.ts';
import { rmapCollect } from './rmap.ts';
import type { Vma } from './vma.ts';

/**
 * Calls `visit` with every present entry of a small folio: its area, its index in k.ptes and
 * its page number. The entry may be replaced; other entries may not be added meanwhile.
 */
export function forEachEntry(
  k: Kernel,
  page: FrameId,
  visit: (vma: Vma, pteIndex: number, vpn: Vpn) => void,
): void {
  const n = rmapCollect(k, page);
  for (let r = 0; r < n; r++) {
    const vma = k.rmap.vma[r];
    const vpn = k.rmap.vpn[r];
    const slot = vma.mm.slotOf(vpn);
    if (slot < 0 || vma.mm.leaf[slot] < 0) continue;
    const i = vma.mm.leaf[slot] * HPAGE_PMD_NR + (vpn - vma.mm.slotVpn[slot]);
    const word = k.ptes.words[i];
    if (!pteIsPresent(word) || ptePayload(word) !== page) continue;
    if ((k.ptes.bytes[i] & PTEB_SPECIAL) === 0) visit(vma, i, vpn);
  }
}

/** A small folio dirty itself or in any entry that maps it (page_mkclean, without cleaning). */
export function isDirtyAnywhere(k: Kernel, page: FrameId): boolean {
  let isDirty = k.frames.has(page, PG_DIRTY);
  forEachEntry(k, page, (_vma, i) => {
    if (pteIsDirty(k.ptes.words[i], k.ptes.bytes[i])) isDirty = true;
  });
  return isDirty;
}
