/**
 * The units a policy migrates, one row each: 2 MiB ranges or base pages of programs, with where
 * their pages are. Brought up to date from walks over the page tables (ResidencyTable) and from the
 * outcome of plans in between.
 *
 * A unit's pages may be in several nodes: `resident` counts them per node.
 */
import type { Nid, Vpn } from '../base/units.ts';
import { NO_PID, PageIndex, resized } from '../heat/index.ts';
import type { ResidencyTable } from './hostView.ts';

export class UnitTable {
  /** Base pages of a unit: 1 or 512. */
  readonly unitPages: number;
  readonly nrNodes: number;
  readonly index: PageIndex;
  /** row * nrNodes + nid -> resident pages. */
  resident: Int32Array;
  /** Row -> walk that last found a page of it. */
  #walk: Int32Array;
  #nrWalks = 0;

  constructor(unitPages: number, nrNodes: number) {
    this.unitPages = unitPages;
    this.nrNodes = nrNodes;
    this.index = new PageIndex();
    this.resident = new Int32Array(this.index.capacity * nrNodes);
    this.#walk = new Int32Array(this.index.capacity);
  }

  /** The unit that holds a page. */
  unitOf(vpn: Vpn): Vpn {
    return this.unitPages === 1 ? vpn : Math.floor(vpn / this.unitPages) * this.unitPages;
  }

  /** The row of the unit that holds a page, or -1. */
  find(pid: number, vpn: Vpn): number {
    return this.index.find(pid, this.unitOf(vpn));
  }

  /** Resident pages of a unit on the nodes of a list. */
  residentOn(row: number, nids: readonly Nid[]): number {
    let pages = 0;
    for (const nid of nids) pages += this.resident[row * this.nrNodes + nid];
    return pages;
  }

  /** The node with most of a unit's pages among a list; -1 if it has none there. */
  mainNid(row: number, nids: readonly Nid[]): Nid {
    let best = -1;
    let most = 0;
    for (const nid of nids) {
      const pages = this.resident[row * this.nrNodes + nid];
      if (pages <= most) continue;
      most = pages;
      best = nid;
    }
    return best;
  }

  /**
   * Takes over a walk, of folios that `rows` accepts. `opened(row)` is called for every new unit
   * before its pages are counted, `closed(row)` for every unit without pages before it is
   * forgotten, `found(row)` for the others.
   */
  takeWalk(walk: ResidencyTable, rows: UnitRows): void {
    const { nrNodes } = this;
    const number = ++this.#nrWalks;
    for (let run = 0; run < walk.nrRows; run++) {
      if (rows.accepts?.(walk.folioPages[run]) === false) continue;
      const end = walk.vpn[run] + walk.nrPages[run];
      for (let vpn = walk.vpn[run]; vpn < end; ) {
        const unitEnd = Math.min(this.unitOf(vpn) + this.unitPages, end);
        const row = this.#open(walk.pid[run], this.unitOf(vpn), rows);
        if (this.#walk[row] !== number) {
          this.#walk[row] = number;
          for (let nid = 0; nid < nrNodes; nid++) this.resident[row * nrNodes + nid] = 0;
        }
        this.resident[row * nrNodes + walk.nid[run]] += unitEnd - vpn;
        vpn = unitEnd;
      }
    }
    for (let row = 0; row < this.index.nrRows; row++) {
      if (this.index.pid[row] === NO_PID) continue;
      if (this.#walk[row] === number) {
        rows.found(row);
        continue;
      }
      rows.closed(row);
      this.index.remove(row);
    }
  }

  /** Pages of a unit were migrated to `target`: they leave the other nodes, fullest first. */
  migrated(row: number, target: Nid, nrPages: number): void {
    const base = row * this.nrNodes;
    let left = nrPages;
    for (let round = 0; round < this.nrNodes && left > 0; round++) {
      let from = -1;
      for (let nid = 0; nid < this.nrNodes; nid++) {
        if (nid === target || this.resident[base + nid] === 0) continue;
        if (from < 0 || this.resident[base + nid] > this.resident[base + from]) from = nid;
      }
      if (from < 0) return;
      const pages = Math.min(left, this.resident[base + from]);
      this.resident[base + from] -= pages;
      this.resident[base + target] += pages;
      left -= pages;
    }
  }

  #open(pid: number, unit: Vpn, rows: UnitRows): number {
    const before = this.index.nrPages;
    const row = this.index.insert(pid, unit);
    if (this.index.nrPages === before) return row;
    const capacity = this.index.capacity;
    if (capacity > this.#walk.length) {
      this.#walk = resized(this.#walk, new Int32Array(capacity));
      this.resident = resized(this.resident, new Int32Array(capacity * this.nrNodes));
    }
    this.#walk[row] = 0;
    rows.opened(row);
    return row;
  }
}

/** What the owner of a UnitTable does with its own columns. */
export interface UnitRows {
  /** Whether folios of so many pages make units; left out = all do. */
  accepts?(folioPages: number): boolean;
  opened(row: number): void;
  found(row: number): void;
  closed(row: number): void;
}
