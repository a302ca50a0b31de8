/** What a device migration has moved: for counters and for time. */
import { HPAGE_PMD_NR } from '../base/units.ts';
import type { DeviceMigration } from '../mm/index.ts';

export interface Moved {
  /** Folios, each copied in one piece. */
  readonly pieces: number;
  readonly pages: number;
  /** Pages that had a source; the others were holes, cleared where they are. */
  readonly copied: number;
}

/** Preconditions: after migrateVmaPages. */
export function countMoved(m: DeviceMigration): Moved {
  let pieces = 0;
  let pages = 0;
  let copied = 0;
  for (let i = 0; i < m.npages; i++) {
    if (!m.wants(i) || m.dst[i] < 0) continue;
    const nr = m.isCompound(i) ? HPAGE_PMD_NR : 1;
    pieces++;
    pages += nr;
    if (m.src[i] >= 0) copied += nr;
  }
  return { pieces, pages, copied };
}
