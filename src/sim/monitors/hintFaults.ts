/**
 * Hint faults as a heat source: the kernel's own scanner takes entries' access rights away and the
 * next access faults (TI-20, TI-21; mm/numaScan.ts). Each fault is one sighting of its page.
 *
 * What it costs the program is charged where it arises (faults, scans in the program's own time);
 * here it is only added up. What it cannot see: how often a page is accessed between two scans, and
 * pages of fast nodes in mode 2.
 */
import type { Nanoseconds, Nid, Vpn } from '../../base/units.ts';
import { HeatTable } from '../../heat/index.ts';
import type { Kernel } from '../../mm/index.ts';
import { vmEvent } from '../../uapi/vmstat.ts';
import type { Monitor, MonitorStats } from './monitor.ts';

const NUMA_PTE_UPDATES = vmEvent('numa_pte_updates');

export class HintFaultMonitor implements Monitor {
  readonly source = 'hint-faults';
  readonly isPhysical = false;
  readonly sampler = null;
  readonly observer = null;
  readonly #k: Kernel;
  readonly #seen = new HeatTable();
  #samples = 0;

  constructor(k: Kernel) {
    this.#k = k;
  }

  get stats(): MonitorStats {
    const { hintFaultNs, scanPteNs } = this.#k.spec.costs;
    const marked = this.#k.vmstat.event[NUMA_PTE_UPDATES];
    const programNs = this.#samples * hintFaultNs + marked * scanPteNs;
    return { samples: this.#samples, lost: 0, programNs, backgroundNs: 0 };
  }

  start(): void {}

  onHintFault(pid: number, vpn: Vpn, nid: Nid, isWrite: boolean, nowNs: Nanoseconds): void {
    this.#samples++;
    this.#seen.see(pid, vpn, 1, isWrite ? 0 : 1, isWrite ? 1 : 0, nid, nowNs);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#seen);
    this.#seen.clear();
  }

  forget(pid: number): void {
    this.#seen.forget(pid);
  }
}
