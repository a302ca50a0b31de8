/**
 * Hint faults as a heat source: the kernel's own scanner takes entries' access rights away and the
 * next access faults (TI-20, TI-21; mm/numaScan.ts). Each fault is one sighting of its page.
 *
 * What it costs is charged elsewhere: the fault to the program, the scan to the kernel. What it
 * cannot see: how often a page is accessed between two scans, and pages of fast nodes in mode 2.
 */
import type { Nanoseconds, Nid, Vpn } from '../../base/units.ts';
import { HeatTable } from '../../heat/index.ts';
import type { Monitor, MonitorStats } from './monitor.ts';

export class HintFaultMonitor implements Monitor {
  readonly source = 'hint-faults';
  readonly sampler = null;
  readonly #seen = new HeatTable();
  #samples = 0;

  get stats(): MonitorStats {
    return { samples: this.#samples, lost: 0, programNs: 0, backgroundNs: 0 };
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
