/**
 * The oracle: knows how often every page will be accessed in the window of the run that begins, and
 * keeps the hottest pages in the fast nodes. No system can do this; it tells how much there is to
 * gain: the best placement that does not change within a window. More windows raise the bound; it
 * holds for policies that change a page's place no faster than that.
 *
 * Decides on: the future (only the simulator has one), page tables. At the start of a window, and
 * when pages have appeared since, it ranks all resident folios and all pages still to come by their
 * accesses per page and fills the fast nodes from the top. A folio in the wrong place changes
 * places with the coldest one in the way; for a page to come, room is made.
 *
 * With `migration: free` nothing is charged: the bound for placement. With `charged` migrations
 * cost what they cost, and a change must pay for itself within the window.
 *
 * Deviates: a page to come may find its room taken by a colder one that was touched first; the next
 * decision corrects it, so a short `period` makes the bound tighter.
 * Deviates: pages touched first count as if all accesses of their window were still to come.
 * Not modelled: bandwidth (all hot pages go to fast nodes, even where spreading would be faster);
 * splitting (policies that split huge pages can be ahead).
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
    default: 64,
    min: 1,
    max: 4096,
    unit: 'windows',
    doc: 'of equal accesses in the run; 1 = the best placement that never changes',
  },
  {
    kind: 'number',
    name: 'period',
    default: 2,
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
  sooner: ['period'],
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
    const { ranked } = folios;
    const promoted: number[] = [];
    const demoted: number[] = [];
    let coldest = ranked.length - 1;
    let pages = 0;
    let isDone = true;
    for (let hottest = 0; hottest < ranked.length; hottest++) {
      const row = ranked[hottest];
      // No access to come: nothing below is worth anything either.
      if (folios.accesses[row] === 0) break;
      if (this.#isFast(view, row)) continue;
      const nrPages = folios.nrPages[row];
      if (pages + nrPages > this.#chunkPages) {
        isDone = false;
        break;
      }
      let target = room.promotionTarget(nrPages);
      for (; target < 0 && coldest > hottest; coldest--) {
        const victim = ranked[coldest];
        if (!this.#isFast(view, victim)) continue;
        if (!this.#pays(view, row, victim) || !this.#demote(room, victim)) break;
        demoted.push(victim);
        target = room.promotionTarget(nrPages);
      }
      if (target < 0 || !this.#pays(view, row, -1)) break;
      room.take(folios.nid[row], target, nrPages);
      pages += nrPages;
      if (folios.nid[row] < 0) continue;
      folios.target[row] = target;
      promoted.push(row);
    }
    const isWritten =
      folios.write(plan, demoted, REASON_DEMOTE) && folios.write(plan, promoted, REASON_PROMOTE);
    return isDone && isWritten;
  }

  #isFast(view: HostView, row: number): boolean {
    const nid = this.#folios.nid[row];
    return nid >= 0 && view.nodes.isToptier[nid] === 1;
  }

  /** Do the accesses gained, per page, repay migrating a folio and its victim (-1: none)? */
  #pays(view: HostView, row: number, victim: number): boolean {
    const folios = this.#folios;
    const isToCome = folios.nid[row] < 0;
    const slowNid = isToCome ? this.#nearest(view, 0) : folios.nid[row];
    const { latencyNs } = view.nodes;
    const gainNs = latencyNs[slowNid] - latencyNs[this.#nearest(view, 1)];
    const accesses = folios.density(row) - (victim < 0 ? 0 : folios.density(victim));
    const migrations = (isToCome ? 0 : 1) + (victim < 0 ? 0 : 1);
    return accesses * gainNs > this.#migrateNs * migrations;
  }

  /** The node of least latency of a kind; both kinds exist when there is anything to plan. */
  #nearest(view: HostView, isToptier: number): Nid {
    const { nodes } = view;
    let best = -1;
    for (let nid = 0; nid < nodes.nrNodes; nid++) {
      if (nodes.isToptier[nid] !== isToptier || nodes.capacity[nid] === 0) continue;
      if (best < 0 || nodes.latencyNs[nid] < nodes.latencyNs[best]) best = nid;
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
