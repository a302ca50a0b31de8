/**
 * A policy that knows no process: it sees page frame numbers with sightings and migrates by them,
 * as the threads on move_phys_pages want it (mission C3; PP-40, PP-45, PP-60..PP-72).
 *
 * Decides on: sightings of frames by a source that reports physical addresses, the nodes' frame
 * ranges. Order: outcomes, sightings, cooling, then promotions by falling count. Room is made by a
 * clock hand over the frames of fast nodes: runs of frames that nobody saw since counts last
 * halved are demoted, whatever they hold; what cannot migrate answers -ENOENT and costs little.
 *
 * With `generations` a row names the content that was seen, and a frame that holds something else
 * by now answers -ESTALE. Without, it moves whatever is there: what Lutomirski objected to. Victims
 * were not seen, so that they have no generation and are never checked.
 *
 * A frame that migrated is forgotten: its content is somewhere else, and only the source can tell.
 */
import type { Nanoseconds, Nid } from '../base/units.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { PageIndex, PHYSICAL_PID, ROWS_INITIAL, resized } from '../heat/index.ts';
import { Backoff } from './backoff.ts';
import { heatNeeds, heatSettings, heatSourceKnobs } from './heatSources.ts';
import type { HostView } from './hostView.ts';
import { booleanOf, integerKnob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import {
  GENERATION_UNCHECKED,
  KEY_PHYSICAL,
  type MigrationPlan,
  REASON_DEMOTE,
  REASON_PROMOTE,
} from './migrationPlan.ts';
import { NO_SETTINGS, type Policy, type PolicyDescription, type PolicyNeeds } from './policy.ts';
import { Room } from './room.ts';

const MILLION = 1_000_000;

/** TI-91: rounds that a frame which may not move is left alone. */
const BLACKLIST_ROUNDS = 100;

/** Frames that a row of victims can have. */
const RUN_PAGES = 64;

export const physicalOnly: PolicyDescription = {
  name: 'physical-only',
  summary: 'frames by physical address alone, as move_phys_pages would allow',
  requires: '`move_phys_pages`: no release has it',
  source: 'threads on move_phys_pages, 2023; the generations are ours',
  knobs: [
    {
      kind: 'boolean',
      name: 'generations',
      default: true,
      doc: 'rows name the content that was seen; false: whatever the frame holds moves',
    },
    ...heatSourceKnobs('page-idle', [], 'physical'),
    integerKnob('hotSightings', 2, 1, MILLION, 'sightings', 'of a hot frame'),
    numberKnob('period', 100, 0.001, 10_000, 'ms', 'time between two rounds'),
    numberKnob('coolingPeriod', 1000, 0.001, 100_000, 'ms', 'after which all counts halve'),
    numberKnob('migrateRate', 10, 0.001, 1000, 'GB/s', 'most that a round migrates'),
    numberKnob('reserveShare', 0.005, 0, 0.5, '', 'of each fast node, kept free'),
  ],
  sooner: ['period', 'hotSightings'],
  make: (values) => new PhysicalOnly(values),
};

class PhysicalOnly implements Policy {
  readonly name = 'physical-only';
  readonly needs: PolicyNeeds;
  readonly settings;
  readonly periodNs: Nanoseconds;
  readonly planCapacity = 16384;
  readonly #hasGenerations: boolean;
  readonly #hotSightings: number;
  readonly #coolingNs: Nanoseconds;
  readonly #budgetPages: number;
  readonly #reserveShare: number;
  /** Frames seen, by PFN. */
  readonly #frames = new PageIndex();
  #count = new Float64Array(ROWS_INITIAL);
  #nrPages = new Int32Array(ROWS_INITIAL);
  #generation = new Uint32Array(ROWS_INITIAL);
  #nid = new Int8Array(ROWS_INITIAL);
  /** Row -> 1 while a plan row of it is under way. */
  #pending = new Uint8Array(ROWS_INITIAL);
  readonly #backoff = new Backoff(ROWS_INITIAL, BLACKLIST_ROUNDS);
  #round = 0;
  #cooledNs: Nanoseconds = 0;
  /** The frame of a fast node that the clock hand looks at next, by nid. */
  readonly #hand = new Map<Nid, number>();

  constructor(values: KnobValues) {
    const heat = heatNeeds(values, {});
    this.settings = {
      ...NO_SETTINGS,
      sysctl: { numa_balancing: 0, demotion_enabled: false, ...heatSettings(heat) },
    };
    this.#hasGenerations = booleanOf(values, 'generations');
    this.#hotSightings = numberOf(values, 'hotSightings');
    this.periodNs = Math.round(numberOf(values, 'period') * MILLION);
    this.#coolingNs = Math.round(numberOf(values, 'coolingPeriod') * MILLION);
    this.#budgetPages = Math.floor((numberOf(values, 'migrateRate') * this.periodNs) / PAGE_SIZE);
    this.#reserveShare = numberOf(values, 'reserveShare');
    this.needs = {
      ...heat,
      isByFrame: true,
      residencyPeriodNs: 0,
      vmstat: [],
      futureWindows: 0,
    };
  }

  decide(view: HostView, plan: MigrationPlan): void {
    this.#round++;
    this.#takeOutcome(view);
    this.#takeSightings(view);
    if (view.nowNs - this.#cooledNs >= this.#coolingNs) {
      this.#cooledNs = view.nowNs;
      this.#cool();
    }
    const { capacity } = view.nodes;
    const room = new Room(view.nodes, (nid) => Math.ceil(capacity[nid] * this.#reserveShare));
    if (room.fast.length === 0 || room.slow.length === 0) return;
    let left = this.#budgetPages - view.pendingPages;
    for (const row of this.#hotOn(room.slow)) {
      const pages = this.#nrPages[row];
      if (left < pages) return;
      let target = room.promotionTarget(pages);
      while (target < 0 && left > 0) {
        const demoted = this.#demote(view, room, plan);
        if (demoted === 0) return;
        left -= demoted;
        target = room.promotionTarget(pages);
      }
      if (target < 0 || left < pages || !this.#promote(plan, row, target)) return;
      room.take(this.#nid[row], target, pages);
      left -= pages;
    }
  }

  /** TI-91. Whatever the answer is, but for a busy frame, the row says nothing any more. */
  #takeOutcome({ outcome }: HostView): void {
    for (let i = 0; i < outcome.nrRows; i++) {
      if (outcome.keyKind[i] !== KEY_PHYSICAL || outcome.reason[i] !== REASON_PROMOTE) continue;
      const row = this.#frames.find(PHYSICAL_PID, outcome.page[i]);
      if (row < 0) continue;
      this.#pending[row] = 0;
      this.#backoff.settle(row, outcome.status[i], this.#round);
      if (this.#backoff.isReady(row, this.#round)) this.#frames.remove(row);
    }
  }

  #takeSightings({ frameHeat }: HostView): void {
    for (let i = 0; i < frameHeat.nrRows; i++) {
      if (frameHeat.pid[i] < 0) continue;
      const before = this.#frames.nrPages;
      const row = this.#frames.insert(PHYSICAL_PID, frameHeat.vpn[i]);
      const isNew = this.#frames.nrPages > before;
      if (isNew) this.#open(row);
      // Another content: what was counted was not about it. Who does not look cannot tell.
      const isOther = this.#hasGenerations && this.#generation[row] !== frameHeat.generation[i];
      if (isNew || isOther) this.#count[row] = 0;
      this.#count[row] += frameHeat.reads[i] + frameHeat.writes[i];
      this.#nrPages[row] = frameHeat.nrPages[i];
      this.#generation[row] = frameHeat.generation[i];
      this.#nid[row] = frameHeat.nid[i];
    }
  }

  #open(row: number): void {
    const { capacity } = this.#frames;
    if (capacity > this.#count.length) {
      this.#count = resized(this.#count, new Float64Array(capacity));
      this.#nrPages = resized(this.#nrPages, new Int32Array(capacity));
      this.#generation = resized(this.#generation, new Uint32Array(capacity));
      this.#nid = resized(this.#nid, new Int8Array(capacity));
      this.#pending = resized(this.#pending, new Uint8Array(capacity));
      this.#backoff.reserve(capacity);
    }
    this.#pending[row] = 0;
    this.#backoff.forget(row);
  }

  /** All counts halve; a frame of less than one sighting is forgotten, and so a victim. */
  #cool(): void {
    for (let row = 0; row < this.#frames.nrRows; row++) {
      if (this.#frames.pid[row] < 0) continue;
      this.#count[row] /= 2;
      if (this.#count[row] < 1 && this.#pending[row] === 0) this.#frames.remove(row);
    }
  }

  #hotOn(nids: readonly Nid[]): number[] {
    const rows: number[] = [];
    for (let row = 0; row < this.#frames.nrRows; row++) {
      if (this.#frames.pid[row] < 0 || this.#pending[row] !== 0) continue;
      if (this.#count[row] < this.#hotSightings || !nids.includes(this.#nid[row])) continue;
      if (this.#backoff.isReady(row, this.#round)) rows.push(row);
    }
    return rows.sort((a, b) => this.#count[b] - this.#count[a] || a - b);
  }

  #promote(plan: MigrationPlan, row: number, target: Nid): boolean {
    const pfn = this.#frames.vpn[row];
    const generation = this.#hasGenerations ? this.#generation[row] : GENERATION_UNCHECKED;
    const pages = this.#nrPages[row];
    if (!plan.migratePhysical(pfn, pages, generation, target, REASON_PROMOTE)) return false;
    this.#pending[row] = 1;
    return true;
  }

  /** Plans a run of frames that nobody saw; returns its pages, 0 if there is none or no room. */
  #demote(view: HostView, room: Room, plan: MigrationPlan): number {
    const { frameRanges } = view;
    for (let range = 0; range < frameRanges.nrRows; range++) {
      const nid = frameRanges.nid[range];
      if (!room.fast.includes(nid)) continue;
      const start = frameRanges.pfn[range];
      const end = start + frameRanges.nrPages[range];
      let pfn: number = this.#hand.get(nid) ?? start;
      if (pfn < start || pfn >= end) continue;
      while (pfn < end && this.#frames.find(PHYSICAL_PID, pfn) >= 0) pfn += this.#seenPages(pfn);
      let last = pfn;
      while (last < end && last - pfn < RUN_PAGES && this.#frames.find(PHYSICAL_PID, last) < 0) {
        last++;
      }
      // The hand goes on in the node's next range, or begins anew.
      this.#hand.set(nid, last < end ? last : this.#rangeAfter(view, range));
      if (last === pfn) continue;
      const pages = last - pfn;
      const target = room.demotionTarget(nid, pages);
      if (target < 0) return 0;
      if (!plan.migratePhysical(pfn, pages, GENERATION_UNCHECKED, target, REASON_DEMOTE)) return 0;
      room.take(nid, target, pages);
      return pages;
    }
    return 0;
  }

  #seenPages(pfn: number): number {
    return Math.max(1, this.#nrPages[this.#frames.find(PHYSICAL_PID, pfn)]);
  }

  #rangeAfter({ frameRanges }: HostView, range: number): number {
    const nid = frameRanges.nid[range];
    for (let n = 1; n <= frameRanges.nrRows; n++) {
      const next = (range + n) % frameRanges.nrRows;
      if (frameRanges.nid[next] === nid) return frameRanges.pfn[next];
    }
    return frameRanges.pfn[range];
  }
}
