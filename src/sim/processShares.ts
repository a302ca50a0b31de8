/**
 * What each process had of the machine: accesses by tier, and mapped pages by tier as means over
 * looks at its page tables, one at each end of an interval of the series (mission C6, fairness).
 *
 * A page that several processes map counts for each of them.
 */
import { HPAGE_PMD_NR } from '../base/units.ts';
import {
  type AddressSpace,
  type Kernel,
  PTEB_SPECIAL,
  pteIsPresent,
  ptePayload,
} from '../mm/index.ts';
import type { TraceSource } from '../trace/index.ts';
import type { ProcessResult } from './runResult.ts';
import type { ThreadTime } from './threadClock.ts';
import type { TraceProcessState } from './traceProgram.ts';

class Share {
  readonly accesses: Float64Array;
  residentSum = 0;
  toptierSum = 0;
  looks = 0;

  constructor(nrNodes: number) {
    this.accesses = new Float64Array(nrNodes);
  }
}

export class ProcessShares {
  readonly #k: Kernel;
  /** By process of the trace. */
  readonly #shares: (Share | undefined)[] = [];

  constructor(k: Kernel) {
    this.#k = k;
  }

  count(process: number, nid: number, accesses: number): void {
    this.#of(process).accesses[nid] += accesses;
  }

  /** Looks at the page tables of the processes that run. */
  look(processes: readonly (TraceProcessState | null | undefined)[]): void {
    for (let process = 0; process < processes.length; process++) {
      const state = processes[process];
      if (state === null || state === undefined) continue;
      const share = this.#of(process);
      share.looks++;
      this.#count(state.mm, share);
    }
  }

  /** Processes that accessed memory. */
  result(source: TraceSource, threads: readonly (ThreadTime | undefined)[]): ProcessResult[] {
    const { tiers } = this.#k;
    const rows: ProcessResult[] = [];
    for (const [process, share] of this.#shares.entries()) {
      if (share === undefined) continue;
      let accesses = 0;
      let fast = 0;
      for (const [nid, n] of share.accesses.entries()) {
        accesses += n;
        if (tiers.isToptier(nid)) fast += n;
      }
      if (accesses === 0) continue;
      const looks = Math.max(1, share.looks);
      let endNs = 0;
      for (const [tid, { pid }] of source.threads.entries()) {
        if (pid === process) endNs = Math.max(endNs, threads[tid]?.nowNs ?? 0);
      }
      const known = source.processes[process];
      rows.push({
        process,
        name: known?.name ?? '',
        program: known?.program ?? '',
        accesses,
        toptierHitRatio: fast / accesses,
        residentPagesMean: share.residentSum / looks,
        toptierPagesMean: share.toptierSum / looks,
        endNs,
      });
    }
    return rows;
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
    for (let slot = 0; slot < mm.nrSlots; slot++) {
      const pmd = mm.pmd[slot];
      if (pmd !== 0) {
        if (pteIsPresent(pmd)) this.#add(ptePayload(pmd), HPAGE_PMD_NR, share);
        continue;
      }
      if (mm.leaf[slot] < 0) continue;
      const first = mm.leaf[slot] * HPAGE_PMD_NR;
      for (let i = first; i < first + HPAGE_PMD_NR; i++) {
        if (words[i] === 0 || !pteIsPresent(words[i]) || (bytes[i] & PTEB_SPECIAL) !== 0) continue;
        this.#add(ptePayload(words[i]), 1, share);
      }
    }
  }

  #add(frame: number, nrPages: number, share: Share): void {
    share.residentSum += nrPages;
    if (this.#k.tiers.isToptier(this.#k.pm.nidOf(frame))) share.toptierSum += nrPages;
  }
}
