/**
 * Default costs of kernel work, one line a constant with its source. A machine file may set each.
 *
 * "Assumption" marks a value that no publication we know of gives; it is of the right magnitude and
 * should be set from a measurement where it matters.
 */
import type { CostSpec, SwapSpec } from './machineSpec.ts';

/**
 * Copy bandwidth of one CPU between idle local DRAM and itself: 11.07 GB/s was measured from one
 * socket to the other (512 copies of 370 ns for a 2 MiB folio, see migrationCost.ts); with remote
 * latency 1.74 times local (assumption for that host; MLC figure of Cascade Lake) the local round
 * is (1 + 1.74) / 2 = 1.37 times shorter.
 */
const COPY_BANDWIDTH = 15.2;

export const COST_DEFAULTS: CostSpec = {
  /**
   * 88aaa2a1d732 (2017, Xeon E5-2640 v3): 62.47 us for one page, 1987.38 us for 512 are 58.70 us a
   * call and 3.77 us a page. A page is 1.24 us here, so that host is 3.04 times as slow. Newer
   * kernels interrupt every CPU and wait for RCU (lru_cache_disable, 5.14), which depends on the
   * number of CPUs in a way that nobody published: measure it where calls are small.
   */
  migrateCallNs: 19_300,
  /** Calibrated in migrationCost.ts on lkml 2605.1/00684. */
  migrateFolioNs: 666,
  /** The same table: slope of PTE-mapped folios minus the copy. */
  rmapEntryNs: 202,
  /**
   * Batched flushes (5dfab109d519) removed 99.1 % of interrupts and gave +291.7 % pages/s: about
   * 2.9 * 1238 = 3600 ns of interrupts a page. How many CPUs were interrupted is not stated; 500 ns
   * each (assumption) makes it 7.
   */
  tlbShootdownNs: 500,
  copyBandwidth: COPY_BANDWIDTH,
  /** Assumption: anonymous fault without clearing the page. */
  minorFaultNs: 500,
  /** Assumption: fault, look-up and restored entry; a migration is charged apart. */
  hintFaultNs: 700,
  /** Assumption: 4 KiB at 40 GB/s, non-temporal or into the cache. */
  clearPageNs: 100,
  /** Assumption: kernel part of a fault that waits for the disk; SwapSpec has the device's part. */
  majorFaultNs: 2500,
  /** Assumption: one folio through shrink_folio_list, rmap walk for references included. */
  scanFolioNs: 150,
  /** Assumption: change_pte_range, one entry, flush amortised. */
  scanPteNs: 15,
  /** HS-35: 200 to 500 ns a record. */
  sampleNs: 300,
  /**
   * Assumption: between a pointer chase (1) and the line fill buffers of a core (10 to 16). A trace
   * or workload that knows better overrides it.
   */
  memoryParallelism: 4,
  /** Assumption: 2.5 GHz and 1.6 instructions a cycle while hitting the caches. */
  instructionNs: 0.25,
};

/** Assumption: a datacentre NVMe drive, one 4 KiB page. `pages` 0 = no swap. */
export const SWAP_DEFAULTS: SwapSpec = { pages: 0, readNs: 80_000, writeNs: 20_000 };
