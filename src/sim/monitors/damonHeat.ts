/**
 * DAMON as a heat source: a kdamond watches physical memory, or one each process's address space,
 * and a scheme of action stat lists the regions that were accessed (HS-70..HS-79, the snapshot of
 * HS-112). At the end of each aggregation every page of such a region that is there is a sighting,
 * with the region's nr_accesses: DAMON tells regions, not pages.
 *
 * What it costs: `checkNs` of background time for each place that is marked old or looked at; its
 * number is bounded by the regions, not by memory. What it cannot see: differences within a region,
 * counts beyond one a sampling interval, writes.
 *
 * By physical address every node's memory is a region at first and frames are reported; by virtual
 * address a process is watched from the first aggregation after its start.
 */
import { type Nanoseconds, PAGE_SIZE, type Vpn } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import {
  type AddressSpace,
  type DamonAttrs,
  type DamonContext,
  type DamonOperations,
  type DamonRegion,
  damonFolio,
  type Kernel,
  newDamonContext,
  newDamonRegion,
  newDamosScheme,
  newTriedRegions,
  pageAt,
  runDamon,
  startDamon,
  U64_MAX,
} from '../../mm/index.ts';
import type { Monitor, MonitorStats } from './monitor.ts';

export interface DamonHeatOptions {
  readonly operations: 'vaddr' | 'paddr';
  readonly attrs: DamonAttrs;
  /** Background time of a place that is marked or looked at. */
  readonly checkNs: Nanoseconds;
}

const US = 1000;
/** Pages of a page table. */
const SLOT_PAGES = 512;

export class DamonHeatMonitor implements Monitor, EventHandler {
  readonly source: 'damon-vaddr' | 'damon-paddr';
  readonly sampler = null;
  readonly observer = null;
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #options: DamonHeatOptions;
  readonly #contexts: DamonContext[] = [];
  /** Processes that have a context. */
  readonly #watched = new Set<number>();
  readonly #seen = new HeatTable();
  #samples = 0;
  #lookedNs: Nanoseconds = 0;

  constructor(k: Kernel, queue: EventQueue, options: DamonHeatOptions) {
    this.source = options.operations === 'paddr' ? 'damon-paddr' : 'damon-vaddr';
    this.#k = k;
    this.#queue = queue;
    this.#options = options;
  }

  get isPhysical(): boolean {
    return this.#options.operations === 'paddr';
  }

  get stats(): MonitorStats {
    let checks = 0;
    for (const { work } of this.#contexts) checks += work.accessChecks;
    const backgroundNs = checks * this.#options.checkNs;
    return { samples: this.#samples, lost: 0, programNs: 0, backgroundNs };
  }

  start(nowNs: Nanoseconds): void {
    if (this.isPhysical) this.#watchMemory();
    this.#lookedNs = nowNs;
    this.#schedule(nowNs);
  }

  onHintFault(): void {}

  /** Samples that are due; regions that an aggregation judged; new processes. */
  onEvent(nowNs: Nanoseconds): void {
    runDamon(this.#k);
    for (const ctx of this.#contexts) this.#report(ctx, nowNs);
    const intervalNs = this.#options.attrs.aggrUs * US;
    if (!this.isPhysical && nowNs >= this.#lookedNs + intervalNs) {
      this.#lookedNs = nowNs;
      this.#watchProcesses();
    }
    this.#schedule(nowNs);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#seen);
    this.#seen.clear();
  }

  forget(pid: number): void {
    if (!this.isPhysical) this.#seen.forget(pid);
  }

  #schedule(nowNs: Nanoseconds): void {
    let next = this.isPhysical
      ? Number.POSITIVE_INFINITY
      : this.#lookedNs + this.#options.attrs.aggrUs * US;
    for (const ctx of this.#contexts) if (ctx.isRunning) next = Math.min(next, ctx.nextSampleNs);
    if (Number.isFinite(next)) this.#queue.schedule(Math.max(nowNs + 1, Math.ceil(next)), this);
  }

  #watchMemory(): void {
    const ctx = this.#newContext('paddr');
    const regions: DamonRegion[] = [];
    for (const { zones } of this.#k.spec.nodes) {
      for (const { startPfn, endPfn } of zones) {
        regions.push(newDamonRegion(startPfn * PAGE_SIZE, endPfn * PAGE_SIZE));
      }
    }
    ctx.targets.push({ pid: -1, regions });
    startDamon(this.#k, ctx);
  }

  #watchProcesses(): void {
    for (const task of this.#k.tasks.values()) {
      if (task.pid !== task.tgid || task.mm === null || this.#watched.has(task.tgid)) continue;
      const ctx = this.#newContext('vaddr');
      ctx.targets.push({ pid: task.tgid, regions: [] });
      if (startDamon(this.#k, ctx) === 0) this.#watched.add(task.tgid);
    }
  }

  /** A context whose scheme lists all regions with accesses. */
  #newContext(operations: DamonOperations): DamonContext {
    const ctx = newDamonContext(operations, { ...this.#options.attrs });
    const limits = { maxSize: U64_MAX, minNrAccesses: 1, maxNrAccesses: U64_MAX, maxAge: U64_MAX };
    ctx.schemes.push({ ...newDamosScheme(), ...limits });
    ctx.tried = [newTriedRegions()];
    this.#contexts.push(ctx);
    return ctx;
  }

  #report(ctx: DamonContext, nowNs: Nanoseconds): void {
    const tried = ctx.tried?.[0];
    if (tried === undefined || !tried.isDone) return;
    ctx.tried = [newTriedRegions()];
    const { pid } = ctx.targets[0];
    const mm = this.#k.tasks.get(pid)?.mm ?? null;
    for (const { region } of tried.regions) {
      const nr = Math.max(1, Math.floor(region.nrAccessesBp / 10000));
      if (this.isPhysical) this.#reportFrames(region, nr, nowNs);
      else if (mm !== null) this.#reportPages(pid, mm, region, nr, nowNs);
    }
  }

  #reportFrames(region: DamonRegion, nr: number, nowNs: Nanoseconds): void {
    const { frames, folios, pm } = this.#k;
    for (let addr = region.start; addr < region.end; ) {
      const head = damonFolio(this.#k, addr);
      if (head < 0) {
        addr += PAGE_SIZE;
        continue;
      }
      const pfn = frames.pfnOf(head);
      const pages = folios.nrPages(head);
      this.#samples++;
      this.#seen.seeFrame(pfn, pages, frames.generation[head], nr, 0, pm.nidOf(head), nowNs);
      addr = (pfn + pages) * PAGE_SIZE;
    }
  }

  #reportPages(
    pid: number,
    mm: AddressSpace,
    region: DamonRegion,
    nr: number,
    nowNs: Nanoseconds,
  ): void {
    const end = region.end / PAGE_SIZE;
    for (let vpn: Vpn = region.start / PAGE_SIZE; vpn < end; ) {
      if (mm.slotOf(vpn) < 0) {
        // Nothing is mapped in this table's range: regions have large holes.
        vpn += SLOT_PAGES - (vpn % SLOT_PAGES);
        continue;
      }
      const page = pageAt(this.#k, mm, vpn);
      if (page >= 0) {
        this.#samples++;
        this.#seen.see(pid, vpn, 1, nr, 0, this.#k.pm.nidOf(page), nowNs);
      }
      vpn++;
    }
  }
}
