/**
 * memtierd's policy "age" (github.com/intel/memtierd, pkg/memtier/policy_age.go): regions that
 * were accessed in every interval for a while go to fast memory, regions without an access for a
 * while to slow memory. No counts, no ranking, no look at how full a node is.
 *
 * Decides on: idle page tracking per region, page tables. Order: sightings, ages, idle regions,
 * and active ones only in a round without idle ones: the original's mover must be free. Neighbours
 * are merged, and what would migrate no more than 100 pages stays.
 *
 * Deviates: what the target has no room for is not planned; the original tries and gets -ENOMEM.
 * Deviates: a huge page counts as accessed as a whole; the original sees only its first page.
 * Not modelled: swapping out (SwapOutMs); the trackers softdirty and damon.
 */
import type { Nanoseconds, Nid } from '../base/units.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { ROWS_INITIAL, resized } from '../heat/index.ts';
import type { HostView } from './hostView.ts';
import { integerKnob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import { ageLines } from './memtierdConfig.ts';
import { type MigrationPlan, REASON_DEMOTE, REASON_PROMOTE } from './migrationPlan.ts';
import { NO_SETTINGS, type Policy, type PolicyDescription, type PolicyNeeds } from './policy.ts';
import { Room } from './room.ts';
import { UnitHeat } from './unitHeat.ts';

const MILLION = 1_000_000;

/** A merged range that would migrate no more pages than this is left. */
const PAGES_IGNORED = 100;

export const memtierdAge: PolicyDescription = {
  name: 'memtierd-age',
  summary: 'memtierd, policy age: active regions to fast memory, idle ones to slow memory',
  source: 'github.com/intel/memtierd, pkg/memtier/policy_age.go',
  knobs: [
    numberKnob('interval', 5000, 0.001, 600_000, 'ms', 'between two scans and rounds (intervalms)'),
    numberKnob('idleDuration', 15_000, 0, 3_600_000, 'ms', 'without an access: idle; 0 = never'),
    numberKnob('activeDuration', 10_000, 0, 3_600_000, 'ms', 'of accesses: active; 0 = never'),
    integerKnob('regionPages', 512, 1, 512, 'pages', 'tracked as one (pagesinregion)'),
    numberKnob('bandwidth', 200, 0.001, 1e6, 'MB/s', 'of the mover'),
  ],
  sooner: ['interval', 'idleDuration', 'activeDuration'],
  make: (values) => new MemtierdAge(values),
  configuration: ageLines,
};

class MemtierdAge implements Policy {
  readonly name = 'memtierd-age';
  readonly needs: PolicyNeeds;
  readonly settings = { ...NO_SETTINGS, sysctl: { numa_balancing: 0, demotion_enabled: false } };
  readonly periodNs: Nanoseconds;
  readonly planCapacity = 16384;
  readonly #heat: UnitHeat;
  readonly #idleNs: Nanoseconds;
  /** Intervals in a row with an access that make a region active; 0 = none do. */
  readonly #activeRounds: number;
  readonly #budgetPages: number;
  /** Row -> when it was last accessed; intervals in a row with an access, -1 = a new region. */
  #changedNs = new Float64Array(ROWS_INITIAL);
  #streak = new Int32Array(ROWS_INITIAL);

  constructor(values: KnobValues) {
    const interval = numberOf(values, 'interval');
    this.periodNs = Math.round(interval * MILLION);
    this.#heat = new UnitHeat(numberOf(values, 'regionPages'), {
      opened: (row) => this.#opened(row),
    });
    this.#idleNs = Math.round(numberOf(values, 'idleDuration') * MILLION);
    const active = numberOf(values, 'activeDuration');
    this.#activeRounds = active === 0 ? 0 : Math.floor(active / interval) + 1;
    const bytes = numberOf(values, 'bandwidth') * (this.periodNs / 1000);
    this.#budgetPages = Math.floor(bytes / PAGE_SIZE);
    this.needs = {
      heat: 'idle-bits',
      heatKnobs: { interval },
      residencyPeriodNs: this.periodNs,
      vmstat: [],
      futureWindows: 0,
    };
  }

  decide(view: HostView, plan: MigrationPlan): void {
    this.#heat.take(view);
    this.#age(view.nowNs);
    if (view.pendingPages > 0) return;
    const room = new Room(view.nodes, () => 0);
    if (room.fast.length === 0 || room.slow.length === 0) return;
    if (this.#idleNs > 0) {
      const before = view.nowNs - this.#idleNs;
      this.#move(room, plan, room.fast, (row) => this.#changedNs[row] < before);
    }
    if (this.#activeRounds === 0 || plan.nrRows > 0) return;
    this.#move(room, plan, room.slow, (row) => this.#streak[row] >= this.#activeRounds);
  }

  #opened(row: number): void {
    const { capacity } = this.#heat.units.index;
    if (capacity > this.#streak.length) {
      this.#changedNs = resized(this.#changedNs, new Float64Array(capacity));
      this.#streak = resized(this.#streak, new Int32Array(capacity));
    }
    this.#streak[row] = -1;
  }

  #age(nowNs: Nanoseconds): void {
    const { nrRows, pid } = this.#heat.units.index;
    for (let row = 0; row < nrRows; row++) {
      if (pid[row] < 0) continue;
      const isNew = this.#streak[row] < 0;
      if (isNew) this.#streak[row] = 0;
      if (isNew || this.#heat.pagesSeenOf(row) > 0) {
        this.#changedNs[row] = nowNs;
        this.#streak[row]++;
      } else {
        this.#streak[row] = 0;
      }
    }
  }

  /** Plans what is wanted of the pages on `from`, in runs of neighbours, to the other tier. */
  #move(
    room: Room,
    plan: MigrationPlan,
    from: readonly Nid[],
    isWanted: (row: number) => boolean,
  ): void {
    const { units } = this.#heat;
    const { pid, vpn } = units.index;
    const rows = this.#heat.ranked(from, 0).filter(isWanted);
    rows.sort((a, b) => pid[a] - pid[b] || vpn[a] - vpn[b]);
    let left = this.#budgetPages;
    for (let first = 0; first < rows.length; ) {
      let end = first + 1;
      let pages = units.residentOn(rows[first], from);
      while (end < rows.length && this.#isNext(rows[end - 1], rows[end])) {
        pages += units.residentOn(rows[end++], from);
      }
      for (let n = first; n < end && pages > PAGES_IGNORED && left > 0; n++) {
        left -= this.#plan(room, plan, rows[n], from);
      }
      first = end;
    }
  }

  #isNext(row: number, next: number): boolean {
    const { index, unitPages } = this.#heat.units;
    return index.pid[row] === index.pid[next] && index.vpn[row] + unitPages === index.vpn[next];
  }

  /** Returns the pages planned, 0 if there is no room for them. */
  #plan(room: Room, plan: MigrationPlan, row: number, from: readonly Nid[]): number {
    const { units } = this.#heat;
    const isPromotion = from === room.slow;
    const pages = units.residentOn(row, from);
    const source = units.mainNid(row, from);
    const target = isPromotion ? room.promotionTarget(pages) : room.demotionTarget(source, pages);
    const reason = isPromotion ? REASON_PROMOTE : REASON_DEMOTE;
    if (target < 0 || !this.#heat.migrate(plan, row, target, reason)) return 0;
    room.take(source, target, pages);
    return pages;
  }
}
