/** Which frames the nodes have, as /proc/zoneinfo shows them (HS-25): a table for policies. */
import type { FrameTable, PhysicalMemory } from '../../mm/index.ts';
import type { FrameRangeTable } from '../../policy/index.ts';

/** Present frames of all zones at this moment, ascending. */
export function frameRanges(pm: PhysicalMemory, frames: FrameTable): FrameRangeTable {
  const rows: { pfn: number; nrPages: number; nid: number }[] = [];
  for (const { nid, presentRanges } of pm.zones) {
    for (const { start, end } of presentRanges) {
      rows.push({ pfn: frames.pfnOf(start), nrPages: end - start, nid });
    }
  }
  rows.sort((a, b) => a.pfn - b.pfn);
  return {
    nrRows: rows.length,
    pfn: Float64Array.from(rows, ({ pfn }) => pfn),
    nrPages: Float64Array.from(rows, ({ nrPages }) => nrPages),
    nid: Int8Array.from(rows, ({ nid }) => nid),
  };
}
