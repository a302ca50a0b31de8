/**
 * MEMTIS (Lee et al., SOSP'23): one histogram of access counts decides how hot is hot, so that the
 * hot pages are as many as the fast tier holds. TI-50..TI-54.
 *
 * Decides on: PEBS samples (or another source), page tables. Order: samples, cooling, threshold,
 * then a round of kmigrated: promotions, each after the coldest unit made room if it must. Units
 * that are not hot leave by rising count, which is cold before warm.
 *
 * Deviates: one size of unit; the original counts 2 MiB pages and base pages side by side.
 * Deviates: the histogram is counted anew at each adaptation instead of being kept up to date.
 * Not modelled: splitting of huge pages with skewed accesses (TI-55, TI-56); the sampling period
 * being adapted to 3 % of a CPU (TI-51).
 */
import { HPAGE_PMD_NR, type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import { HeatHistogram, heatBin, NR_HEAT_BINS } from '../heat/index.ts';
import { heatNeeds, heatSettings, heatSourceKnobs } from './heatSources.ts';
import type { HostView } from './hostView.ts';
import { choiceOf, integerKnob, type Knob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import {
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
import { Room } from './room.ts';
import { UnitHeat } from './unitHeat.ts';

const MILLION = 1_000_000;

const KNOBS: readonly Knob[] = [
  {
    kind: 'choice',
    name: 'unit',
    default: '2MiB',
    choices: ['2MiB', '4KiB'],
    doc: 'what is counted and migrated as one',
  },
  integerKnob('samplePeriod', 200, 1, MILLION, 'accesses', 'one in so many is sampled'),
  integerKnob('adaptSamples', 100_000, 1, 1e9, 'samples', 'between two looks at the thresholds'),
  integerKnob('coolingSamples', 2 * MILLION, 1, 1e9, 'samples', 'after which all counts halve'),
  numberKnob('period', 500, 0.001, 10_000, 'ms', 'time between two rounds of kmigrated'),
  numberKnob('migrateRate', 10, 0.001, 1000, 'GB/s', 'most that a round migrates'),
  numberKnob('reserveShare', 0.005, 0, 0.5, '', 'of each fast node, kept free'),
  ...heatSourceKnobs('pebs', ['period']),
];

export const memtis: PolicyDescription = {
  name: 'memtis',
  summary: 'MEMTIS: a histogram of samples sets the threshold that fills the fast tier',
  source: "Lee et al., MEMTIS, SOSP'23",
  knobs: KNOBS,
  make: (values) => new Memtis(values),
};

class Memtis implements Policy {
  readonly name = 'memtis';
  readonly needs: PolicyNeeds;
  readonly settings: HostSettings;
  readonly periodNs: Nanoseconds;
  readonly planCapacity = 16384;
  readonly #heat: UnitHeat;
  /** Counts are scaled so that those of a base page compare with those of a huge page. */
  readonly #scale: number;
  readonly #adaptSamples: number;
  readonly #coolingSamples: number;
  readonly #pagesPerNs: number;
  readonly #reserveShare: number;
  readonly #histogram = new HeatHistogram();
  #hot = NR_HEAT_BINS;
  #adaptedAt = 0;
  #cooledAt = 0;

  constructor(values: KnobValues) {
    const isHuge = choiceOf(values, 'unit') === '2MiB';
    const periodMs = numberOf(values, 'period');
    this.#heat = new UnitHeat(isHuge ? HPAGE_PMD_NR : 1);
    this.#scale = isHuge ? 1 : HPAGE_PMD_NR;
    this.periodNs = Math.round(periodMs * MILLION);
    this.#adaptSamples = numberOf(values, 'adaptSamples');
    this.#coolingSamples = numberOf(values, 'coolingSamples');
    this.#pagesPerNs = numberOf(values, 'migrateRate') / PAGE_SIZE;
    this.#reserveShare = numberOf(values, 'reserveShare');
    const heat = heatNeeds(values, { period: numberOf(values, 'samplePeriod') });
    const off = { numa_balancing: 0, demotion_enabled: false };
    this.settings = { ...NO_SETTINGS, sysctl: { ...off, ...heatSettings(heat) } };
    this.needs = {
      ...heat,
      residencyPeriodNs: this.periodNs,
      vmstat: [],
      futureWindows: 0,
    };
  }

  decide(view: HostView, plan: MigrationPlan): void {
    const { nodes } = view;
    const heat = this.#heat;
    heat.take(view);
    const room = new Room(nodes, (nid) => Math.ceil(nodes.capacity[nid] * this.#reserveShare));
    if (room.fast.length === 0 || room.slow.length === 0) return;
    this.#coolIfDue();
    if (heat.samples - this.#adaptedAt >= this.#adaptSamples) {
      this.#adaptedAt = heat.samples;
      let capacity = 0;
      for (const nid of room.fast) capacity += nodes.capacity[nid];
      this.#count();
      this.#hot = this.#histogram.thresholds(capacity).hot;
    }
    const budget = this.#pagesPerNs * this.periodNs - view.pendingPages;
    const left = this.#keepReserve(room, plan, Math.floor(budget));
    this.#promote(room, plan, left);
  }

  /** TI-53: counts halve, and the threshold moves one bin down with them. */
  #coolIfDue(): void {
    if (this.#heat.samples - this.#cooledAt < this.#coolingSamples) return;
    this.#cooledAt = this.#heat.samples;
    this.#heat.cool();
    this.#hot = Math.max(0, this.#hot - 1);
  }

  #count(): void {
    const { units } = this.#heat;
    this.#histogram.clear();
    for (let row = 0; row < units.index.nrRows; row++) {
      if (units.index.pid[row] < 0) continue;
      let pages = 0;
      for (let nid = 0; nid < units.nrNodes; nid++) {
        pages += units.resident[row * units.nrNodes + nid];
      }
      this.#histogram.add(this.#scaled(row), pages);
    }
  }

  #scaled(row: number): number {
    return Math.floor(this.#heat.countOf(row) * this.#scale);
  }

  #isHot(row: number): boolean {
    return heatBin(this.#scaled(row)) >= this.#hot;
  }

  /** TI-54: fast nodes keep their reserve, at the cost of the coldest. */
  #keepReserve(room: Room, plan: MigrationPlan, budget: number): number {
    let left = budget;
    for (const nid of room.fast) {
      if (room.pages[nid] >= 0) continue;
      for (const row of this.#heat.ranked([nid], 0, true)) {
        if (room.pages[nid] >= 0 || left <= 0 || this.#isHot(row)) break;
        const pages = this.#demote(room, plan, row, REASON_RESERVE);
        if (pages === 0) return left;
        left -= pages;
      }
    }
    return left;
  }

  /** TI-54: hot units of slow nodes, hottest first; cold ones leave first, warm ones after them. */
  #promote(room: Room, plan: MigrationPlan, budget: number): void {
    const heat = this.#heat;
    const victims = heat.ranked(room.fast, 0, true);
    let left = budget;
    let next = 0;
    for (const row of heat.ranked(room.slow, Number.MIN_VALUE)) {
      if (!this.#isHot(row)) return;
      const pages = heat.units.residentOn(row, room.slow);
      let target = room.promotionTarget(pages);
      while (target < 0 && left > 0) {
        const victim = victims[next++];
        if (victim === undefined || this.#isHot(victim)) return;
        const demoted = this.#demote(room, plan, victim, REASON_DEMOTE);
        if (demoted === 0) return;
        left -= demoted;
        target = room.promotionTarget(pages);
      }
      if (target < 0 || left < pages) return;
      if (!heat.migrate(plan, row, target, REASON_PROMOTE)) return;
      room.take(heat.units.mainNid(row, room.slow), target, pages);
      left -= pages;
    }
  }

  /** Plans the demotion of a unit; returns its pages, 0 if there is no room or it is planned. */
  #demote(room: Room, plan: MigrationPlan, row: number, reason: number): number {
    const { units } = this.#heat;
    if (!this.#heat.isReady(row)) return 0;
    const from = units.mainNid(row, room.fast);
    const pages = units.residentOn(row, room.fast);
    const target = room.demotionTarget(from, pages);
    if (target < 0 || !this.#heat.migrate(plan, row, target, reason)) return 0;
    room.take(from, target, pages);
    return pages;
  }
}
