/**
 * Address x time: how often each 2 MiB of the programs' memory was accessed in each interval of
 * the series, and which node served most of that; where nothing was accessed, which one held most
 * of it. The truth that only the model knows.
 */
import { HPAGE_PMD_NR } from '../base/units.ts';
import { type AddressSpace, type Kernel, pteIsPresent, ptePayload } from '../mm/index.ts';
import type { HeatMapResult } from './runResult.ts';

/** Rows of the result at most: regions next to each other are joined beyond. */
const ROWS_MAX = 128;
/**
 * Entries of a table looked at to tell where a region is: every so many. Odd, so that pages which
 * are interleaved do not all come from one node.
 */
const SAMPLE_STEP = 37;
/** Regions looked at in an interval, about; of more, each in its turn. */
const LOOKS = 512;
/** Of accesses before they are carried: room is left for the slice that an interval ends in. */
const OPEN_MAX = 2 ** 30;

interface RegionRow {
  readonly mm: AddressSpace;
  readonly slot: number;
  readonly vpn: number;
  readonly counts: number[];
  readonly homes: number[];
}

/** A process of the trace, while it has the same address space. */
interface ProcessRegions {
  readonly mm: AddressSpace;
  /** Trace region -> its row. */
  readonly rows: RegionRow[];
  /** (Trace region << nodeBits) | nid -> accesses in the open interval: since carry(), before. */
  open: Int32Array;
  carried: Float64Array;
}

export class HeatMap {
  /** For ReplayBatch.nodeBits. */
  readonly nodeBits: number;
  readonly #k: Kernel;
  readonly #rows: RegionRow[] = [];
  /** By trace process. */
  readonly #processes: ProcessRegions[] = [];
  /** What processes were before they got another address space in the open interval. */
  readonly #left: ProcessRegions[] = [];
  #columns = 0;
  /** In `open` arrays at most. */
  #accesses = 0;

  constructor(k: Kernel) {
    this.#k = k;
    this.nodeBits = 32 - Math.clz32(k.pm.nodes.length - 1);
  }

  /**
   * Where the next `accesses` of a process are to be added by region of the trace (for
   * ReplayBatch.ofRegion); it has `nrRegions`, in `slotOfRegion`.
   */
  openOf(
    pid: number,
    mm: AddressSpace,
    slotOfRegion: Int32Array,
    nrRegions: number,
    accesses: number,
  ): Int32Array {
    this.#accesses += accesses;
    if (this.#accesses > OPEN_MAX) this.#carry(accesses);
    const known = this.#processes[pid];
    const isKnown = known !== undefined && known.mm === mm && known.rows.length >= nrRegions;
    return (isKnown ? known : this.#learn(pid, mm, slotOfRegion, nrRegions)).open;
  }

  /** Before counts could overflow; `accesses` are to come. */
  #carry(accesses: number): void {
    for (const process of [...this.#left, ...this.#processes]) {
      if (process === undefined) continue;
      for (const [region, n] of process.open.entries()) process.carried[region] += n;
      process.open.fill(0);
    }
    this.#accesses = accesses;
  }

  /** Rows for regions that are new, all of them if the address space is. */
  #learn(
    pid: number,
    mm: AddressSpace,
    slotOfRegion: Int32Array,
    nrRegions: number,
  ): ProcessRegions {
    let process = this.#processes[pid];
    if (process === undefined || process.mm !== mm) {
      if (process !== undefined) this.#left.push(process);
      process = { mm, rows: [], open: new Int32Array(0), carried: new Float64Array(0) };
      this.#processes[pid] = process;
    }
    if (process.open.length < nrRegions << this.nodeBits) {
      const { open, carried } = process;
      const length = Math.max(nrRegions << this.nodeBits, 2 * open.length);
      process.open = new Int32Array(length);
      process.open.set(open);
      process.carried = new Float64Array(length);
      process.carried.set(carried);
    }
    for (let region = process.rows.length; region < nrRegions; region++) {
      const slot = slotOfRegion[region];
      const homes = new Array<number>(this.#columns).fill(-1);
      const counts = new Array<number>(this.#columns).fill(0);
      const row = { mm, slot, vpn: mm.slotVpn[slot], counts, homes };
      process.rows.push(row);
      this.#rows.push(row);
    }
    return process;
  }

  /** The interval of the series ended. */
  close(): void {
    this.#columns++;
    const turns = Math.ceil(this.#rows.length / LOOKS);
    for (const [n, row] of this.#rows.entries()) {
      row.counts.push(0);
      const isItsTurn = (n + this.#columns) % turns === 0;
      row.homes.push(isItsTurn ? this.#nodeOf(row) : (row.homes.at(-1) ?? -1));
    }
    for (const process of [...this.#left, ...this.#processes]) {
      if (process === undefined) continue;
      for (const [region, row] of process.rows.entries()) this.#settle(process, region, row);
      process.open.fill(0);
      process.carried.fill(0);
    }
    this.#left.length = 0;
    this.#accesses = 0;
  }

  /** The open column of a row: its accesses, and who served most of them. */
  #settle({ open, carried }: ProcessRegions, region: number, row: RegionRow): void {
    let sum = 0;
    let most = 0;
    for (let nid = 0; nid < this.#k.pm.nodes.length; nid++) {
      const at = (region << this.nodeBits) | nid;
      const n = carried[at] + open[at];
      sum += n;
      if (n <= most) continue;
      most = n;
      row.homes[this.#columns - 1] = nid;
    }
    row.counts[this.#columns - 1] = sum;
  }

  /** Two neighbouring intervals became one. */
  merge(): void {
    this.#columns /= 2;
    for (const row of this.#rows) {
      for (let c = 0; c < this.#columns; c++) {
        const [first, second] = [row.counts[2 * c], row.counts[2 * c + 1]];
        row.homes[c] = row.homes[first > second ? 2 * c : 2 * c + 1];
        row.counts[c] = first + second;
      }
      row.counts.length = this.#columns;
      row.homes.length = this.#columns;
    }
  }

  /** The node that holds most of the region's present pages, -1 if none is present. */
  #nodeOf(row: RegionRow): number {
    const { mm, slot } = row;
    const k = this.#k;
    if (mm.users === 0 || slot >= mm.nrSlots) return -1;
    if (mm.pmd[slot] !== 0) {
      return pteIsPresent(mm.pmd[slot]) ? k.pm.nidOf(ptePayload(mm.pmd[slot])) : -1;
    }
    const table = mm.leaf[slot];
    if (table < 0) return -1;
    votes.fill(0);
    let best = -1;
    for (let i = 0; i < HPAGE_PMD_NR; i += SAMPLE_STEP) {
      const word = k.ptes.words[table * HPAGE_PMD_NR + i];
      if (!pteIsPresent(word)) continue;
      const nid = k.pm.nidOf(ptePayload(word));
      votes[nid]++;
      if (best < 0 || votes[nid] > votes[best]) best = nid;
    }
    return best;
  }

  /** Rows in address order, processes one after the other; neighbours joined to ROWS_MAX rows. */
  result(): HeatMapResult {
    const accessed = this.#rows.filter(({ counts }) => counts.some((n) => n > 0));
    const sorted = accessed.sort((a, b) => a.mm.id - b.mm.id || a.vpn - b.vpn);
    const perRow = Math.max(1, Math.ceil(sorted.length / ROWS_MAX));
    const rows = Math.ceil(sorted.length / perRow);
    const columns = this.#columns;
    const accesses = new Array<number>(rows * columns).fill(0);
    const node = new Array<number>(rows * columns).fill(-1);
    const weightOf = new Array<number>(rows * columns).fill(-1);
    const rowVpn: number[] = [];
    for (const [i, row] of sorted.entries()) {
      const r = Math.floor(i / perRow);
      if (i % perRow === 0) rowVpn.push(row.vpn);
      for (let c = 0; c < columns; c++) {
        const cell = r * columns + c;
        accesses[cell] += row.counts[c];
        if (row.homes[c] >= 0 && row.counts[c] > weightOf[cell]) {
          weightOf[cell] = row.counts[c];
          node[cell] = row.homes[c];
        }
      }
    }
    return { rows, columns, pagesPerRow: perRow * HPAGE_PMD_NR, rowVpn, accesses, node };
  }
}

const votes = new Int32Array(32);
