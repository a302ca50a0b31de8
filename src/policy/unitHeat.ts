/**
 * Units with the samples seen of them: what policies that count accesses share. Counts halve
 * together (cool), lazily, a unit whose plan row is under way is left alone, and so is one that
 * could not move (backoff.ts).
 */

import type { Nanoseconds, Nid, Vpn } from '../base/units.ts';
import { ROWS_INITIAL, resized } from '../heat/index.ts';
import { Backoff } from './backoff.ts';
import type { HostView } from './hostView.ts';
import { KEY_VIRTUAL, type MigrationPlan } from './migrationPlan.ts';
import { PromotionBackoff } from './promotionBackoff.ts';
import { type UnitRows, UnitTable } from './unitTable.ts';

/** Halvings after which nothing is left of any count. */
const TICKS_MAX = 60;

/** TI-91: rounds that a unit which may not move is left alone. */
const BLACKLIST_ROUNDS = 100;

/** What the owner of a UnitHeat does with its own columns. */
export interface UnitHeatRows {
  /** Whether folios of so many pages make units; left out = all do. */
  accepts?(folioPages: number): boolean;
  /** A new unit has the row. */
  opened?(row: number): void;
  /** `seen` more samples of the pages [vpn, vpn + nrPages) of the row's unit. */
  seen?(row: number, vpn: Vpn, nrPages: number, seen: number): void;
}

export class UnitHeat implements UnitRows {
  units: UnitTable;
  /** Samples taken in since the start. */
  samples = 0;
  readonly #unitPages: number;
  readonly #rows: UnitHeatRows;
  readonly #backoff = new Backoff(ROWS_INITIAL, BLACKLIST_ROUNDS);
  readonly #promotions: PromotionBackoff;
  #count = new Float64Array(ROWS_INITIAL);
  /** Row -> pages seen accessed in the last view, each as often as it was; its round. */
  #seen = new Float64Array(ROWS_INITIAL);
  #seenRound = new Float64Array(ROWS_INITIAL);
  /** Row -> value of #clock at which its count is right. */
  #tick = new Uint32Array(ROWS_INITIAL);
  #pending = new Uint8Array(ROWS_INITIAL);
  #clock = 0;
  #round = 0;
  #nowNs: Nanoseconds = 0;

  /** `backoffMs`: what BACKOFF_KNOB says. */
  constructor(unitPages: number, rows: UnitHeatRows = {}, backoffMs = 0) {
    this.#unitPages = unitPages;
    this.#rows = rows;
    this.#promotions = new PromotionBackoff(backoffMs);
    this.units = new UnitTable(unitPages, 1);
  }

  /** Takes in outcomes, walk and samples of a view; call once at the start of each decision. */
  take(view: HostView): void {
    this.#round++;
    this.#nowNs = view.nowNs;
    if (this.units.nrNodes !== view.nodes.nrNodes) {
      this.units = new UnitTable(this.#unitPages, view.nodes.nrNodes);
    }
    this.#takeOutcome(view);
    if (view.residency !== null) this.units.takeWalk(view.residency, this);
    const { heat } = view;
    for (let i = 0; i < heat.nrRows; i++) {
      if (heat.pid[i] < 0) continue;
      const seen = heat.reads[i] + heat.writes[i];
      this.samples += seen;
      const row = this.units.find(heat.pid[i], heat.vpn[i]);
      if (row < 0) continue;
      this.addCount(row, seen);
      this.#rows.seen?.(row, heat.vpn[i], heat.nrPages[i], seen);
      this.#seen[row] = this.pagesSeenOf(row) + seen * heat.nrPages[i];
      this.#seenRound[row] = this.#round;
    }
  }

  /** Pages of a unit that the last view saw accessed, each as often as it was seen. */
  pagesSeenOf(row: number): number {
    return this.#seenRound[row] === this.#round ? this.#seen[row] : 0;
  }

  /** All counts halve. */
  cool(): void {
    this.#clock++;
  }

  /** Samples of a unit, cooled. */
  countOf(row: number): number {
    let ticks = Math.min(this.#clock - this.#tick[row], TICKS_MAX);
    for (; ticks > 0; ticks--) this.#count[row] /= 2;
    this.#tick[row] = this.#clock;
    return this.#count[row];
  }

  addCount(row: number, samples: number): void {
    this.#count[row] = this.countOf(row) + samples;
  }

  /** Whether a unit's row is in use and may be planned now. */
  isReady(row: number): boolean {
    if (this.units.index.pid[row] < 0 || this.#pending[row] !== 0) return false;
    return this.#backoff.isReady(row, this.#round);
  }

  /**
   * Rows that are ready, have pages on `nids` and count at least `countMin`, by falling count, or
   * rising with `coldFirst`; ties by row.
   */
  ranked(nids: readonly Nid[], countMin: number, coldFirst = false): number[] {
    const rows = this.readyOn(nids, countMin);
    const sign = coldFirst ? 1 : -1;
    return rows.sort((a, b) => sign * (this.#count[a] - this.#count[b]) || a - b);
  }

  /** Whether back-off lets a ready unit be promoted, with its pages on `nids`. */
  mayPromote(row: number, nids: readonly Nid[]): boolean {
    return this.#promotions.mayPromote(row, this.units.residentOn(row, nids), this.#nowNs);
  }

  get deferredPages(): number {
    return this.#promotions.deferredPages;
  }

  /** Rows that are ready, have pages on `nids` and count at least `countMin`, ascending. */
  readyOn(nids: readonly Nid[], countMin: number): number[] {
    const rows: number[] = [];
    for (let row = 0; row < this.units.index.nrRows; row++) {
      if (!this.isReady(row) || this.units.residentOn(row, nids) === 0) continue;
      if (this.countOf(row) >= countMin) rows.push(row);
    }
    return rows;
  }

  /** Plans a unit's migration; it is left alone until the outcome is known. False if full. */
  migrate(plan: MigrationPlan, row: number, target: Nid, reason: number): boolean {
    const { pid, vpn } = this.units.index;
    if (!plan.migrateVirtual(pid[row], vpn[row], this.#unitPages, target, reason)) return false;
    this.#pending[row] = 1;
    return true;
  }

  /** Plans that a unit's large folio is split; as migrate. */
  split(plan: MigrationPlan, row: number): boolean {
    const { pid, vpn } = this.units.index;
    if (!plan.splitVirtual(pid[row], vpn[row], this.#unitPages)) return false;
    this.#pending[row] = 1;
    return true;
  }

  accepts(folioPages: number): boolean {
    return this.#rows.accepts?.(folioPages) ?? true;
  }

  opened(row: number): void {
    const { capacity } = this.units.index;
    if (capacity > this.#count.length) this.#grow(capacity);
    this.#count[row] = 0;
    this.#tick[row] = this.#clock;
    this.#seenRound[row] = 0;
    this.#pending[row] = 0;
    this.#backoff.forget(row);
    this.#promotions.forget(row);
    this.#rows.opened?.(row);
  }

  found(): void {}

  closed(): void {}

  #takeOutcome({ outcome, nodes, nowNs }: HostView): void {
    for (let i = 0; i < outcome.nrRows; i++) {
      if (outcome.keyKind[i] !== KEY_VIRTUAL) continue;
      if (outcome.nrPages[i] !== this.#unitPages) continue; // a unit of another size
      const row = this.units.find(outcome.pid[i], outcome.page[i]);
      if (row < 0) continue;
      this.#pending[row] = 0;
      this.units.migrated(row, outcome.targetNid[i], outcome.migratedPages[i]);
      if (outcome.migratedPages[i] > 0) {
        this.#promotions.settle(row, nodes.isToptier[outcome.targetNid[i]] === 1, nowNs);
      }
      this.#backoff.settle(row, outcome.status[i], this.#round);
    }
  }

  #grow(capacity: number): void {
    this.#count = resized(this.#count, new Float64Array(capacity));
    this.#seen = resized(this.#seen, new Float64Array(capacity));
    this.#seenRound = resized(this.#seenRound, new Float64Array(capacity));
    this.#tick = resized(this.#tick, new Uint32Array(capacity));
    this.#pending = resized(this.#pending, new Uint8Array(capacity));
    this.#backoff.reserve(capacity);
    this.#promotions.reserve(capacity);
  }
}
