/** /proc/buddyinfo: free blocks by order of each zone, in the kernel's layout. */
import { MAX_PAGE_ORDER } from '../base/units.ts';
import type { Kernel } from '../mm/index.ts';
import { MIGRATE_TYPES } from '../uapi/zone.ts';

/** The lines of all zones, or of one node's. */
export function buddyinfoLines(k: Kernel, nid = -1): string[] {
  const lines: string[] = [];
  for (const zone of k.pm.zones) {
    if (nid >= 0 && zone.nid !== nid) continue;
    let line = `Node ${zone.nid}, zone ${zone.name.padStart(8)} `;
    for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
      let blocks = 0;
      for (let type = 0; type < MIGRATE_TYPES; type++) blocks += zone.nrFreeBlocks(order, type);
      line += `${String(blocks).padStart(6)} `;
    }
    lines.push(line);
  }
  return lines;
}
