/**
 * Locked pages (mm/mlock.c). A folio mapped by a VM_LOCKED area is mlocked and unevictable.
 *
 * A large folio is mlocked when an area that has all of it is locked, or when it faults in there;
 * mapping it again later (migration, fault) does not mark it, reclaim does when it meets the area
 * (mm/rmap.c: __folio_add_rmap, folio_referenced_one).
 *
 * Deviates: the mlock_count of the unevictable list is not kept; munlock looks for another locked
 * mapping through rmap, which gives the same flags for small folios.
 * Deviates: device pages that come to a locked area are not marked; nr_mlock of Linux counts them.
 * Deviates: mlock and munlock see device-exclusive entries; Linux passes them over, and the page
 * keeps the state it had.
 */
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { NR_MLOCK, vmEvent } from '../uapi/vmstat.ts';
import type { AddressSpace } from './addressSpace.ts';
import { PG_ACTIVE, PG_LRU, PG_MLOCKED, PG_UNEVICTABLE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { pteIsPresent, pteMapsPage, ptePayload } from './pageTable.ts';
import { rmapCollect } from './rmap.ts';
import { VM_LOCKED } from './vma.ts';

const UNEVICTABLE_PGS_MLOCKED = vmEvent('unevictable_pgs_mlocked');
const UNEVICTABLE_PGS_MUNLOCKED = vmEvent('unevictable_pgs_munlocked');
const UNEVICTABLE_PGS_RESCUED = vmEvent('unevictable_pgs_rescued');
const UNEVICTABLE_PGS_CULLED = vmEvent('unevictable_pgs_culled');
const UNEVICTABLE_PGS_STRANDED = vmEvent('unevictable_pgs_stranded');

/** mlock_folio: marks a mapped folio; it moves to the unevictable list. */
export function mlockFolio(k: Kernel, head: FrameId): void {
  if ((k.frames.flags[head] & PG_MLOCKED) !== 0) return;
  k.lru.drainAll();
  markMlocked(k, head);
  if ((k.frames.flags[head] & (PG_UNEVICTABLE | PG_LRU)) !== PG_LRU) return;
  k.lru.relist(head, () => {
    k.frames.flags[head] = (k.frames.flags[head] | PG_UNEVICTABLE) & ~PG_ACTIVE;
  });
  k.vmstat.count(UNEVICTABLE_PGS_CULLED, k.folios.nrPages(head));
}

/** mlock_new_folio: a fresh folio on its way to the unevictable list. */
export function mlockNewFolio(k: Kernel, cpu: number, head: FrameId): void {
  markMlocked(k, head);
  k.frames.flags[head] |= PG_UNEVICTABLE;
  k.vmstat.count(UNEVICTABLE_PGS_CULLED, k.folios.nrPages(head));
  k.lru.addBatched(cpu, head);
}

function markMlocked(k: Kernel, head: FrameId): void {
  const nr = k.folios.nrPages(head);
  k.frames.flags[head] |= PG_MLOCKED;
  k.vmstat.modZone(k.pm.zoneOf(head).id, NR_MLOCK, nr);
  k.vmstat.count(UNEVICTABLE_PGS_MLOCKED, nr);
}

/** munlock_folio: evictable again unless another locked area still maps it. */
export function munlockFolio(k: Kernel, head: FrameId): void {
  if ((k.frames.flags[head] & PG_MLOCKED) === 0 || mappedByLockedVma(k, head)) return;
  const nr = k.folios.nrPages(head);
  k.frames.flags[head] &= ~PG_MLOCKED;
  k.vmstat.modZone(k.pm.zoneOf(head).id, NR_MLOCK, -nr);
  k.lru.drainAll();
  if ((k.frames.flags[head] & PG_LRU) === 0) {
    // Isolated by somebody: where it belongs is decided when it comes back (MC-92).
    const stranded = (k.frames.flags[head] & PG_UNEVICTABLE) !== 0;
    k.vmstat.count(stranded ? UNEVICTABLE_PGS_STRANDED : UNEVICTABLE_PGS_MUNLOCKED, nr);
    return;
  }
  k.vmstat.count(UNEVICTABLE_PGS_MUNLOCKED, nr);
  if (k.lru.mappingUnevictable(head)) return;
  k.lru.relist(head, () => {
    k.frames.flags[head] &= ~PG_UNEVICTABLE;
  });
  k.vmstat.count(UNEVICTABLE_PGS_RESCUED, nr);
}

/** Does any VM_LOCKED area have a present entry for a page of the folio? */
function mappedByLockedVma(k: Kernel, head: FrameId): boolean {
  const n = rmapCollect(k, head);
  const { rmap } = k;
  for (let r = 0; r < n; r++) {
    const vma = rmap.vma[r];
    if (!vma.has(VM_LOCKED)) continue;
    const first = head + rmap.sub[r];
    if (mapsSome(k, vma.mm, rmap.vpn[r], rmap.nr[r], head, first)) return true;
  }
  if (!k.folios.isKsm(head) || foundMappings(k, head, n) >= k.folios.mapcount(head)) return false;
  // Forks that were never merged may map a merged page: rmap does not know them.
  return k.spaces.some((mm) => mm != null && lockedAreaMaps(k, mm, head));
}

/** How many places of a merged page the first `n` of k.rmap are: relatives find them repeatedly. */
function foundMappings(k: Kernel, page: FrameId, n: number): number {
  const { rmap } = k;
  const places = new Set<string>();
  for (let r = 0; r < n; r++) {
    const { mm } = rmap.vma[r];
    const vpn = rmap.vpn[r];
    if (mapsSome(k, mm, vpn, 1, page, page)) places.add(`${mm.id} ${vpn}`);
  }
  return places.size;
}

/** Whether a locked area of `mm` maps a small page. */
function lockedAreaMaps(k: Kernel, mm: AddressSpace, page: FrameId): boolean {
  return mm.vmas.some((vma) => {
    if (!vma.has(VM_LOCKED)) return false;
    for (let vpn = vma.start; vpn < vma.end; vpn++) {
      if (mapsSome(k, mm, vpn, 1, page, page)) return true;
    }
    return false;
  });
}

/** Whether one of the `nr` entries from `start` on maps `first` or its own page behind it. */
function mapsSome(
  k: Kernel,
  mm: AddressSpace,
  start: Vpn,
  nr: number,
  head: FrameId,
  first: FrameId,
): boolean {
  for (let j = 0; j < nr; j++) {
    const vpn = start + j;
    const slot = mm.slotOf(vpn);
    if (slot < 0) continue;
    if (mm.pmd[slot] !== 0) {
      if (ptePayload(mm.pmd[slot]) === head && pteIsPresent(mm.pmd[slot])) return true;
      continue;
    }
    if (mm.leaf[slot] < 0) continue;
    const word = k.ptes.words[mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot])];
    if (pteMapsPage(word) && ptePayload(word) === first + j) return true;
  }
  return false;
}
