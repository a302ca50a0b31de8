/**
 * What a driver does about memory that CPU and device take turns with. Linux' drivers decide page
 * by page at each fault; the ways here need a memory of what bounced, and are experimental, each
 * under a name of its own (hw/experimental.ts). D8, D13, DM-64, DM-70.
 *
 *   split   a large page that came back whole some times is split: the page that is touched comes
 *           (device_split_by_use)
 *   merge   when too many pages of 2 MiB come one by one in a turn, the rest comes at once, and all
 *           are one large page again (device_merge_on_return)
 *   share   a page that came back some times stays in system memory, and the device uses it there,
 *           over the link or, where its operations must be atomic, exclusively
 *           (device_shared_pages)
 *
 * A turn ends when the device faults in the range again.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import type { ExperimentalFeature } from '../hw/index.ts';

export interface BounceSpec {
  /** Whole returns of a large page before it is split; omitted = never. */
  readonly splitAfter?: number;
  /** Pages of 2 MiB that come one by one in a turn before the rest comes at once. */
  readonly mergeAfter?: number;
  /** Returns of a page before it stays in system memory. */
  readonly shareAfter?: number;
  /** How the device then uses it. */
  readonly shareBy?: 'link' | 'exclusive';
}

/** What must be switched on for a spec. */
export function featuresOf(spec: BounceSpec): ExperimentalFeature[] {
  const features: ExperimentalFeature[] = [];
  if (spec.splitAfter !== undefined) features.push('device_split_by_use');
  if (spec.mergeAfter !== undefined) features.push('device_merge_on_return');
  if (spec.shareAfter !== undefined) features.push('device_shared_pages');
  return features;
}

/** Whole returns after which 2 MiB that proved to be used whole are split again, to see. */
const WHOLE_RETURNS = 64;

/** What is remembered of 2 MiB. */
interface Turns {
  wholeReturns: number;
  /** Below this count they are not split. */
  splitFrom: number;
  /** Pages that came back one by one in this turn. */
  inTurn: number;
}

/** The bounces of one process's memory. */
export class Bounces {
  readonly spec: BounceSpec;
  /** By number of the 2 MiB. */
  readonly ranges: Map<number, Turns> = new Map();
  /** Page -> returns. */
  readonly returned: Map<Vpn, number> = new Map();

  constructor(spec: BounceSpec) {
    this.spec = spec;
  }

  #range(vpn: Vpn): Turns {
    const number = Math.floor(vpn / HPAGE_PMD_NR);
    let range = this.ranges.get(number);
    if (range === undefined) {
      range = { wholeReturns: 0, splitFrom: this.spec.splitAfter ?? 0, inTurn: 0 };
      this.ranges.set(number, range);
    }
    return range;
  }

  /** The device has faulted: a new turn. */
  noteDeviceFault(vpn: Vpn): void {
    const range = this.ranges.get(Math.floor(vpn / HPAGE_PMD_NR));
    if (range !== undefined) range.inTurn = 0;
  }

  /** A CPU faults on a large page: whether it is to be split. */
  splits(vpn: Vpn): boolean {
    if (this.spec.shareAfter !== undefined) return true;
    if (this.spec.splitAfter === undefined) return false;
    const range = this.#range(vpn);
    return range.wholeReturns >= range.splitFrom;
  }

  /** A CPU faults on a small page: whether the rest of its 2 MiB is to come, too. */
  merges(vpn: Vpn): boolean {
    const { mergeAfter } = this.spec;
    return mergeAfter !== undefined && this.#range(vpn).inTurn >= mergeAfter;
  }

  noteWholeReturn(vpn: Vpn): void {
    this.#range(vpn).wholeReturns++;
  }

  noteMergedReturn(vpn: Vpn): void {
    const range = this.#range(vpn);
    range.wholeReturns++;
    range.splitFrom = range.wholeReturns + WHOLE_RETURNS;
  }

  notePageReturn(vpn: Vpn): void {
    this.#range(vpn).inTurn++;
    if (this.spec.shareAfter === undefined) return;
    this.returned.set(vpn, (this.returned.get(vpn) ?? 0) + 1);
  }

  /** Whether a page stays in system memory. */
  isShared(vpn: Vpn): boolean {
    const { shareAfter } = this.spec;
    return shareAfter !== undefined && (this.returned.get(vpn) ?? 0) >= shareAfter;
  }

  /** Whether a page of the range does. */
  sharesAny(start: Vpn, end: Vpn): boolean {
    for (const vpn of this.returned.keys()) {
      if (vpn >= start && vpn < end && this.isShared(vpn)) return true;
    }
    return false;
  }

  /** Something else lies at these addresses from now on. */
  forget(start: Vpn, end: Vpn): void {
    for (const vpn of this.returned.keys())
      if (vpn >= start && vpn < end) this.returned.delete(vpn);
    for (const number of this.ranges.keys()) {
      const first = number * HPAGE_PMD_NR;
      if (first < end && first + HPAGE_PMD_NR > start) this.ranges.delete(number);
    }
  }
}
