/**
 * Spreading hot pages over all nodes by bandwidth: memory that is there already is interleaved as
 * weighted interleave would have allocated it. What DAMOS does with migrate_hot and several
 * destinations (mm/damon/vaddr.c: damos_va_migrate_dests_add, Linux 6.17) under weights from
 * /sys/kernel/mm/mempolicy/weighted_interleave (6.16). TI-81, TI-83, PP-48.
 *
 * Decides on: PEBS samples per unit, page tables, the nodes' weights, the traffic of the fast
 * nodes. A hot unit's node follows from its address alone, so that it does not wander. Order:
 * samples, cooling, then hot units on a wrong node, hottest first; a cold unit of the node makes
 * room if it must. While the fast nodes are less busy than `busyShare` of their bandwidth, latency
 * counts and nothing is spread.
 *
 * Deviates: the index of a unit is its address, not its offset in its VMA.
 * Deviates: hot is what was sampled `hotSamples` times, where DAMON has regions and access rates.
 */
import { HPAGE_PMD_NR, type Nanoseconds, type Nid, PAGE_SIZE, type Vpn } from '../base/units.ts';
import type { HostView, NodeTable } from './hostView.ts';
import { choiceOf, integerKnob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import { type MigrationPlan, REASON_BALANCE, REASON_DEMOTE } from './migrationPlan.ts';
import { NO_SETTINGS, type Policy, type PolicyDescription, type PolicyNeeds } from './policy.ts';
import { Room } from './room.ts';
import { UnitHeat } from './unitHeat.ts';

const MILLION = 1_000_000;

export const bandwidthSpread: PolicyDescription = {
  name: 'bandwidth-spread',
  summary: 'hot pages interleaved over all nodes by bandwidth, while the fast ones are busy',
  source: 'mm/damon/vaddr.c: migrate_hot to several nodes (Linux 6.17), weights of 6.16',
  knobs: [
    {
      kind: 'choice',
      name: 'unit',
      default: '4KiB',
      choices: ['4KiB', '2MiB'],
      doc: 'what is counted and migrated as one',
    },
    integerKnob('samplePeriod', 500, 1, MILLION, 'accesses', 'one in so many is sampled'),
    integerKnob('hotSamples', 2, 1, MILLION, 'samples', 'of a hot unit'),
    numberKnob('busyShare', 0.5, 0, 1, '', 'of the fast nodes bandwidth in use, to spread'),
    numberKnob('period', 10, 0.001, 10_000, 'ms', 'time between two decisions'),
    numberKnob('coolingPeriod', 1000, 0.001, 100_000, 'ms', 'after which all counts halve'),
    numberKnob('walkPeriod', 100, 0.001, 100_000, 'ms', 'time between two walks over page tables'),
    numberKnob('migrateRate', 10, 0.001, 1000, 'GB/s', 'most that is migrated'),
  ],
  sooner: ['busyShare', 'hotSamples'],
  make: (values) => new BandwidthSpread(values),
};

class BandwidthSpread implements Policy {
  readonly name = 'bandwidth-spread';
  readonly needs: PolicyNeeds;
  readonly settings = { ...NO_SETTINGS, sysctl: { numa_balancing: 0, demotion_enabled: false } };
  readonly periodNs: Nanoseconds;
  readonly planCapacity = 16384;
  readonly #heat: UnitHeat;
  readonly #unitPages: number;
  readonly #hotSamples: number;
  readonly #busyShare: number;
  readonly #coolingNs: Nanoseconds;
  readonly #budgetPages: number;
  #cooledNs: Nanoseconds = 0;
  /** The most of their bandwidth that fast nodes had in use between two decisions. */
  #busiest = 0;

  constructor(values: KnobValues) {
    this.#unitPages = choiceOf(values, 'unit') === '2MiB' ? HPAGE_PMD_NR : 1;
    this.#heat = new UnitHeat(this.#unitPages);
    this.periodNs = Math.round(numberOf(values, 'period') * MILLION);
    this.#hotSamples = numberOf(values, 'hotSamples');
    this.#busyShare = numberOf(values, 'busyShare');
    this.#coolingNs = Math.round(numberOf(values, 'coolingPeriod') * MILLION);
    this.#budgetPages = Math.floor((numberOf(values, 'migrateRate') * this.periodNs) / PAGE_SIZE);
    this.needs = {
      heat: 'pebs',
      heatKnobs: { period: numberOf(values, 'samplePeriod') },
      residencyPeriodNs: Math.round(numberOf(values, 'walkPeriod') * MILLION),
      vmstat: [],
      futureWindows: 0,
    };
  }

  get idleReason(): string | null {
    if (this.#busiest >= this.#busyShare) return null;
    const most = `${(100 * this.#busiest).toPrecision(2)} % of their bandwidth`;
    const limit = `busyShare ${Math.round(100 * this.#busyShare)} %`;
    return `nothing was spread: fast nodes never used more than ${most} (${limit})`;
  }

  decide(view: HostView, plan: MigrationPlan): void {
    const { nodes, nowNs } = view;
    const heat = this.#heat;
    heat.take(view);
    if (nowNs - this.#cooledNs >= this.#coolingNs) {
      this.#cooledNs = nowNs;
      heat.cool();
    }
    const room = new Room(nodes, () => 0);
    const busy = busyShareOf(nodes, room.fast, view.intervalNs);
    this.#busiest = Math.max(this.#busiest, busy);
    if (busy < this.#busyShare) return;
    const all = [...room.fast, ...room.slow];
    const victims = new Victims(heat, all, this.#hotSamples);
    let left = this.#budgetPages - view.pendingPages;
    for (const row of heat.ranked(all, this.#hotSamples)) {
      if (left <= 0) return;
      left -= this.#place(room, plan, row, all, victims);
    }
  }

  /** Plans a hot unit on its node; returns the pages planned, 0 if it stays. */
  #place(
    room: Room,
    plan: MigrationPlan,
    row: number,
    all: readonly Nid[],
    victims: Victims,
  ): number {
    const { units } = this.#heat;
    const target = nodeOfIndex(room.nodes, all, units.index.vpn[row] / this.#unitPages);
    const pages = units.residentOn(row, all) - units.residentOn(row, [target]);
    if (pages === 0) return 0;
    const source = units.mainNid(
      row,
      all.filter((nid) => nid !== target),
    );
    let planned = 0;
    while (room.pages[target] < pages) {
      const victim = victims.next(target);
      // An exchange: the cold unit goes where the hot one leaves room.
      if (victim < 0) return planned;
      const size = units.residentOn(victim, [target]);
      const to = room.pages[source] >= size ? source : room.demotionTarget(target, size);
      if (to < 0 || to === target) return planned;
      if (!this.#heat.migrate(plan, victim, to, REASON_DEMOTE)) return planned;
      room.take(target, to, size);
      planned += size;
    }
    if (!this.#heat.migrate(plan, row, target, REASON_BALANCE)) return planned;
    room.take(source, target, pages);
    return planned + pages;
  }
}

/** Units that are not hot, coldest first, by node; each is handed out once. */
class Victims {
  readonly #rows: number[];
  readonly #heat: UnitHeat;
  readonly #at = new Map<Nid, number>();

  constructor(heat: UnitHeat, nids: readonly Nid[], hotSamples: number) {
    this.#heat = heat;
    this.#rows = heat.ranked(nids, 0, true).filter((row) => heat.countOf(row) < hotSamples);
  }

  /** The next one with pages on `nid`, or -1. */
  next(nid: Nid): number {
    let at = this.#at.get(nid) ?? 0;
    while (at < this.#rows.length) {
      const row = this.#rows[at++];
      if (this.#heat.units.residentOn(row, [nid]) === 0 || !this.#heat.isReady(row)) continue;
      this.#at.set(nid, at);
      return row;
    }
    this.#at.set(nid, at);
    return -1;
  }
}

/** TI-81 (weighted_interleave_nid): the node of an index among the nodes of a list, by weight. */
export function nodeOfIndex(nodes: NodeTable, nids: readonly Nid[], index: Vpn): Nid {
  let total = 0;
  for (const nid of nids) total += nodes.interleaveWeight[nid];
  const ordered = [...nids].sort((a, b) => a - b);
  let target = index % total;
  for (const nid of ordered) {
    if (target < nodes.interleaveWeight[nid]) return nid;
    target -= nodes.interleaveWeight[nid];
  }
  return ordered[0];
}

/** Traffic of nodes as a share of what they could have carried. */
function busyShareOf(nodes: NodeTable, nids: readonly Nid[], intervalNs: Nanoseconds): number {
  let bytes = 0;
  let most = 0;
  for (const nid of nids) {
    bytes += nodes.trafficBytes[nid];
    most += nodes.bandwidth[nid] * intervalNs;
  }
  return most === 0 ? 0 : bytes / most;
}
