/**
 * memtierd's policy "heat" (github.com/intel/memtierd, pkg/memtier/policy_heat.go and
 * counters_heatmap.go): accesses per page make a heat that fades by a constant factor a second;
 * heat is divided into classes, and each class has its nodes, or does not care.
 *
 * Decides on: idle page tracking per region, page tables. Order: sightings, heat, then regions
 * from hot to cold, process by process: a region on a wrong node is planned if the right one has
 * room. What does not fit waits for a later round: nothing is pushed out for it.
 *
 * Deviates: a huge page counts with all its pages; the original sees only its first page.
 * Deviates: capacities are those of the nodes (NumaSize), less their high watermarks.
 * Not modelled: swap as a node of cold classes, forecasters.
 */
import { type Nanoseconds, type Nid, PAGE_SIZE } from '../base/units.ts';
import { ROWS_INITIAL, resized } from '../heat/index.ts';
import type { HostView } from './hostView.ts';
import { integerKnob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import { heatLines } from './memtierdConfig.ts';
import { type MigrationPlan, REASON_DEMOTE, REASON_PROMOTE } from './migrationPlan.ts';
import { NO_SETTINGS, type Policy, type PolicyDescription, type PolicyNeeds } from './policy.ts';
import { retained } from './retention.ts';
import { Room } from './room.ts';
import { UnitHeat } from './unitHeat.ts';

const MILLION = 1_000_000;
const NS_PER_S = 1_000_000_000;

export const memtierdHeat: PolicyDescription = {
  name: 'memtierd-heat',
  summary: 'memtierd, policy heat: regions by class of heat, each class with its nodes',
  source: 'github.com/intel/memtierd, pkg/memtier/policy_heat.go',
  knobs: [
    numberKnob('interval', 5000, 0.001, 600_000, 'ms', 'between two scans and rounds (intervalms)'),
    numberKnob('heatMax', 1, 0.000_001, 1e6, 'accesses', 'of a page: no hotter (heatmax)'),
    numberKnob('heatRetention', 0.9513, 0, 1, '', 'of heat, left after a second without access'),
    integerKnob('heatClasses', 10, 1, 1000, 'classes', 'of equal width, from 0'),
    integerKnob('hotClass', 5, 0, 1000, '', 'and hotter ones belong on fast nodes (heatnumas)'),
    integerKnob('coldClass', 0, -1, 1000, '', 'and colder ones belong on slow nodes; -1 = none'),
    integerKnob('regionPages', 512, 1, 512, 'pages', 'tracked as one (pagesinregion)'),
    numberKnob('bandwidth', 200, 0.001, 1e6, 'MB/s', 'of the mover'),
  ],
  sooner: ['interval'],
  make: (values) => new MemtierdHeat(values),
  configuration: heatLines,
};

class MemtierdHeat implements Policy {
  readonly name = 'memtierd-heat';
  readonly needs: PolicyNeeds;
  readonly settings = { ...NO_SETTINGS, sysctl: { numa_balancing: 0, demotion_enabled: false } };
  readonly periodNs: Nanoseconds;
  readonly planCapacity = 16384;
  readonly #seen: UnitHeat;
  readonly #max: number;
  readonly #retention: number;
  readonly #classes: number;
  readonly #hotClass: number;
  readonly #coldClass: number;
  readonly #budgetPages: number;
  /** Row -> heat a page. */
  #heat = new Float64Array(ROWS_INITIAL);

  constructor(values: KnobValues) {
    const interval = numberOf(values, 'interval');
    this.periodNs = Math.round(interval * MILLION);
    this.#seen = new UnitHeat(numberOf(values, 'regionPages'), {
      opened: (row) => this.#opened(row),
    });
    this.#max = numberOf(values, 'heatMax');
    this.#retention = numberOf(values, 'heatRetention');
    this.#classes = numberOf(values, 'heatClasses');
    this.#hotClass = numberOf(values, 'hotClass');
    this.#coldClass = numberOf(values, 'coldClass');
    this.#budgetPages = Math.floor(
      (numberOf(values, 'bandwidth') * (this.periodNs / 1000)) / PAGE_SIZE,
    );
    this.needs = {
      heat: 'idle-bits',
      heatKnobs: { interval },
      residencyPeriodNs: this.periodNs,
      vmstat: [],
      futureWindows: 0,
    };
  }

  decide(view: HostView, plan: MigrationPlan): void {
    this.#seen.take(view);
    this.#warm(retained(this.#retention, view.intervalNs / NS_PER_S));
    if (view.pendingPages > 0) return;
    const room = new Room(view.nodes, () => 0);
    if (room.fast.length === 0 || room.slow.length === 0) return;
    const { pid, vpn } = this.#seen.units.index;
    const all = [...room.fast, ...room.slow];
    const rows = this.#seen.ranked(all, 0);
    rows.sort((a, b) => pid[a] - pid[b] || this.#heat[b] - this.#heat[a] || vpn[a] - vpn[b]);
    let left = this.#budgetPages;
    for (const row of rows) {
      if (left <= 0) return;
      left -= this.#place(room, plan, row);
    }
  }

  #opened(row: number): void {
    const { capacity } = this.#seen.units.index;
    if (capacity > this.#heat.length) {
      this.#heat = resized(this.#heat, new Float64Array(capacity));
    }
    this.#heat[row] = 0;
  }

  #warm(left: number): void {
    const { index, unitPages } = this.#seen.units;
    for (let row = 0; row < index.nrRows; row++) {
      if (index.pid[row] < 0) continue;
      const seen = Math.min(this.#max, this.#seen.pagesSeenOf(row) / unitPages);
      this.#heat[row] = Math.min(this.#max, this.#heat[row] * left + seen);
    }
  }

  #classOf(row: number): number {
    const number = Math.floor((this.#classes * this.#heat[row]) / this.#max);
    return Math.min(number, this.#classes - 1);
  }

  /** Plans a region on a node that its class does not have; returns its pages, 0 if it stays. */
  #place(room: Room, plan: MigrationPlan, row: number): number {
    const heatClass = this.#classOf(row);
    if (heatClass >= this.#hotClass) return this.#move(room, plan, row, room.slow, REASON_PROMOTE);
    if (heatClass > this.#coldClass) return 0;
    return this.#move(room, plan, row, room.fast, REASON_DEMOTE);
  }

  #move(
    room: Room,
    plan: MigrationPlan,
    row: number,
    from: readonly Nid[],
    reason: number,
  ): number {
    const { units } = this.#seen;
    const pages = units.residentOn(row, from);
    if (pages === 0) return 0;
    const source = units.mainNid(row, from);
    const isPromotion = reason === REASON_PROMOTE;
    const target = isPromotion ? room.promotionTarget(pages) : room.demotionTarget(source, pages);
    if (target < 0 || !this.#seen.migrate(plan, row, target, reason)) return 0;
    room.take(source, target, pages);
    return pages;
  }
}
