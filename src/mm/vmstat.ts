/**
 * Counters under their /proc/vmstat names (OV-44..OV-47): gauges per zone and per node, events for
 * the whole machine. Increments are plain column writes.
 */
import {
  NODE_STAT_NAMES,
  NR_VM_NODE_STAT_ITEMS,
  NR_VM_NUMA_ITEMS,
  NR_VM_ZONE_STAT_ITEMS,
  NUMA_STAT_NAMES,
  VM_EVENT_NAMES,
  ZONE_STAT_NAMES,
} from '../uapi/vmstat.ts';

export class VmStat {
  /** Float64: counts of a long run pass 2^32. Column = item + row * items. */
  readonly zone: Float64Array;
  readonly node: Float64Array;
  readonly numa: Float64Array;
  readonly event: Float64Array = new Float64Array(VM_EVENT_NAMES.length);
  readonly nrZones: number;
  readonly nrNodes: number;

  constructor(nrZones: number, nrNodes: number) {
    this.nrZones = nrZones;
    this.nrNodes = nrNodes;
    this.zone = new Float64Array(nrZones * NR_VM_ZONE_STAT_ITEMS);
    this.node = new Float64Array(nrNodes * NR_VM_NODE_STAT_ITEMS);
    this.numa = new Float64Array(nrNodes * NR_VM_NUMA_ITEMS);
  }

  modZone(zone: number, item: number, delta: number): void {
    this.zone[zone * NR_VM_ZONE_STAT_ITEMS + item] += delta;
  }

  modNode(nid: number, item: number, delta: number): void {
    this.node[nid * NR_VM_NODE_STAT_ITEMS + item] += delta;
  }

  modNuma(nid: number, item: number, delta: number): void {
    this.numa[nid * NR_VM_NUMA_ITEMS + item] += delta;
  }

  count(event: number, delta: number): void {
    this.event[event] += delta;
  }

  zoneItem(zone: number, item: number): number {
    return this.zone[zone * NR_VM_ZONE_STAT_ITEMS + item];
  }

  nodeItem(nid: number, item: number): number {
    return this.node[nid * NR_VM_NODE_STAT_ITEMS + item];
  }

  /** All items by name, in the order of /proc/vmstat: zone sums, node sums, numa, events. */
  snapshot(): Map<string, number> {
    const out = new Map<string, number>();
    sumInto(out, ZONE_STAT_NAMES, this.zone, this.nrZones);
    sumInto(out, NUMA_STAT_NAMES, this.numa, this.nrNodes);
    sumInto(out, NODE_STAT_NAMES, this.node, this.nrNodes);
    for (let i = 0; i < VM_EVENT_NAMES.length; i++) out.set(VM_EVENT_NAMES[i], this.event[i]);
    return out;
  }
}

function sumInto(
  out: Map<string, number>,
  names: readonly string[],
  column: Float64Array,
  rows: number,
): void {
  for (let i = 0; i < names.length; i++) {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += column[row * names.length + i];
    out.set(names[i], sum);
  }
}
