/**
 * What migrating folios costs the CPU that does it.
 *
 * Real thing: migrate_pages_batch() of mm/migrate.c: per folio allocation, locks and the switch of
 * the mapping; per mapping an rmap step to install and one to remove a migration entry; one TLB
 * flush a batch (MC-4, MC-25), an interrupt for every other CPU that runs the program; the copy.
 * Before them, once a call of move_pages, the LRU batches of all CPUs are drained and turned off.
 * How we model it: a sum of these (MC-95), with constants from CostSpec; the copy comes from
 * AccessCost.copyNs(), because it depends on both nodes and their load.
 *
 * Calibration: move_pages on a two-socket Zen 3, 1 GB, Linux 7.1-rc1 (lkml 2605.1/00684), bandwidth
 * by folio size: PUBLISHED_MIGRATION below. Folios up to 1 MiB are mapped by PTEs, 2 MiB by a PMD.
 *   slope from 64 KiB to 1 MiB    = rmap + copy of one page            = 571.8 ns
 *   2 MiB = fixed + 1 rmap + 512 copies = 190,304 ns                   -> copy 370 ns, rmap 202 ns
 *   64 KiB = fixed + 16 * 571.8 = 9,840 ns                             -> fixed 666 ns
 * test/validation/ prints what remains (below 2 % on all six sizes). A single-threaded program was
 * measured, so these contain no interrupts to other CPUs: TLB_SHOOTDOWN_NS is calibrated apart.
 * Not modelled: copies offloaded to DMA engines; several copying threads.
 */
import type { Nanoseconds, Nid, Order } from '../base/units.ts';
import { HPAGE_PMD_NR, PAGE_SIZE } from '../base/units.ts';
import type { AccessCost } from './accessCost.ts';
import { type KernelVersion, kernelProfile } from './kernelProfile.ts';
import type { CostSpec } from './machineSpec.ts';

/** GB/s of move_pages by folio order; the last one is PMD-mapped. */
export const PUBLISHED_MIGRATION: readonly { order: Order; bandwidth: number }[] = [
  { order: 0, bandwidth: 3.31 },
  { order: 2, bandwidth: 5.61 },
  { order: 4, bandwidth: 6.66 },
  { order: 6, bandwidth: 7.01 },
  { order: 8, bandwidth: 7.13 },
  { order: 9, bandwidth: 11.02 },
];

/**
 * TLB flushes of one migrate_pages() call whose folios are all unmapped in its first pass: one a
 * batch of 512 base pages, so one a folio for PMD-sized ones; before 6.3 one a folio always.
 */
export function nrTlbFlushes(kernel: KernelVersion, nrFolios: number, order: Order): number {
  if (!kernelProfile(kernel).batchedTlbFlush) return nrFolios;
  const perBatch = Math.ceil(HPAGE_PMD_NR / (1 << order));
  return Math.ceil(nrFolios / perBatch);
}

/**
 * CPU time of migrating `nrFolios` folios without the copy.
 * `nrRmapEntries`: page table entries that rmap found, of all of them together (a PMD mapping is
 * one). `nrFlushes`: TLB flushes; each interrupts `nrCpusFlushed` other CPUs.
 */
export function migrateOverheadNs(
  costs: CostSpec,
  nrFolios: number,
  nrRmapEntries: number,
  nrFlushes: number,
  nrCpusFlushed: number,
): Nanoseconds {
  return (
    nrFolios * costs.migrateFolioNs +
    nrRmapEntries * costs.rmapEntryNs +
    nrFlushes * nrCpusFlushed * costs.tlbShootdownNs
  );
}

/** What one call of move_pages migrates, for migrationNs(). */
export interface MigrationWork {
  readonly srcNid: Nid;
  readonly dstNid: Nid;
  readonly nrFolios: number;
  readonly order: Order;
  readonly nrRmapEntries: number;
  readonly nrFlushes: number;
  readonly nrCpusFlushed: number;
}

/** Time of the whole call on one CPU, copy included, under the present load. */
export function migrationNs(cost: AccessCost, costs: CostSpec, work: MigrationWork): Nanoseconds {
  const { nrFolios, order, nrRmapEntries, nrFlushes, nrCpusFlushed } = work;
  const bytes = nrFolios * (1 << order) * PAGE_SIZE;
  return (
    costs.migrateCallNs +
    migrateOverheadNs(costs, nrFolios, nrRmapEntries, nrFlushes, nrCpusFlushed) +
    cost.copyNs(work.srcNid, work.dstNid, bytes)
  );
}
