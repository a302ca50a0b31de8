/**
 * What a fault cost the thread that took it, from its outcome and from what the kernel counted
 * meanwhile (direct reclaim, swap, a migration in the fault). Constants: CostSpec of the machine.
 */
import { HPAGE_PMD_NR, type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import type { AccessCost, CostSpec } from '../hw/index.ts';
import {
  FAULT_CLEARED,
  FAULT_COPIED,
  FAULT_HINT,
  FAULT_HUGE,
  FAULT_MAJOR,
  type Kernel,
} from '../mm/index.ts';
import { vmEvent } from '../uapi/vmstat.ts';

const COMPACTISOLATED = vmEvent('compact_isolated');
const PGSCAN_DIRECT = vmEvent('pgscan_direct');
const PSWPIN = vmEvent('pswpin');
const PSWPOUT = vmEvent('pswpout');

/** Counters at a moment, to tell what happened until the next. */
export class KernelWork {
  readonly #k: Kernel;
  readonly #costs: CostSpec;
  #scanned = 0;
  #isolated = 0;
  #swappedIn = 0;
  #swappedOut = 0;
  /** Added to by the accounting of migrations: CPU time of those since begin(). */
  migrationNs = 0;

  constructor(k: Kernel, costs: CostSpec) {
    this.#k = k;
    this.#costs = costs;
  }

  begin(): void {
    const event = this.#k.vmstat.event;
    this.#scanned = event[PGSCAN_DIRECT];
    this.#isolated = event[COMPACTISOLATED];
    this.#swappedIn = event[PSWPIN];
    this.#swappedOut = event[PSWPOUT];
    this.migrationNs = 0;
  }

  /**
   * Reclaim, compaction and swap since begin(), without migrations. A page that compaction isolates
   * costs what a folio costs that reclaim scans; the frames its scanners pass cost nothing.
   */
  reclaimNs(): Nanoseconds {
    const event = this.#k.vmstat.event;
    const swap = this.#k.spec.swap;
    return (
      (event[PGSCAN_DIRECT] - this.#scanned) * this.#costs.scanFolioNs +
      (event[COMPACTISOLATED] - this.#isolated) * this.#costs.scanFolioNs +
      (event[PSWPIN] - this.#swappedIn) * swap.readNs +
      (event[PSWPOUT] - this.#swappedOut) * swap.writeNs
    );
  }
}

/** The fault itself: entry and exit, zeroing, copying, reading from a file. */
export function faultNs(costs: CostSpec, cost: AccessCost, outcome: number): Nanoseconds {
  let ns = (outcome & FAULT_HINT) !== 0 ? costs.hintFaultNs : costs.minorFaultNs;
  const pages = (outcome & FAULT_HUGE) !== 0 ? HPAGE_PMD_NR : 1;
  if ((outcome & FAULT_CLEARED) !== 0) ns += pages * costs.clearPageNs;
  if ((outcome & FAULT_COPIED) !== 0) ns += cost.copyNs(0, 0, PAGE_SIZE);
  if ((outcome & FAULT_MAJOR) !== 0) ns += costs.majorFaultNs;
  return ns;
}
