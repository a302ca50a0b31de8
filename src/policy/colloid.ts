/**
 * Colloid (Vuppalapati and Agarwal, SOSP'24): balances the loaded latencies of the tiers. While
 * the default tier answers faster, hot pages move in; once it queues so much that the other one
 * is faster, hot pages move out. TI-60..TI-64.
 *
 * Decides on: latency and traffic of the nodes, PEBS samples, page tables. Order: samples, the
 * share that should move, then the hottest units whose accesses add up to it.
 *
 * Deviates: latency is that of the busiest moment of the last quantum at the nearest CPU, where the
 * original reads occupancy and arrivals of the memory controllers' queues.
 * Deviates: pages are counted as HeMem does, in units of 2 MiB or 4 KiB, and halved at intervals.
 * Not modelled: the variants on top of TPP and MEMTIS.
 */
import { HPAGE_PMD_NR, type Nanoseconds, type Nid, PAGE_SIZE } from '../base/units.ts';
import { heatNeeds, heatSettings, heatSourceKnobs } from './heatSources.ts';
import type { HostView, NodeTable } from './hostView.ts';
import { choiceOf, integerKnob, type Knob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import { LatencyBalance } from './latencyBalance.ts';
import { type MigrationPlan, REASON_BALANCE, REASON_DEMOTE } from './migrationPlan.ts';
import {
  type HostSettings,
  NO_SETTINGS,
  type Policy,
  type PolicyDescription,
  type PolicyNeeds,
} from './policy.ts';
import { BACKOFF_KNOB } from './promotionBackoff.ts';
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
  integerKnob('samplePeriod', 5000, 1, MILLION, 'accesses', 'one in so many is sampled'),
  numberKnob('period', 10, 0.001, 10_000, 'ms', 'time between two decisions'),
  numberKnob('smoothing', 0.25, 0.001, 1, '', 'weight of the newest latency in the mean'),
  numberKnob('coolingPeriod', 1000, 0.001, 100_000, 'ms', 'after which all counts halve'),
  numberKnob('migrateRate', 10, 0.001, 1000, 'GB/s', 'most that is migrated'),
  numberKnob('reserveShare', 0.005, 0, 0.5, '', 'of each fast node, kept free'),
  numberKnob('walkPeriod', 100, 0.001, 100_000, 'ms', 'time between two walks over page tables'),
  BACKOFF_KNOB,
  ...heatSourceKnobs('pebs', ['period']),
];

export const colloid: PolicyDescription = {
  name: 'colloid',
  summary: 'Colloid: hot pages where memory answers fastest under load, in or out of DRAM',
  source: "Vuppalapati and Agarwal, Tiered Memory Management: Access Latency is the Key!, SOSP'24",
  knobs: KNOBS,
  sooner: ['period', 'samplePeriod'],
  make: (values) => new Colloid(values),
};

/** A tier's state, means over its nodes by traffic. */
interface Load {
  readonly latencyNs: Nanoseconds;
  /** Bytes per nanosecond. */
  readonly rate: number;
}

class Colloid implements Policy {
  readonly name = 'colloid';
  readonly needs: PolicyNeeds;
  readonly settings: HostSettings;
  readonly periodNs: Nanoseconds;
  readonly planCapacity = 16384;
  readonly #heat: UnitHeat;
  readonly #balance = new LatencyBalance();
  readonly #smoothing: number;
  readonly #coolingNs: Nanoseconds;
  readonly #pagesPerNs: number;
  readonly #reserveShare: number;
  #coolNs: Nanoseconds = 0;
  #fastNs: Nanoseconds = -1;
  #slowNs: Nanoseconds = -1;

  constructor(values: KnobValues) {
    const unitPages = choiceOf(values, 'unit') === '2MiB' ? HPAGE_PMD_NR : 1;
    this.#heat = new UnitHeat(unitPages, {}, numberOf(values, BACKOFF_KNOB.name));
    this.periodNs = Math.round(numberOf(values, 'period') * MILLION);
    this.#smoothing = numberOf(values, 'smoothing');
    this.#coolingNs = Math.round(numberOf(values, 'coolingPeriod') * MILLION);
    this.#pagesPerNs = numberOf(values, 'migrateRate') / PAGE_SIZE;
    this.#reserveShare = numberOf(values, 'reserveShare');
    const heat = heatNeeds(values, { period: numberOf(values, 'samplePeriod') });
    const off = { numa_balancing: 0, demotion_enabled: false };
    this.settings = { ...NO_SETTINGS, sysctl: { ...off, ...heatSettings(heat) } };
    this.needs = {
      ...heat,
      residencyPeriodNs: Math.round(numberOf(values, 'walkPeriod') * MILLION),
      vmstat: [],
      futureWindows: 0,
    };
  }

  get deferredPages(): number {
    return this.#heat.deferredPages;
  }

  decide(view: HostView, plan: MigrationPlan): void {
    const { nodes, nowNs } = view;
    this.#heat.take(view);
    if (nowNs - this.#coolNs >= this.#coolingNs) {
      this.#coolNs = nowNs;
      this.#heat.cool();
    }
    const room = new Room(nodes, (nid) => Math.ceil(nodes.capacity[nid] * this.#reserveShare));
    if (room.fast.length === 0 || room.slow.length === 0 || view.intervalNs <= 0) return;
    const fast = loadOf(nodes, room.fast, view.intervalNs);
    const slow = loadOf(nodes, room.slow, view.intervalNs);
    const rate = fast.rate + slow.rate;
    if (rate === 0) return;
    this.#fastNs = this.#smooth(this.#fastNs, fast.latencyNs);
    this.#slowNs = this.#smooth(this.#slowNs, slow.latencyNs);
    const shift = this.#balance.next(fast.rate / rate, this.#fastNs, this.#slowNs);
    const share = Math.abs(shift);
    // TI-63: no more than the accesses that are to move could have brought by themselves.
    const dynamic = (share * rate * this.periodNs) / PAGE_SIZE;
    const rateLimit = this.#pagesPerNs * this.periodNs - view.pendingPages;
    const budget = Math.floor(Math.min(dynamic, rateLimit));
    if (shift > 0) this.#promote(room, plan, share, budget);
    if (shift < 0) this.#demote(room, plan, share, budget);
  }

  #smooth(meanNs: Nanoseconds, nowNs: Nanoseconds): Nanoseconds {
    return meanNs < 0 ? nowNs : meanNs + this.#smoothing * (nowNs - meanNs);
  }

  /**
   * TI-62: the hottest slow units worth `share` of the accesses; the coldest make room.
   * Order: all that makes room comes first, so that each direction migrates in batches.
   */
  #promote(room: Room, plan: MigrationPlan, share: number, budget: number): void {
    const promotions = this.#makeRoom(room, plan, share, budget);
    for (const [row, target] of promotions) {
      if (!this.#heat.migrate(plan, row, target, REASON_BALANCE)) return;
    }
  }

  /** Plans the demotions that promotions need; returns those, [row, target], as far as they fit. */
  #makeRoom(room: Room, plan: MigrationPlan, share: number, budget: number): [number, Nid][] {
    const heat = this.#heat;
    const victims = heat.ranked(room.fast, 0, true);
    const promotions: [number, Nid][] = [];
    let left = budget;
    let next = 0;
    const wanted = heat.ranked(room.slow, Number.MIN_VALUE);
    const allowed = wanted.filter((row) => heat.mayPromote(row, room.slow));
    for (const row of this.#worth(allowed, share)) {
      const pages = heat.units.residentOn(row, room.slow);
      let target = room.promotionTarget(pages);
      while (target < 0 && next < victims.length && left > 0) {
        if (plan.nrRows + promotions.length + 2 > plan.capacity) return promotions;
        const victim = victims[next++]!;
        if (heat.countOf(victim) >= heat.countOf(row)) return promotions;
        left -= this.#move(room, plan, victim, room.fast, REASON_DEMOTE);
        target = room.promotionTarget(pages);
      }
      if (target < 0 || left < pages) return promotions;
      promotions.push([row, target]);
      room.take(heat.units.mainNid(row, room.slow), target, pages);
      left -= pages;
    }
    return promotions;
  }

  /** TI-62, TI-64: the hottest units of the default tier go, worth `share` of the accesses. */
  #demote(room: Room, plan: MigrationPlan, share: number, budget: number): void {
    const heat = this.#heat;
    let left = budget;
    for (const row of this.#worth(heat.ranked(room.fast, Number.MIN_VALUE), share)) {
      if (left < heat.units.residentOn(row, room.fast)) return;
      const moved = this.#move(room, plan, row, room.fast, REASON_BALANCE);
      if (moved === 0) return;
      left -= moved;
    }
  }

  /** Of rows by falling count those whose shares of all accesses add up to at most `share`. */
  #worth(rows: readonly number[], share: number): number[] {
    const heat = this.#heat;
    let total = 0;
    for (let row = 0; row < heat.units.index.nrRows; row++) {
      if (heat.units.index.pid[row] >= 0) total += heat.countOf(row);
    }
    let left = share * total;
    const chosen: number[] = [];
    for (const row of rows) {
      const count = heat.countOf(row);
      if (count > left) continue;
      left -= count;
      chosen.push(row);
    }
    return chosen;
  }

  /** Plans a unit's way out of `from`; returns its pages, 0 if there is no room. */
  #move(
    room: Room,
    plan: MigrationPlan,
    row: number,
    from: readonly Nid[],
    reason: number,
  ): number {
    const { units } = this.#heat;
    const nid = units.mainNid(row, from);
    const pages = units.residentOn(row, from);
    const target = room.demotionTarget(nid, pages);
    if (target < 0 || !this.#heat.migrate(plan, row, target, reason)) return 0;
    room.take(nid, target, pages);
    return pages;
  }
}

function loadOf(nodes: NodeTable, nids: readonly Nid[], intervalNs: Nanoseconds): Load {
  let bytes = 0;
  let weighted = 0;
  let unloaded = Number.POSITIVE_INFINITY;
  for (const nid of nids) {
    bytes += nodes.trafficBytes[nid];
    weighted += nodes.trafficBytes[nid] * nodes.loadedLatencyNs[nid];
    unloaded = Math.min(unloaded, nodes.loadedLatencyNs[nid]);
  }
  return { latencyNs: bytes > 0 ? weighted / bytes : unloaded, rate: bytes / intervalNs };
}
