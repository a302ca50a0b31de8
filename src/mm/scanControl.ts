/** What one reclaim run may do and has done (struct scan_control, mm/vmscan.c). */
import { PGDEMOTE_DIRECT, PGDEMOTE_KSWAPD, PGDEMOTE_PROACTIVE, vmEvent } from '../uapi/vmstat.ts';

export const RECLAIM_KSWAPD = 0;
export const RECLAIM_DIRECT = 1;
export const RECLAIM_PROACTIVE = 2;
export type ReclaimKind = 0 | 1 | 2;

const PGSTEAL = [
  vmEvent('pgsteal_kswapd'),
  vmEvent('pgsteal_direct'),
  vmEvent('pgsteal_proactive'),
];
const PGSCAN = [vmEvent('pgscan_kswapd'), vmEvent('pgscan_direct'), vmEvent('pgscan_proactive')];
const PGDEMOTE = [PGDEMOTE_KSWAPD, PGDEMOTE_DIRECT, PGDEMOTE_PROACTIVE];

/** A pass scans n >> priority of a list of n pages; without success priority falls. */
export const DEF_PRIORITY = 12;

/** swappiness=max of proactive reclaim: anonymous memory only. */
export const SWAPPINESS_ANON_ONLY = 201;

/** What became of the folios of one inactive list's scan, in base pages (struct reclaim_stat). */
export class ReclaimStat {
  /** Pages of files; anonymous ones are written by reclaim itself. */
  dirty = 0;
  writeback = 0;
  activateAnon = 0;
  activateFile = 0;
  refKeep = 0;
  unmapFail = 0;

  clear(): void {
    this.dirty = 0;
    this.writeback = 0;
    this.activateAnon = 0;
    this.activateFile = 0;
    this.refKeep = 0;
    this.unmapFail = 0;
  }
}

export class ScanControl {
  readonly kind: ReclaimKind;
  nrToReclaim: number;
  nrReclaimed = 0;
  nrScanned = 0;
  readonly stat: ReclaimStat = new ReclaimStat();
  priority = DEF_PRIORITY;
  mayUnmap = true;
  maySwap = true;
  noDemotion = false;
  /** Nodes that demotion may use (the reclaiming cgroup's cpuset, TI-10). */
  demotionMask = -1;
  swappiness: number;
  /** Zones above this type are not scanned. */
  highestZoneType = 4;
  /** Only folios this returns true for are reclaimed (a cgroup's own, MADV_PAGEOUT's range). */
  filter: ((head: number) => boolean) | null = null;

  constructor(kind: ReclaimKind, nrToReclaim: number, swappiness: number) {
    this.kind = kind;
    this.nrToReclaim = nrToReclaim;
    this.swappiness = swappiness;
  }

  get stealEvent(): number {
    return PGSTEAL[this.kind];
  }

  get scanEvent(): number {
    return PGSCAN[this.kind];
  }

  get demotionItem(): number {
    return PGDEMOTE[this.kind];
  }
}
