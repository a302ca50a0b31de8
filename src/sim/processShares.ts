/**
 * What each process and each control group had of the machine: accesses by tier, mapped pages by
 * tier as means over time, and folios that changed their tier (mission C6, fairness). Page tables
 * are looked at when an interval of the series ends, and the rarer the longer the process has run;
 * of large ones a part of the entries (an error far below a percent).
 *
 * A page that several processes map counts for each of them; its migration for the first.
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Nanoseconds } from '../base/units.ts';
import {
  type AddressSpace,
  type Kernel,
  PTEB_SPECIAL,
  pteIsPresent,
  ptePayload,
  rmapCollect,
} from '../mm/index.ts';
import type { TraceSource } from '../trace/index.ts';
import type { CgroupResult, MachineShare, ProcessResult } from './runResult.ts';
import type { ThreadTime } from './threadClock.ts';
import type { TraceCgroups } from './traceCgroups.ts';
import type { TraceProcessState } from './traceProgram.ts';

/** A process is looked at again when it has run so many times as long: 75 looks for a second. */
const LOOK_AFTER = 1 + 1 / 16;

/** Entries of an address space looked at at a time, about; all of them if there are fewer. */
const ENTRIES = 2 ** 16;

class Share {
  readonly accesses: Float64Array;
  /** Mapped pages, as last looked at. */
  resident = 0;
  toptier = 0;
  /** Of them, pages times nanoseconds, and how many nanoseconds. */
  residentSum = 0;
  toptierSum = 0;
  livedNs: Nanoseconds = 0;
  /** Of livedNs: when to look again. */
  nextLookNs: Nanoseconds = 0;
  promotedPages = 0;
  demotedPages = 0;
  majorFaults = 0;

  constructor(nrNodes: number) {
    this.accesses = new Float64Array(nrNodes);
  }
}

export class ProcessShares {
  readonly #k: Kernel;
  readonly #processes: readonly (TraceProcessState | null | undefined)[];
  readonly #cgroups: TraceCgroups;
  /** By process of the trace. */
  readonly #shares: (Share | undefined)[] = [];
  /** By control group: time in which one of its processes ran. */
  readonly #groupLivedNs: Nanoseconds[];
  /** By node: 1 if it is a top tier. Of the look under way. */
  readonly #isToptier: Uint8Array;
  readonly #processOfMm: WeakMap<AddressSpace, number> = new WeakMap();

  /** `processes` fills as the trace goes on. */
  constructor(
    k: Kernel,
    processes: readonly (TraceProcessState | null | undefined)[],
    cgroups: TraceCgroups,
  ) {
    this.#k = k;
    this.#processes = processes;
    this.#cgroups = cgroups;
    this.#groupLivedNs = new Array<number>(cgroups.groups.length).fill(0);
    this.#isToptier = new Uint8Array(k.pm.nodes.length);
  }

  count(process: number, nid: number, accesses: number): void {
    this.#of(process).accesses[nid] += accesses;
  }

  majorFault(process: number): void {
    this.#of(process).majorFaults++;
  }

  /** A folio of `nr` pages changed its tier and is at `head` now. */
  migrated(head: FrameId, isPromotion: boolean, nr: number): void {
    const process = this.#ownerOf(head);
    if (process < 0) return;
    const share = this.#of(process);
    if (isPromotion) share.promotedPages += nr;
    else share.demotedPages += nr;
  }

  /** `ns` have gone by: looks at the page tables of the processes whose turn it is. */
  pass(ns: Nanoseconds): void {
    const { tiers } = this.#k;
    for (const nid of this.#isToptier.keys()) this.#isToptier[nid] = tiers.isToptier(nid) ? 1 : 0;
    const groups = new Set<number>();
    for (let process = 0; process < this.#processes.length; process++) {
      const state = this.#processes[process];
      if (state === null || state === undefined) continue;
      const share = this.#of(process);
      groups.add(this.#cgroups.groupOf(process));
      share.livedNs += ns;
      if (share.livedNs >= share.nextLookNs) {
        this.#count(state.mm, share);
        share.nextLookNs = share.livedNs * LOOK_AFTER;
      }
      share.residentSum += share.resident * ns;
      share.toptierSum += share.toptier * ns;
    }
    for (const group of groups) if (group >= 0) this.#groupLivedNs[group] += ns;
  }

  /** Processes that accessed memory, and the control groups. */
  result(
    source: TraceSource,
    threads: readonly (ThreadTime | undefined)[],
  ): { readonly processes: ProcessResult[]; readonly cgroups: CgroupResult[] } {
    const ends = endsOf(source, threads);
    const processes: ProcessResult[] = [];
    for (const [process, share] of this.#shares.entries()) {
      if (share === undefined) continue;
      const had = this.#had([share], Math.max(1, share.livedNs));
      if (had.accesses === 0) continue;
      const known = source.processes[process];
      const { name = '', program = '' } = known ?? {};
      processes.push({ process, name, program, ...had, endNs: ends[process] ?? 0 });
    }
    const cgroups = this.#cgroups.groups.map(({ name, mems }, group): CgroupResult => {
      const members = [...this.#shares.keys()].filter((process) => {
        return this.#shares[process] !== undefined && this.#cgroups.groupOf(process) === group;
      });
      const shares = members.map((process) => this.#shares[process]!);
      const had = this.#had(shares, Math.max(1, this.#groupLivedNs[group]));
      const endNs = Math.max(0, ...members.map((process) => ends[process] ?? 0));
      return { name, mems, processes: members.length, ...had, endNs };
    });
    return { processes, cgroups };
  }

  /** Sums, and means over `livedNs`. */
  #had(shares: readonly Share[], livedNs: Nanoseconds): Omit<MachineShare, 'endNs'> {
    const { tiers } = this.#k;
    let accesses = 0;
    let fast = 0;
    const sum = (of: (share: Share) => number) => shares.reduce((n, share) => n + of(share), 0);
    for (const share of shares) {
      for (const [nid, n] of share.accesses.entries()) {
        accesses += n;
        if (tiers.isToptier(nid)) fast += n;
      }
    }
    return {
      accesses,
      toptierHitRatio: accesses === 0 ? 0 : fast / accesses,
      residentPagesMean: sum(({ residentSum }) => residentSum) / livedNs,
      toptierPagesMean: sum(({ toptierSum }) => toptierSum) / livedNs,
      promotedPages: sum(({ promotedPages }) => promotedPages),
      demotedPages: sum(({ demotedPages }) => demotedPages),
      majorFaults: sum(({ majorFaults }) => majorFaults),
    };
  }

  /** The process whose mapping of a folio comes first, -1 = nobody maps it. */
  #ownerOf(head: FrameId): number {
    if (this.#processes.length <= 1) return this.#processes.length - 1;
    const k = this.#k;
    if (rmapCollect(k, head) === 0) return -1;
    const { mm } = k.rmap.vma[0];
    const known = this.#processOfMm.get(mm);
    if (known !== undefined) return known;
    const process = this.#processes.findIndex((state) => state?.mm === mm);
    if (process >= 0) this.#processOfMm.set(mm, process);
    return process;
  }

  #of(process: number): Share {
    const known = this.#shares[process];
    if (known !== undefined) return known;
    const share = new Share(this.#k.pm.nodes.length);
    this.#shares[process] = share;
    return share;
  }

  #count(mm: AddressSpace, share: Share): void {
    const { words, bytes } = this.#k.ptes;
    const { nidOfBlock } = this.#k.pm.blocks;
    const isToptier = this.#isToptier;
    // Odd, so that pages which are interleaved do not all come from one node.
    const step = Math.floor((mm.nrSlots * HPAGE_PMD_NR) / ENTRIES) | 1;
    let resident = 0;
    let toptier = 0;
    for (let slot = 0; slot < mm.nrSlots; slot++) {
      const pmd = mm.pmd[slot];
      if (pmd !== 0) {
        if (!pteIsPresent(pmd)) continue;
        resident += HPAGE_PMD_NR;
        toptier += HPAGE_PMD_NR * isToptier[nidOfBlock[ptePayload(pmd) >>> HPAGE_PMD_ORDER]];
        continue;
      }
      if (mm.leaf[slot] < 0) continue;
      const first = mm.leaf[slot] * HPAGE_PMD_NR;
      for (let i = first + (slot % step); i < first + HPAGE_PMD_NR; i += step) {
        const word = words[i];
        if (!pteIsPresent(word) || (bytes[i] & PTEB_SPECIAL) !== 0) continue;
        resident += step;
        toptier += step * isToptier[nidOfBlock[ptePayload(word) >>> HPAGE_PMD_ORDER]];
      }
    }
    share.resident = resident;
    share.toptier = toptier;
  }
}

/** By process: when its last thread was done. */
function endsOf(source: TraceSource, threads: readonly (ThreadTime | undefined)[]): number[] {
  const ends: number[] = [];
  for (const [tid, { pid }] of source.threads.entries()) {
    ends[pid] = Math.max(ends[pid] ?? 0, threads[tid]?.nowNs ?? 0);
  }
  return ends;
}
