/**
 * A machine for labs: a modelled kernel on zones of given sizes, the kernel's own memory, and
 * programs that touch and pin theirs.
 *
 * kswapd runs as soon as it was woken and until it sleeps again: it never comes too late, so what
 * still fails fails for want of memory.
 */
import { RandomStream } from '../base/prng.ts';
import {
  type FrameId,
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  MIB,
  type Nid,
  PAGE_SIZE,
  PAGEBLOCK_ORDER,
  type Vpn,
} from '../base/units.ts';
import {
  COST_DEFAULTS,
  type ExperimentalFeature,
  type KernelVersion,
  migrateOverheadNs,
  type NodePerf,
  type SysctlSpec,
} from '../hw/index.ts';
import {
  accessPage,
  allocPages,
  FAULT_ERROR,
  FAULT_MAJOR,
  freePages,
  Kernel,
  type KernelReclaim,
  madviseRange,
  mmapRegion,
  type PlainNode,
  pageAt,
  pinUserPages,
  plainMachine,
  setThpOfOrder,
  type Task,
  THP_ORDER_MIN,
  type Zone,
} from '../mm/index.ts';
import { __GFP_RECLAIM, GFP_KERNEL } from '../uapi/gfp.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import {
  MADV_HUGEPAGE,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import { ZONE_MOVABLE, ZONE_NORMAL, type ZoneType } from '../uapi/zone.ts';

export const PAGES_PER_MIB = MIB / PAGE_SIZE;
const START_PFN = 32768;
/** Takes what is there, wakes nobody. */
const GFP_SCATTER = GFP_KERNEL & ~__GFP_RECLAIM;

export interface LabMachineOptions {
  readonly nodes: readonly PlainNode[];
  readonly seed: number;
  readonly swapMib?: number;
  readonly sysctl?: Partial<SysctlSpec>;
  /** Unless as Linux would choose: 128 MiB on small machines. */
  readonly memoryBlockPages?: number;
  /** By node: what its memory does; all the same unless given. Tiers follow from it. */
  readonly perf?: readonly NodePerf[];
  /** Keep contents, to see that nothing is lost. */
  readonly trackContent?: boolean;
  /** Sections (128 MiB) for the memory of devices; 0 unless given. */
  readonly deviceSections?: number;
  readonly kernel?: KernelVersion;
  /** What Linux does not have. */
  readonly experimental?: readonly ExperimentalFeature[];
  /** As before Linux 5.13 (Kernel.pinsStayInMovable). */
  readonly pinsStayInMovable?: boolean;
}

/** Pages of a zone by what they hold. */
export interface ZoneCensus {
  readonly free: number;
  /** Pinned user pages. */
  readonly pinned: number;
  /** Other user pages. */
  readonly user: number;
  /** The kernel's own, page tables among them. */
  readonly kernel: number;
}

/** One node with CPUs and the two zones; a size of 0 leaves a zone out. In MiB. */
export function twoZones(normalMib: number, movableMib: number): PlainNode {
  const zone = (type: ZoneType, mib: number) => {
    return mib === 0 ? [] : [{ zone: type, pages: mib * PAGES_PER_MIB }];
  };
  return { cpus: [0], zones: [...zone(ZONE_NORMAL, normalMib), ...zone(ZONE_MOVABLE, movableMib)] };
}

export class LabMachine {
  readonly k: Kernel;
  readonly random: RandomStream;

  constructor(options: LabMachineOptions) {
    const { nodes, seed, sysctl = {} } = options;
    const plain = plainMachine(nodes, { startPfn: START_PFN, sysctl });
    const perf = options.perf ?? plain.nodes.map((node) => node.perf);
    const spec = {
      ...plain,
      experimental: options.experimental ?? [],
      nodes: plain.nodes.map((node, nid) => ({ ...node, perf: perf[nid] })),
    };
    const swap = { pages: (options.swapMib ?? 0) * PAGES_PER_MIB, readNs: 0, writeNs: 0 };
    const trackContent = options.trackContent === true;
    const { memoryBlockPages } = options;
    const blocks = memoryBlockPages === undefined ? {} : { memoryBlockPages };
    const { deviceSections = 0 } = options;
    const kernel = options.kernel ?? plain.kernel;
    this.k = new Kernel(
      { ...spec, kernel, swap, ...blocks },
      { seed, trackContent, deviceSections },
    );
    this.k.pinsStayInMovable = options.pinsStayInMovable === true;
    this.random = new RandomStream(seed, 'lab');
  }

  /** The kernel takes pages for itself, as slab or vmalloc would: unmovable. How many it got. */
  takeKernelPages(nr: number, nid: Nid = 0): number {
    for (let n = 0; n < nr; n++) {
      if (allocPages(this.k.pm, 0, GFP_KERNEL, nid, -1) < 0) return n;
      this.runKswapd();
    }
    return nr;
  }

  /**
   * Leaves one page of the kernel in `percent` of the free pageblocks of node 0 that its own
   * allocations can use, chosen at random: memory that is free, but in pieces.
   */
  scatterKernelPages(percent: number): void {
    const { pm } = this.k;
    const blocks: FrameId[] = [];
    for (;;) {
      const block = allocPages(pm, PAGEBLOCK_ORDER, GFP_SCATTER, 0, 1);
      if (block < 0) break;
      blocks.push(block);
    }
    for (const block of blocks) {
      if (this.random.below(100) >= percent) {
        freePages(pm, block, PAGEBLOCK_ORDER);
        continue;
      }
      for (let order = 0; order < PAGEBLOCK_ORDER; order++) {
        freePages(pm, block + (1 << order), order);
      }
    }
  }

  runKswapd(): void {
    const { k } = this;
    while (k.kswapdWoken !== 0) {
      for (const { nid } of k.pm.nodes) {
        if ((k.kswapdWoken & (1 << nid)) !== 0) (k.pm.hooks as KernelReclaim).kswapdStep(nid);
      }
    }
  }

  program(cpu = 0): LabProgram {
    return this.adopt(this.k.spawn(null, cpu));
  }

  /** A task that a program has made. */
  adopt(task: Task): LabProgram {
    return new LabProgram(this, task);
  }

  /** A counter or gauge by its name in /proc/vmstat. */
  vmstat(name: string): number {
    return this.k.vmstat.snapshot().get(name)!;
  }

  /** Counters of /proc/vmstat that are not 0. */
  counters(): Record<string, number> {
    const entries = [...this.k.vmstat.snapshot()].filter(([, value]) => value !== 0);
    return Object.fromEntries(entries);
  }

  zone(type: ZoneType, nid: Nid = 0): Zone | null {
    return this.k.pm.nodes[nid].zones.find((zone) => zone.type === type) ?? null;
  }

  census(zone: Zone | null): ZoneCensus {
    const found = { free: 0, pinned: 0, user: 0, kernel: 0 };
    const { pm, frames, folios } = this.k;
    for (const { start, end } of zone?.presentRanges ?? []) {
      for (let frame = start; frame < end; frame++) {
        if (pm.isReserved(frame)) continue;
        if (pm.isFree(frame)) found.free++;
        else if (frames.refcount[frames.headOf(frame)] === 0) found.free++;
        else {
          const head = frames.headOf(frame);
          const isUser = folios.isAnon(head) || folios.hasFileMapping(head);
          if (!isUser) found.kernel++;
          else if (folios.maybeDmaPinned(head)) found.pinned++;
          else found.user++;
        }
      }
    }
    return found;
  }
}

/** What a series of accesses met. */
export interface Touched {
  /** Pages that were touched before the first failure. */
  readonly pages: number;
  readonly majorFaults: number;
}

export interface Pinned {
  /** Frames, tails included. */
  readonly pages: readonly FrameId[];
  /** 0, or the errno (negative) with which the first failing call ended. */
  readonly errno: number;
}

/** A process: private anonymous memory, pinned in batches as drivers do. */
export class LabProgram {
  readonly machine: LabMachine;
  readonly task: Task;

  constructor(machine: LabMachine, task: Task) {
    this.machine = machine;
    this.task = task;
  }

  map(pages: number): Vpn {
    return this.#map(pages, MAP_PRIVATE | MAP_ANONYMOUS);
  }

  /** Memory that forked programs share. */
  mapShared(pages: number): Vpn {
    return this.#map(pages, MAP_SHARED | MAP_ANONYMOUS);
  }

  #map(pages: number, flags: number): Vpn {
    const prot = PROT_READ | PROT_WRITE;
    const request = { addr: 0, pages, prot, flags, file: null, pgoff: 0 };
    return mmapRegion(this.machine.k, this.task.mm!, request);
  }

  /** Memory in folios of one order, not yet touched; it starts at a multiple of 2 MiB. */
  mapFolios(pages: number, order: number): Vpn {
    const { k } = this.machine;
    const start = Math.ceil(this.map(pages + HPAGE_PMD_NR) / HPAGE_PMD_NR) * HPAGE_PMD_NR;
    for (let each = THP_ORDER_MIN; each <= HPAGE_PMD_ORDER; each++) {
      setThpOfOrder(k, each, each === order ? 'madvise' : 'never');
    }
    madviseRange(k, this.task, start, start + pages, MADV_HUGEPAGE);
    return start;
  }

  /** Memory in huge pages, not yet touched; it starts at a multiple of 2 MiB. */
  mapHuge(pages: number): Vpn {
    const start = Math.ceil(this.map(pages + HPAGE_PMD_NR) / HPAGE_PMD_NR) * HPAGE_PMD_NR;
    madviseRange(this.machine.k, this.task, start, start + pages, MADV_HUGEPAGE);
    return start;
  }

  /** Stores to pages [start, start + nr), until one fails for want of memory. */
  touch(start: Vpn, nr: number): Touched {
    let majorFaults = 0;
    for (let n = 0; n < nr; n++) {
      const outcome = this.access(start + n, true);
      if ((outcome & FAULT_ERROR) !== 0) return { pages: n, majorFaults };
      if ((outcome & FAULT_MAJOR) !== 0) majorFaults++;
    }
    return { pages: nr, majorFaults };
  }

  /** Loads from pages [start, start + nr). */
  read(start: Vpn, nr: number): void {
    for (let n = 0; n < nr; n++) this.access(start + n, false);
  }

  /** As touch, at `nr` random pages of the range. */
  touchAtRandom(start: Vpn, pages: number, nr: number): Touched {
    let majorFaults = 0;
    for (let n = 0; n < nr; n++) {
      const outcome = this.access(start + this.machine.random.below(pages), true);
      if ((outcome & FAULT_ERROR) !== 0) return { pages: n, majorFaults };
      if ((outcome & FAULT_MAJOR) !== 0) majorFaults++;
    }
    return { pages: nr, majorFaults };
  }

  /** One access; returns FAULT_* bits. kswapd comes when it was woken. */
  access(vpn: Vpn, write: boolean): number {
    const outcome = accessPage(this.machine.k, this.task, vpn, write);
    this.machine.runKswapd();
    return outcome;
  }

  /** FOLL_LONGTERM pins of [start, start + nr), `batch` pages a call, until a call fails. */
  pinLongterm(start: Vpn, nr: number, batch: number): Pinned {
    return this.pin(start, nr, batch, FOLL_LONGTERM | FOLL_WRITE);
  }

  pin(start: Vpn, nr: number, batch: number, flags: number): Pinned {
    const pages: FrameId[] = [];
    for (let n = 0; n < nr; n += batch) {
      const want = Math.min(batch, nr - n);
      const got = pinUserPages(this.machine.k, this.task, start + n, want, flags, pages);
      this.machine.runKswapd();
      if (got < 0) return { pages, errno: got };
    }
    return { pages, errno: 0 };
  }

  /** The frame behind a page, negative if there is none. */
  frame(vpn: Vpn): FrameId {
    return pageAt(this.machine.k, this.task.mm!, vpn);
  }
}

/** MiB of a number of pages. */
export function mibOf(pages: number): number {
  return pages / PAGES_PER_MIB;
}

/** CPU time of migrating small pages, each mapped once, copy included, in milliseconds. */
export function migrationMs(pages: number): number {
  const costs = COST_DEFAULTS;
  const ns = migrateOverheadNs(costs, pages, pages, 0, 0);
  return (ns + (pages * PAGE_SIZE) / costs.copyBandwidth) / 1e6;
}
