/**
 * MEMTIS (Lee et al., SOSP'23): one histogram of access counts decides how hot is hot, so that the
 * hot pages are as many as the fast tier holds; huge pages whose heat is skewed are split.
 * TI-50..TI-56.
 *
 * Decides on: PEBS samples (or another source), page tables. Order: samples, cooling; when enough
 * samples came, splits (memtisSplit.ts) and the threshold; then a round of kmigrated: promotions,
 * each after the coldest page made room if it must. Pages that are not hot leave by rising count,
 * which is cold before warm.
 *
 * Deviates: the histogram is counted anew at each adaptation instead of being kept up to date.
 * Deviates: splitting stops for as long as the ratio has not grown by 3 % of itself since the last
 * round that split; the rule does not say of what the 3 % are.
 * Not modelled: subpages of zeroes becoming the zero page, since a replay knows no contents; huge
 * pages being made again; khugepaged, which would undo splits on a real machine unless it is off;
 * the sampling period being adapted to 3 % of a CPU (TI-51).
 */
import { type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import { HeatHistogram, heatBin, NR_HEAT_BINS } from '../heat/index.ts';
import { heatNeeds, heatSettings, heatSourceKnobs } from './heatSources.ts';
import type { HostView } from './hostView.ts';
import {
  booleanOf,
  choiceOf,
  integerKnob,
  type Knob,
  type KnobValues,
  numberKnob,
  numberOf,
} from './knob.ts';
import { MemtisPages, type MemtisUnit } from './memtisPages.ts';
import { BasePageHistogram, SplitDecision } from './memtisSplit.ts';
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
import { BACKOFF_KNOB } from './promotionBackoff.ts';
import { Room } from './room.ts';

const MILLION = 1_000_000;

const KNOBS: readonly Knob[] = [
  {
    kind: 'choice',
    name: 'unit',
    default: 'mapped',
    choices: ['mapped', '2MiB', '4KiB'],
    doc: 'what is counted and migrated as one: pages as they are mapped, or all of one size',
  },
  {
    kind: 'boolean',
    name: 'split',
    default: true,
    doc: 'huge pages with skewed accesses are split (unit mapped)',
  },
  integerKnob('samplePeriod', 200, 1, MILLION, 'accesses', 'one in so many is sampled'),
  integerKnob('adaptSamples', 100_000, 1, 1e9, 'samples', 'between two looks at the thresholds'),
  integerKnob('coolingSamples', 2 * MILLION, 1, 1e9, 'samples', 'after which all counts halve'),
  numberKnob('period', 500, 0.001, 10_000, 'ms', 'time between two rounds of kmigrated'),
  numberKnob('migrateRate', 10, 0.001, 1000, 'GB/s', 'most that a round migrates'),
  numberKnob('reserveShare', 0.005, 0, 0.5, '', 'of each fast node, kept free'),
  BACKOFF_KNOB,
  ...heatSourceKnobs('pebs', ['period']),
];

export const memtis: PolicyDescription = {
  name: 'memtis',
  summary: 'MEMTIS: a histogram of samples sets the threshold that fills the fast tier',
  requires: '`/sys/kernel/debug/split_huge_pages` to split',
  source: "Lee et al., MEMTIS, SOSP'23",
  knobs: KNOBS,
  sooner: ['period', 'adaptSamples', 'samplePeriod'],
  make: (values) => new Memtis(values),
};

class Memtis implements Policy {
  readonly name = 'memtis';
  readonly needs: PolicyNeeds;
  readonly settings: HostSettings;
  readonly periodNs: Nanoseconds;
  readonly planCapacity = 16384;
  readonly #pages: MemtisPages;
  readonly #isSplitting: boolean;
  readonly #adaptSamples: number;
  readonly #coolingSamples: number;
  readonly #pagesPerNs: number;
  readonly #reserveShare: number;
  readonly #histogram = new HeatHistogram();
  readonly #basePages = new BasePageHistogram();
  readonly #splits = new SplitDecision();
  #hot = NR_HEAT_BINS;
  #adaptedAt = 0;
  #cooledAt = 0;
  /** Samples of this period on nodes, and on fast ones. */
  #placed = 0;
  #fastHits = 0;

  constructor(values: KnobValues) {
    const periodMs = numberOf(values, 'period');
    const unit = choiceOf(values, 'unit') as MemtisUnit;
    this.#pages = new MemtisPages(unit, numberOf(values, BACKOFF_KNOB.name));
    this.#isSplitting = booleanOf(values, 'split');
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

  get deferredPages(): number {
    return this.#pages.deferredPages;
  }

  get idleReason(): string | null {
    if (this.#adaptedAt > 0) return null;
    const got = `${this.#pages.samples} samples of adaptSamples (${this.#adaptSamples})`;
    return `no threshold was set, so nothing was promoted: ${got}`;
  }

  decide(view: HostView, plan: MigrationPlan): void {
    const { nodes } = view;
    this.#pages.take(view);
    this.#countHits(view);
    const room = new Room(nodes, (nid) => Math.ceil(nodes.capacity[nid] * this.#reserveShare));
    if (room.fast.length === 0 || room.slow.length === 0) return;
    this.#coolIfDue();
    if (this.#pages.samples - this.#adaptedAt >= this.#adaptSamples) this.#adapt(room, plan);
    const budget = this.#pagesPerNs * this.periodNs - view.pendingPages;
    const left = this.#keepReserve(room, plan, Math.floor(budget));
    this.#promote(room, plan, left);
  }

  #countHits({ heat, nodes }: HostView): void {
    for (let i = 0; i < heat.nrRows; i++) {
      if (heat.pid[i] < 0 || heat.nid[i] < 0) continue;
      const seen = heat.reads[i] + heat.writes[i];
      this.#placed += seen;
      if (nodes.isToptier[heat.nid[i]] === 1) this.#fastHits += seen;
    }
  }

  /** TI-53: counts halve, and the threshold, once there is one, moves one bin down with them. */
  #coolIfDue(): void {
    if (this.#pages.samples - this.#cooledAt < this.#coolingSamples) return;
    this.#cooledAt = this.#pages.samples;
    this.#pages.cool();
    if (this.#adaptedAt > 0) this.#hot = Math.max(0, this.#hot - 1);
  }

  /** TI-52, TI-55: what is hot from now on, and which huge pages are to be split. */
  #adapt(room: Room, plan: MigrationPlan): void {
    let capacity = 0;
    for (const nid of room.fast) capacity += room.nodes.capacity[nid];
    this.#pages.countPages(this.#histogram);
    this.#hot = this.#histogram.thresholds(capacity).hot;
    if (this.#isSplitting && this.#pages.hugeSeen > 0) this.#split(room, plan, capacity);
    this.#adaptedAt = this.#pages.samples;
    this.#pages.beginPeriod();
    this.#placed = 0;
    this.#fastHits = 0;
  }

  #split(room: Room, plan: MigrationPlan, capacity: number): void {
    const { latencyNs } = room.nodes;
    this.#pages.countBasePages(this.#basePages);
    const nrSplits = this.#splits.decide({
      hitRatio: this.#placed === 0 ? 1 : this.#fastHits / this.#placed,
      baseHitRatio: this.#basePages.hitRatio(capacity),
      samples: this.#pages.samples - this.#adaptedAt,
      samplesPerHugePage: this.#pages.hugeSamples / this.#pages.hugeSeen,
      fastNs: Math.min(...room.fast.map((nid) => latencyNs[nid])),
      slowNs: Math.min(...room.slow.map((nid) => latencyNs[nid])),
    });
    if (nrSplits === 0) return;
    for (const page of this.#pages.skewed().slice(0, nrSplits)) {
      if (!this.#pages.split(plan, page)) return;
    }
  }

  #isHot(page: number): boolean {
    return heatBin(this.#pages.scaled(page)) >= this.#hot;
  }

  /** TI-54: fast nodes keep their reserve, at the cost of the coldest. */
  #keepReserve(room: Room, plan: MigrationPlan, budget: number): number {
    let left = budget;
    for (const nid of room.fast) {
      if (room.pages[nid] >= 0) continue;
      for (const page of this.#pages.coldest([nid])) {
        if (room.pages[nid] >= 0 || left <= 0 || this.#isHot(page)) break;
        const pages = this.#demote(room, plan, page, REASON_RESERVE);
        if (pages === 0) return left;
        left -= pages;
      }
    }
    return left;
  }

  /** TI-54: hot pages of slow nodes, hottest first; cold ones leave first, warm ones after them. */
  #promote(room: Room, plan: MigrationPlan, budget: number): void {
    let victims: readonly number[] | null = null;
    let left = budget;
    let next = 0;
    for (const page of this.#pages.hottest(room.slow, this.#hot)) {
      if (!this.#pages.mayPromote(page, room.slow)) continue;
      const nrPages = this.#pages.residentOn(page, room.slow);
      let target = room.promotionTarget(nrPages);
      while (target < 0 && left > 0) {
        victims ??= this.#pages.coldest(room.fast);
        const victim = victims[next++];
        if (victim === undefined || this.#isHot(victim)) return;
        const demoted = this.#demote(room, plan, victim, REASON_DEMOTE);
        if (demoted === 0) return;
        left -= demoted;
        target = room.promotionTarget(nrPages);
      }
      if (target < 0 || left < nrPages) return;
      if (!this.#pages.migrate(plan, page, target, REASON_PROMOTE)) return;
      room.take(this.#pages.mainNid(page, room.slow), target, nrPages);
      left -= nrPages;
    }
  }

  /** Plans a page's demotion; returns its base pages, 0 if there is no room or it is planned. */
  #demote(room: Room, plan: MigrationPlan, page: number, reason: number): number {
    if (!this.#pages.isReady(page)) return 0;
    const from = this.#pages.mainNid(page, room.fast);
    const nrPages = this.#pages.residentOn(page, room.fast);
    const target = room.demotionTarget(from, nrPages);
    if (target < 0 || !this.#pages.migrate(plan, page, target, reason)) return 0;
    room.take(from, target, nrPages);
    return nrPages;
  }
}
