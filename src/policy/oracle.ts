/**
 * The oracle: knows how often every page will be accessed in the window of the run that begins, and
 * keeps the hottest pages in the fast nodes. No system can do this; it tells how much there is to
 * gain (an upper bound for page placement, as field studies use it).
 *
 * Decides on: the future (only the simulator has one), page tables. At the start of a window, and
 * when pages have appeared since, it ranks all resident folios by coming accesses per page and
 * fills the fast nodes from the top. The hottest misplaced folio changes places with the coldest
 * one that is in the way.
 *
 * With `migration: free` nothing is charged: the bound for placement. With `charged` migrations
 * cost what they cost, and a change must pay for itself within the window.
 *
 * Not modelled: allocation by future heat (a page is placed at the first decision after its first
 * access, so a short `period` makes the bound tighter); bandwidth (all hot pages go to fast nodes
 * even where spreading them would be faster).
 */
import { MIB, type Nid, PAGE_SIZE } from '../base/units.ts';
import type { HostView } from './hostView.ts';
import { choiceOf, type Knob, type KnobValues, numberOf } from './knob.ts';
import { type MigrationPlan, REASON_DEMOTE, REASON_PROMOTE } from './migrationPlan.ts';
import { OracleFolios } from './oracleFolios.ts';
import { NO_SETTINGS, type Policy, type PolicyDescription } from './policy.ts';
import { Room } from './room.ts';

const KNOBS: readonly Knob[] = [
  {
    kind: 'choice',
    name: 'migration',
    default: 'free',
    choices: ['free', 'charged'],
    doc: 'whether migrations take time and bandwidth',
  },
  {
    kind: 'integer',
    name: 'windows',
    default: 16,
    min: 1,
    max: 4096,
    unit: 'windows',
    doc: 'that the run is divided into; 1 = the best placement that never changes',
  },
  {
    kind: 'number',
    name: 'period',
    default: 10,
    min: 0.001,
    max: 100_000,
    unit: 'ms',
    doc: 'time between two decisions',
  },
  {
    kind: 'number',
    name: 'migrateCost',
    default: 1240,
    min: 0,
    max: 1_000_000,
    unit: 'ns',
    doc: 'of a page; charged migrations must gain more than this',
  },
  {
    kind: 'integer',
    name: 'chunk',
    default: 32,
    min: 1,
    max: 65536,
    unit: 'MiB',
    doc: 'most that one decision promotes when migrations are charged',
  },
];

export const oracle: PolicyDescription = {
  name: 'oracle',
  summary: 'knows the coming accesses and keeps the hottest pages in fast nodes: the bound',
  source: 'upper bound, no system',
  knobs: KNOBS,
  make: (values) => new Oracle(values),
};

/** Replan when the resident pages changed by this share. */
const CHANGE_SHARE = 1 / 64;

class Oracle implements Policy {
  readonly name = 'oracle';
  readonly needs;
  readonly settings;
  readonly periodNs: number;
  readonly planCapacity = 65536;
  readonly #isFree: boolean;
  readonly #migrateNs: number;
  readonly #chunkPages: number;
  readonly #folios = new OracleFolios();
  #window = -1;
  #plannedPages = 0;
  #isSettled = false;

  constructor(values: KnobValues) {
    this.#isFree = choiceOf(values, 'migration') === 'free';
    this.#migrateNs = this.#isFree ? 0 : numberOf(values, 'migrateCost');
    this.#chunkPages = this.#isFree
      ? Number.POSITIVE_INFINITY
      : (numberOf(values, 'chunk') * MIB) / PAGE_SIZE;
    this.periodNs = Math.round(numberOf(values, 'period') * 1_000_000);
    this.settings = {
      ...NO_SETTINGS,
      sysctl: { numa_balancing: 0, demotion_enabled: false },
      isMigrationFree: this.#isFree,
    };
    this.needs = {
      heat: 'none' as const,
      heatKnobs: {},
      residencyPeriodNs: this.periodNs,
      vmstat: [],
      futureWindows: numberOf(values, 'windows'),
    };
  }

  decide(view: HostView, plan: MigrationPlan): void {
    const { future, residency } = view;
    if (future === null || residency === null || view.pendingPages > 0) return;
    let pages = 0;
    for (let run = 0; run < residency.nrRows; run++) pages += residency.nrPages[run];
    const hasChanged = Math.abs(pages - this.#plannedPages) > pages * CHANGE_SHARE;
    if (future.window === this.#window && this.#isSettled && !hasChanged) return;
    this.#window = future.window;
    this.#plannedPages = pages;
    const room = new Room(view.nodes, () => 0);
    if (room.fast.length === 0 || room.slow.length === 0) return;
    this.#folios.take(residency, future);
    this.#isSettled = this.#plan(view, room, plan);
  }

  /** Returns false if there is more to do than this plan holds. */
  #plan(view: HostView, room: Room, plan: MigrationPlan): boolean {
    const folios = this.#folios;
    const ranked = folios.ranked;
    const promoted: number[] = [];
    const demoted: number[] = [];
    let coldest = ranked.length - 1;
    let pages = 0;
    let isDone = true;
    for (let hottest = 0; hottest < ranked.length; hottest++) {
      const row = ranked[hottest];
      if (view.nodes.isToptier[folios.nid[row]] === 1) continue;
      // Equal to nothing: no access to come, so nothing below it is worth a migration either.
      if (folios.accesses[row] === 0) break;
      if (pages + folios.nrPages[row] > this.#chunkPages) {
        isDone = false;
        break;
      }
      let target = room.promotionTarget(folios.nrPages[row]);
      while (target < 0 && coldest > hottest) {
        const victim = ranked[coldest];
        if (view.nodes.isToptier[folios.nid[victim]] === 1) {
          if (!this.#pays(view, row, victim)) break;
          if (!this.#demote(room, victim)) break;
          demoted.push(victim);
          target = room.promotionTarget(folios.nrPages[row]);
        }
        coldest--;
      }
      if (target < 0 || !this.#pays(view, row, -1)) break;
      room.take(folios.nid[row], target, folios.nrPages[row]);
      folios.target[row] = target;
      promoted.push(row);
      pages += folios.nrPages[row];
    }
    const isWritten =
      folios.write(plan, demoted, REASON_DEMOTE) && folios.write(plan, promoted, REASON_PROMOTE);
    return isDone && isWritten;
  }

  /** Do the accesses gained, per page, repay the migration of a folio (and of its victim)? */
  #pays(view: HostView, row: number, victim: number): boolean {
    const folios = this.#folios;
    const { latencyNs } = view.nodes;
    const fast = this.#nearestFast(view);
    const gainNs = latencyNs[folios.nid[row]] - latencyNs[fast];
    const accesses = folios.density(row) - (victim < 0 ? 0 : folios.density(victim));
    const cost = this.#migrateNs * (victim < 0 ? 1 : 2);
    return accesses * gainNs > cost;
  }

  #nearestFast(view: HostView): Nid {
    let best = -1;
    for (let nid = 0; nid < view.nodes.nrNodes; nid++) {
      if (view.nodes.isToptier[nid] === 0) continue;
      if (best < 0 || view.nodes.latencyNs[nid] < view.nodes.latencyNs[best]) best = nid;
    }
    return best;
  }

  #demote(room: Room, row: number): boolean {
    const folios = this.#folios;
    const from = folios.nid[row];
    const target = room.demotionTarget(from, folios.nrPages[row]);
    if (target < 0) return false;
    room.take(from, target, folios.nrPages[row]);
    folios.target[row] = target;
    return true;
  }
}
