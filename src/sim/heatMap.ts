/**
 * Address x time: how often each 2 MiB of the programs' memory was accessed in each interval of
 * the series, and which node held most of it then. The truth that only the model knows.
 */
import { HPAGE_PMD_NR } from '../base/units.ts';
import { type AddressSpace, type Kernel, pteIsPresent, ptePayload } from '../mm/index.ts';
import type { HeatMapResult } from './runResult.ts';

/** Rows of the result at most: regions next to each other are joined beyond. */
const ROWS_MAX = 128;
/** Entries of a table looked at to tell where a region is: every so many. */
const SAMPLE_STEP = 16;

interface RegionRow {
  readonly mm: AddressSpace;
  readonly slot: number;
  readonly vpn: number;
  readonly order: number;
  readonly counts: number[];
  readonly homes: number[];
  open: number;
}

export class HeatMap {
  readonly #k: Kernel;
  readonly #rows: RegionRow[] = [];
  /** By trace process: trace region -> row. */
  readonly #rowOf: (RegionRow | undefined)[][] = [];
  #columns = 0;
  #seen = 0;

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** Counts a slice's runs [from, to). `slotOfRegion` belongs to process `pid`. */
  count(
    pid: number,
    mm: AddressSpace,
    slotOfRegion: Int32Array,
    page: Uint32Array,
    weight: Uint16Array,
    from: number,
    to: number,
  ): void {
    this.#rowOf[pid] ??= [];
    const rows = this.#rowOf[pid];
    for (let i = from; i < to; i++) {
      const region = page[i] >>> 10;
      const row = rows[region];
      if (row !== undefined && row.mm === mm) row.open += weight[i];
      else {
        rows[region] = this.#add(mm, slotOfRegion[region]);
        rows[region].open += weight[i];
      }
    }
  }

  #add(mm: AddressSpace, slot: number): RegionRow {
    const homes = new Array<number>(this.#columns).fill(-1);
    const counts = new Array<number>(this.#columns).fill(0);
    const row = { mm, slot, vpn: mm.slotVpn[slot], order: this.#seen++, counts, homes, open: 0 };
    this.#rows.push(row);
    return row;
  }

  /** The interval of the series ended. */
  close(): void {
    this.#columns++;
    for (const row of this.#rows) {
      row.counts.push(row.open);
      row.open = 0;
      row.homes.push(this.#nodeOf(row));
    }
  }

  /** Two neighbouring intervals became one. */
  merge(): void {
    this.#columns /= 2;
    for (const row of this.#rows) {
      for (let c = 0; c < this.#columns; c++) {
        row.counts[c] = row.counts[2 * c] + row.counts[2 * c + 1];
        row.homes[c] = row.homes[2 * c + 1];
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
    const sorted = [...this.#rows].sort((a, b) => a.mm.id - b.mm.id || a.vpn - b.vpn);
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
