/**
 * What one migrate_pages call moved and failed to move, and the counters it adds to at its end
 * (mm/migrate.c: struct migrate_pages_stats). MC-60.
 */
import { vmEvent } from '../uapi/vmstat.ts';
import type { VmStat } from './vmstat.ts';

const PGMIGRATE_SUCCESS = vmEvent('pgmigrate_success');
const PGMIGRATE_FAIL = vmEvent('pgmigrate_fail');
const THP_MIGRATION_SUCCESS = vmEvent('thp_migration_success');
const THP_MIGRATION_FAIL = vmEvent('thp_migration_fail');
const THP_MIGRATION_SPLIT = vmEvent('thp_migration_split');

/** Pages are base pages, THPs and splits are folios. */
export interface MigrationCounts {
  succeededPages: number;
  failedPages: number;
  thpSucceeded: number;
  thpFailed: number;
  thpSplit: number;
  split: number;
}

export function zeroCounts(): MigrationCounts {
  return {
    succeededPages: 0,
    failedPages: 0,
    thpSucceeded: 0,
    thpFailed: 0,
    thpSplit: 0,
    split: 0,
  };
}

/** Adds the counts of a finished call to the machine's events. */
export function countMigration(vmstat: VmStat, counts: MigrationCounts): void {
  vmstat.count(PGMIGRATE_SUCCESS, counts.succeededPages);
  vmstat.count(PGMIGRATE_FAIL, counts.failedPages);
  vmstat.count(THP_MIGRATION_SUCCESS, counts.thpSucceeded);
  vmstat.count(THP_MIGRATION_FAIL, counts.thpFailed);
  vmstat.count(THP_MIGRATION_SPLIT, counts.thpSplit);
}
