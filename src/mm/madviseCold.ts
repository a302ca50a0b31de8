/**
 * MADV_COLD and MADV_PAGEOUT (mm/madvise.c: madvise_cold_or_pageout_pte_range; mm/vmscan.c:
 * reclaim_pages). OV-31g: shared folios, device pages and those off the LRU are left alone; a large
 * folio is split only if the range has not all of it.
 */
import { type FrameId, HPAGE_PMD_NR, type Nid, type Vpn } from '../base/units.ts';
import {
  PG_ACTIVE,
  PG_LOCKED,
  PG_LRU,
  PG_REFERENCED,
  PG_UNEVICTABLE,
  PG_WORKINGSET,
  PG_YOUNG,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { PTEB_SPECIAL, PTEB_YOUNG, pteIsPresent, pteMkold, ptePayload } from './pageTable.ts';
import { folioPteBatch } from './pageWalk.ts';
import { shrinkFolioList } from './reclaimFolios.ts';
import { RECLAIM_DIRECT, ScanControl } from './scanControl.ts';
import { splitMappedFolio } from './splitFolio.ts';
import type { Vma } from './vma.ts';

/** Deactivates or reclaims the pages of [start, end), which lies in one area. */
export function coldOrPageout(
  k: Kernel,
  cpu: number,
  vma: Vma,
  start: Vpn,
  end: Vpn,
  pageout: boolean,
): void {
  const mm = vma.mm;
  k.lru.drainCpu(cpu);
  for (let vpn = start; vpn < end; ) {
    const list: FrameId[] = [];
    const next = Math.min(end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
    const slot = mm.slotOf(vpn);
    const huge = slot >= 0 && mm.pmd[slot] !== 0;
    if (!huge || !coldHuge(k, vma, slot, next - vpn === HPAGE_PMD_NR, pageout, list)) {
      if (slot >= 0 && mm.leaf[slot] >= 0) {
        coldEntries(k, mm.pteIndex(vpn), next - vpn, pageout, list);
      }
    }
    if (pageout) reclaimPages(k, list);
    vpn = next;
  }
}

/** A PMD leaf; true if nothing is left to do at the level of pages. */
function coldHuge(
  k: Kernel,
  vma: Vma,
  slot: number,
  whole: boolean,
  pageout: boolean,
  list: FrameId[],
): boolean {
  const mm = vma.mm;
  const word = mm.pmd[slot];
  const special = (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0;
  const head = ptePayload(word);
  if (special || !pteIsPresent(word) || k.folios.maybeMappedShared(head)) return true;
  if (k.pm.isZoneDevice(head)) return true;
  if (!whole) return splitMappedFolio(k, head) !== 0;
  if (!pageout) {
    mm.pmd[slot] = pteMkold(word);
    mm.pmdByte[slot] &= ~PTEB_YOUNG;
  }
  coldFolio(k, head, pageout, list);
  return true;
}

function coldEntries(
  k: Kernel,
  first: number,
  nr: number,
  pageout: boolean,
  list: FrameId[],
): void {
  for (let n = 0; n < nr; ) {
    const i = first + n;
    const word = k.ptes.words[i];
    if (!pteIsPresent(word) || (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0) {
      n++;
      continue;
    }
    const page = ptePayload(word);
    const head = k.frames.headOf(page);
    if (k.pm.isZoneDevice(head)) {
      n++;
      continue;
    }
    const run = folioPteBatch(k, i, nr - n, head, page);
    if (run < k.folios.nrPages(head)) {
      const may = !k.folios.maybeMappedShared(head) && (k.frames.flags[head] & PG_LOCKED) === 0;
      if (!may || splitMappedFolio(k, head) !== 0) n += run;
      continue; // once split, the same entry again
    }
    n += run;
    if ((k.frames.flags[head] & PG_LRU) === 0 || k.folios.mapcount(head) !== run) continue;
    for (let j = 0; j < run && !pageout; j++) {
      k.ptes.words[i + j] = pteMkold(k.ptes.words[i + j]);
      k.ptes.bytes[i + j] &= ~PTEB_YOUNG;
    }
    coldFolio(k, head, pageout, list);
  }
}

function coldFolio(k: Kernel, head: FrameId, pageout: boolean, list: FrameId[]): void {
  const flags = k.frames.flags[head] & ~(PG_REFERENCED | PG_YOUNG);
  k.frames.flags[head] = (flags & PG_ACTIVE) !== 0 ? flags | PG_WORKINGSET : flags;
  if (!pageout) {
    k.lru.deactivate(head);
  } else if ((flags & PG_UNEVICTABLE) === 0 && k.lru.isolate(head)) {
    k.lru.countIsolated(head, 1);
    list.push(head);
  }
}

/** reclaim_pages: the folios are taken out regardless of references, node by node. */
export function reclaimPages(k: Kernel, list: FrameId[]): number {
  const byNode = new Map<Nid, FrameId[]>();
  for (const head of list) {
    k.lru.countIsolated(head, -1);
    const nid = k.pm.nidOf(head);
    const of = byNode.get(nid);
    if (of === undefined) byNode.set(nid, [head]);
    else of.push(head);
  }
  let reclaimed = 0;
  for (const [nid, folios] of byNode) {
    const sc = new ScanControl(RECLAIM_DIRECT, folios.length, k.sysctl.swappiness);
    sc.noDemotion = true;
    reclaimed += shrinkFolioList(k, folios, nid, sc, true);
    for (const head of folios) k.lru.putbackDirect(head);
  }
  return reclaimed;
}
