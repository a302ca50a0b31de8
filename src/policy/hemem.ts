/**
 * HeMem (Raybuck et al., SOSP'21): samples of loads and stores per 2 MiB page, hot and cold by
 * fixed thresholds, cooling by halving, FIFO lists, a policy thread every 10 ms. TI-40..TI-46;
 * defaults are the paper's.
 *
 * Decides on: PEBS samples (or another heat source), page tables. Order: outcomes, walk, samples,
 * cooling, then the policy thread's round: keep the reserve free, then promote hot pages, each
 * after a cold one made room.
 *
 * Deviates: pages are learnt from walks over the page tables, the original intercepts mmap and
 * faults; between two walks new pages are unknown.
 * Deviates: a 2 MiB unit may lie in several nodes when the kernel gave it small pages.
 * Deviates: the free reserve is a share of the fast nodes (1 GB of 192 GB in the paper).
 * Not modelled: allocations below 1 GB being left to the kernel; migration by userfaultfd
 * write-protection (the host migrates as move_pages does).
 */
import type { Nanoseconds, Nid } from '../base/units.ts';
import { cooled, NO_LIST, NO_PID, ROWS_INITIAL, RowLists, resized } from '../heat/index.ts';
import { ENOMEM } from '../uapi/errno.ts';
import { Backoff } from './backoff.ts';
import { heatSettings } from './heatSources.ts';
import { HEMEM_KNOBS, type HememKnobs, hememKnobs } from './hememKnobs.ts';
import type { HostView } from './hostView.ts';
import {
  KEY_VIRTUAL,
  type MigrationPlan,
  REASON_DEMOTE,
  REASON_PROMOTE,
  REASON_RESERVE,
} from './migrationPlan.ts';
import {
  type HostSettings,
  NO_SETTINGS,
  type Policy,
  type PolicyDescription,
  type PolicyNeeds,
} from './policy.ts';
import { PromotionBackoff } from './promotionBackoff.ts';
import { Room } from './room.ts';
import { type UnitRows, UnitTable } from './unitTable.ts';

export const hemem: PolicyDescription = {
  name: 'hemem',
  summary: 'HeMem: PEBS samples per 2 MiB page, hot and cold lists, a round every 10 ms',
  source: "Raybuck et al., HeMem, SOSP'21",
  knobs: HEMEM_KNOBS,
  sooner: ['samplePeriod', 'hotReads', 'period'],
  make: (values) => new Hemem(hememKnobs(values)),
};

const FAST_HOT = 0;
const FAST_COLD = 1;
const SLOW_HOT = 2;
const SLOW_COLD = 3;

export class Hemem implements Policy, UnitRows {
  readonly name = 'hemem';
  readonly needs: PolicyNeeds;
  readonly settings: HostSettings;
  readonly periodNs: number;
  readonly planCapacity = 16384;
  readonly #knobs: HememKnobs;
  #units: UnitTable;
  readonly #lists = new RowLists(4, ROWS_INITIAL);
  /** Row -> sampled reads and writes since cooled, the clock they were cooled at. */
  #reads = new Uint32Array(ROWS_INITIAL);
  #writes = new Uint32Array(ROWS_INITIAL);
  #clock = new Uint32Array(ROWS_INITIAL);
  /** Row -> 1 while a plan row of it is under way. */
  #pending = new Uint8Array(ROWS_INITIAL);
  readonly #backoff: Backoff;
  readonly #promotions: PromotionBackoff;
  #nowNs: Nanoseconds = 0;
  #globalClock = 0;
  #coolingCursor = 0;
  #round = 0;
  #fast: readonly Nid[] = [];
  #slow: readonly Nid[] = [];

  constructor(knobs: HememKnobs) {
    this.#knobs = knobs;
    this.periodNs = knobs.periodNs;
    this.needs = {
      ...knobs.heat,
      residencyPeriodNs: knobs.residencyPeriodNs,
      vmstat: [],
      futureWindows: 0,
    };
    const off = { numa_balancing: 0, demotion_enabled: false };
    this.settings = { ...NO_SETTINGS, sysctl: { ...off, ...heatSettings(knobs.heat) } };
    this.#units = new UnitTable(knobs.unitPages, 1);
    this.#backoff = new Backoff(ROWS_INITIAL, knobs.blacklistRounds);
    this.#promotions = new PromotionBackoff(knobs.backoffMs);
  }

  get deferredPages(): number {
    return this.#promotions.deferredPages;
  }

  decide(view: HostView, plan: MigrationPlan): void {
    this.#round++;
    this.#nowNs = view.nowNs;
    if (this.#units.nrNodes !== view.nodes.nrNodes) {
      this.#units = new UnitTable(this.#knobs.unitPages, view.nodes.nrNodes);
    }
    const room = new Room(view.nodes, (nid) => this.#reserveOf(view, nid));
    this.#fast = room.fast;
    this.#slow = room.slow;
    const noRoom = this.#takeOutcome(view);
    if (view.residency !== null) this.#units.takeWalk(view.residency, this);
    this.#takeSamples(view);
    this.#coolSome();
    if (room.fast.length === 0 || room.slow.length === 0) return;
    const budget = Math.floor(this.#knobs.migratePagesPerNs * this.periodNs) - view.pendingPages;
    const left = this.#keepReserve(room, plan, budget);
    if (!noRoom) this.#promote(room, plan, left);
  }

  opened(row: number): void {
    const capacity = this.#units.index.capacity;
    if (capacity > this.#reads.length) this.#grow(capacity);
    this.#reads[row] = 0;
    this.#writes[row] = 0;
    this.#clock[row] = this.#globalClock;
    this.#pending[row] = 0;
    this.#backoff.forget(row);
    this.#promotions.forget(row);
  }

  found(row: number): void {
    if (this.#pending[row] === 0) this.#classify(row);
  }

  closed(row: number): void {
    this.#lists.remove(row);
  }

  /** Reads and writes of the unit that holds a page, as of its last cooling; null if unknown. */
  countsOf(pid: number, vpn: number): { readonly reads: number; readonly writes: number } | null {
    const row = this.#units.find(pid, vpn);
    return row < 0 ? null : { reads: this.#reads[row], writes: this.#writes[row] };
  }

  #reserveOf(view: HostView, nid: Nid): number {
    return Math.ceil(view.nodes.capacity[nid] * this.#knobs.reserveShare);
  }

  /** TI-91. Returns whether a promotion met a full node: then this round promotes nothing. */
  #takeOutcome(view: HostView): boolean {
    const { outcome, nodes, nowNs } = view;
    let noRoom = false;
    for (let i = 0; i < outcome.nrRows; i++) {
      if (outcome.keyKind[i] !== KEY_VIRTUAL) continue;
      const row = this.#units.find(outcome.pid[i], outcome.page[i]);
      if (row < 0) continue;
      const status = outcome.status[i];
      this.#pending[row] = 0;
      this.#units.migrated(row, outcome.targetNid[i], outcome.migratedPages[i]);
      if (outcome.migratedPages[i] > 0) {
        this.#promotions.settle(row, nodes.isToptier[outcome.targetNid[i]] === 1, nowNs);
      }
      if (status === -ENOMEM && outcome.reason[i] === REASON_PROMOTE) noRoom = true;
      this.#backoff.settle(row, status, this.#round);
      this.#classify(row);
    }
    return noRoom;
  }

  /** TI-41..TI-43. */
  #takeSamples(view: HostView): void {
    const { heat } = view;
    for (let i = 0; i < heat.nrRows; i++) {
      if (heat.pid[i] < 0) continue;
      const row = this.#units.find(heat.pid[i], heat.vpn[i]);
      if (row < 0) continue;
      this.#cool(row);
      this.#reads[row] += heat.reads[i];
      this.#writes[row] += heat.writes[i];
      if (this.#reads[row] + this.#writes[row] >= this.#knobs.coolingThreshold) this.#globalClock++;
      if (this.#pending[row] === 0) this.#classify(row);
    }
  }

  #cool(row: number): void {
    const ticks = this.#globalClock - this.#clock[row];
    if (ticks === 0) return;
    this.#reads[row] = cooled(this.#reads[row], ticks);
    this.#writes[row] = cooled(this.#writes[row], ticks);
    this.#clock[row] = this.#globalClock;
  }

  /** The cooling ring: some rows a round, so that hot units nobody touches become cold (TI-43). */
  #coolSome(): void {
    const { nrRows, pid } = this.#units.index;
    const n = Math.min(this.#knobs.coolingScan, nrRows);
    for (let i = 0; i < n; i++) {
      if (this.#coolingCursor >= nrRows) this.#coolingCursor = 0;
      const row = this.#coolingCursor++;
      if (pid[row] === NO_PID || this.#clock[row] === this.#globalClock) continue;
      this.#cool(row);
      if (this.#pending[row] === 0) this.#classify(row);
    }
  }

  #isHot(row: number): boolean {
    const { hotReads, hotWrites } = this.#knobs;
    return this.#reads[row] >= hotReads || this.#writes[row] >= hotWrites;
  }

  /** Puts a unit on the list it belongs to; one that stays on its list keeps its place. */
  #classify(row: number): void {
    const isHot = this.#isHot(row);
    // A divided unit counts where there is something to do with it.
    const isFast = isHot
      ? this.#units.residentOn(row, this.#slow) === 0
      : this.#units.residentOn(row, this.#fast) > 0;
    const hotList = isFast ? FAST_HOT : SLOW_HOT;
    const coldList = isFast ? FAST_COLD : SLOW_COLD;
    const list = isHot ? hotList : coldList;
    if (this.#lists.listOf[row] === list) return;
    // TI-42: write-hot units go to the front.
    const isWriteHot = isHot && this.#writes[row] >= this.#knobs.hotWrites;
    if (isWriteHot) this.#lists.prepend(list, row);
    else this.#lists.append(list, row);
  }

  /** TI-44: demotes cold units until every fast node has its reserve. Returns budget left. */
  #keepReserve(room: Room, plan: MigrationPlan, budget: number): number {
    let left = budget;
    for (const nid of room.fast) {
      while (room.pages[nid] < 0 && left > 0) {
        const row = this.#firstReady(FAST_COLD);
        if (row < 0) return left;
        const pages = this.#demote(room, plan, row, REASON_RESERVE);
        if (pages === 0) return left;
        left -= pages;
      }
    }
    return left;
  }

  /** TI-44: hot units of slow nodes, each after a cold one made room if it must. */
  #promote(room: Room, plan: MigrationPlan, budget: number): void {
    let left = budget;
    let next = this.#lists.first[SLOW_HOT];
    while (left > 0 && next >= 0) {
      const row = next;
      next = this.#lists.next(row);
      if (!this.#backoff.isReady(row, this.#round)) continue;
      const pages = this.#units.residentOn(row, room.slow);
      if (!this.#promotions.mayPromote(row, pages, this.#nowNs)) continue;
      let target = room.promotionTarget(pages);
      while (target < 0 && left > 0) {
        const victim = this.#firstReady(FAST_COLD);
        if (victim < 0) return;
        const demoted = this.#demote(room, plan, victim, REASON_DEMOTE);
        if (demoted === 0) return;
        left -= demoted;
        target = room.promotionTarget(pages);
      }
      if (target < 0 || !this.#migrate(plan, row, target, REASON_PROMOTE)) return;
      room.take(this.#units.mainNid(row, room.slow), target, pages);
      left -= pages;
    }
  }

  /** Plans the demotion of a unit; returns its pages, 0 if there is no room for it. */
  #demote(room: Room, plan: MigrationPlan, row: number, reason: number): number {
    const from = this.#units.mainNid(row, room.fast);
    const pages = this.#units.residentOn(row, room.fast);
    const target = room.demotionTarget(from, pages);
    if (target < 0 || !this.#migrate(plan, row, target, reason)) return 0;
    room.take(from, target, pages);
    return pages;
  }

  /** The first unit of a list that may be tried now; those that may not are left out. */
  #firstReady(list: number): number {
    for (let row = this.#lists.first[list]; row >= 0; row = this.#lists.next(row)) {
      if (this.#backoff.isReady(row, this.#round)) return row;
    }
    return -1;
  }

  /** Plans a unit's migration; it is on no list until the outcome is known. */
  #migrate(plan: MigrationPlan, row: number, target: Nid, reason: number): boolean {
    const { pid, vpn } = this.#units.index;
    const planned = plan.migrateVirtual(pid[row], vpn[row], this.#knobs.unitPages, target, reason);
    if (!planned) return false;
    this.#pending[row] = 1;
    if (this.#lists.listOf[row] !== NO_LIST) this.#lists.remove(row);
    return true;
  }

  #grow(capacity: number): void {
    this.#lists.reserve(capacity);
    this.#reads = resized(this.#reads, new Uint32Array(capacity));
    this.#writes = resized(this.#writes, new Uint32Array(capacity));
    this.#clock = resized(this.#clock, new Uint32Array(capacity));
    this.#pending = resized(this.#pending, new Uint8Array(capacity));
    this.#backoff.reserve(capacity);
    this.#promotions.reserve(capacity);
  }
}
