/**
 * Locked pages (mm/mlock.c). A folio mapped by a VM_LOCKED area is mlocked and unevictable.
 * Only folios that are mapped whole by the area are locked (order 0, or PMD-mapped).
 *
 * Deviates: the mlock_count of the unevictable list is not kept; munlock looks for another locked
 * mapping through rmap, which gives the same flags.
 */
import type { FrameId } from '../base/units.ts';
import { HPAGE_PMD_NR } from '../base/units.ts';
import { NR_MLOCK, vmEvent } from '../uapi/vmstat.ts';
import { PG_ACTIVE, PG_MLOCKED, PG_UNEVICTABLE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { pteIsPresent, ptePayload } from './pageTable.ts';
import { rmapCollect } from './rmap.ts';
import { VM_LOCKED } from './vma.ts';

const UNEVICTABLE_PGS_MLOCKED = vmEvent('unevictable_pgs_mlocked');
const UNEVICTABLE_PGS_MUNLOCKED = vmEvent('unevictable_pgs_munlocked');
const UNEVICTABLE_PGS_RESCUED = vmEvent('unevictable_pgs_rescued');

/** mlock_folio: marks a mapped folio; it moves to the unevictable list. */
export function mlockFolio(k: Kernel, head: FrameId): void {
  if ((k.frames.flags[head] & PG_MLOCKED) !== 0) return;
  markMlocked(k, head);
  if ((k.frames.flags[head] & PG_UNEVICTABLE) === 0) {
    k.lru.drainAll();
    k.lru.relist(head, () => {
      k.frames.flags[head] = (k.frames.flags[head] | PG_UNEVICTABLE) & ~PG_ACTIVE;
    });
  }
}

/** mlock_new_folio: a fresh folio that has not reached a list yet. */
export function mlockNewFolio(k: Kernel, cpu: number, head: FrameId): void {
  markMlocked(k, head);
  k.frames.flags[head] |= PG_UNEVICTABLE;
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
  k.vmstat.count(UNEVICTABLE_PGS_MUNLOCKED, nr);
  k.lru.drainAll();
  k.lru.relist(head, () => {
    k.frames.flags[head] &= ~PG_UNEVICTABLE;
  });
  k.vmstat.count(UNEVICTABLE_PGS_RESCUED, nr);
}

/** Does any VM_LOCKED area have a present entry for a page of the folio? */
export function mappedByLockedVma(k: Kernel, head: FrameId): boolean {
  const n = rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const vma = k.rmap.vma[r];
    if (!vma.has(VM_LOCKED)) continue;
    const mm = vma.mm;
    for (let j = 0; j < k.rmap.nr[r]; j++) {
      const vpn = k.rmap.vpn[r] + j;
      const slot = mm.slotOf(vpn);
      if (slot < 0) continue;
      if (mm.pmd[slot] !== 0) {
        if (ptePayload(mm.pmd[slot]) === head && pteIsPresent(mm.pmd[slot])) return true;
        continue;
      }
      if (mm.leaf[slot] < 0) continue;
      const word = k.ptes.words[mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot])];
      if (pteIsPresent(word) && ptePayload(word) === head + k.rmap.sub[r] + j) return true;
    }
  }
  return false;
}
