/**
 * Where the pages that a device uses should be: what its driver decides by (D14). In the words of
 * the 2016 thread, only the driver knows enough, from the device's counters and from what the
 * program asked for.
 *
 *   fault    the first use by the device brings the range to it
 *   counter  the device works over the link, and a range comes once it was used often enough
 *   hint     the program says where a range should be
 *   near     the range stays in host memory, and once it was used often enough over the link it
 *            goes to the node that the device reaches best (A8)
 */

/** What a program may say of a range (as cudaMemAdvise does). */
export type PlacementHint = 'none' | 'device' | 'host';

/** What is known of a range when the device uses it. */
export interface RangeUse {
  readonly hint: PlacementHint;
  /** Accesses over the link since the range last changed its place. */
  readonly remoteAccesses: number;
  /** How many of them are enough. */
  readonly threshold: number;
}

/** True: migrate the range to where it `goes`. */
interface Placement {
  /** To the device, or to the node nearest to it. */
  readonly goes: 'device' | 'near';
  /** The device has no entry for the page. */
  onFault(use: RangeUse): boolean;
  /** The device has used a page of system memory. */
  onRemoteAccess(use: RangeUse): boolean;
}

export type PlacementName = 'fault' | 'counter' | 'hint' | 'near';

function isEnough({ remoteAccesses, threshold }: RangeUse): boolean {
  return remoteAccesses >= threshold;
}

export const PLACEMENTS: Readonly<Record<PlacementName, Placement>> = {
  fault: { goes: 'device', onFault: () => true, onRemoteAccess: () => false },
  counter: { goes: 'device', onFault: () => false, onRemoteAccess: isEnough },
  hint: {
    goes: 'device',
    onFault: ({ hint }) => hint === 'device',
    onRemoteAccess: () => false,
  },
  near: { goes: 'near', onFault: () => false, onRemoteAccess: isEnough },
};

/** Accesses to 64 KiB before nvidia-uvm migrates it (uvm_perf_access_counter_threshold). */
export const COUNTER_THRESHOLD_DEFAULT = 256;
