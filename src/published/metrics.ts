/**
 * Figures that a cell can be about, by measure: what of a run's result is read and in which unit.
 * `later_…` looks only at the time after half of the run's accesses: programs fill their memory
 * first and policies need time to find what is hot, and published figures are those of afterwards.
 * `filled_…` looks at all time after the memory is filled, for figures that the search is part of.
 */
import { assert } from '../base/assert.ts';
import { MIB, PAGE_SIZE } from '../base/units.ts';
import type { RunResult, SeriesResult } from '../sim/index.ts';
import type { Measure } from './publishedTable.ts';

const PROGRAM_METRICS: Readonly<Record<string, (result: RunResult) => number>> = {
  /** s */
  time: ({ time }) => time.totalNs / 1e9,
  /** Million accesses a second. */
  rate: ({ accesses, time }) => (accesses / time.totalNs) * 1e3,
  /** The same from the interval on in which nothing of its memory was missing any more. */
  filled_rate: filledRate,
  later_rate: (result) => 1e3 / laterNsPerAccess(result),
  /** ns */
  later_ns_per_access: laterNsPerAccess,
  /** Share of the program's traffic that fast nodes serve. */
  toptier_share: ({ toptierHitRatio }) => toptierHitRatio,
  later_slow_share: laterSlowShare,
  /** MB/s, over the whole run. */
  promotion_rate: ({ migration, time }) => {
    return ((migration.promotedPages * PAGE_SIZE) / time.totalNs) * 1e3;
  },
  demotion_rate: ({ migration, time }) => {
    return ((migration.demotedPages * PAGE_SIZE) / time.totalNs) * 1e3;
  },
  /** MiB that were promoted or demoted. */
  migrated_mib: ({ migration }) => (migration.movedPages * PAGE_SIZE) / MIB,
  promoted_pages: ({ migration }) => migration.promotedPages,
  demoted_pages: ({ migration }) => migration.demotedPages,
  /** MiB of programs' pages on nodes that are not of the top tier, at the end. */
  slow_mib: ({ nodes }) => residentMib(nodes.filter(({ isToptier }) => !isToptier)),
  fast_mib: ({ nodes }) => residentMib(nodes.filter(({ isToptier }) => isToptier)),
  /** Share of the programs' mapped pages that are in the top tier at the end. */
  mapped_on_top: ({ nodes }) => {
    return residentMib(nodes.filter(({ isToptier }) => isToptier)) / residentMib(nodes);
  },
  /** ns, mean over the accesses of the whole run, of the first fast and the first slow node. */
  fast_latency: ({ nodes }) => nodes.find(({ isToptier }) => isToptier)?.meanLatencyNs ?? 0,
  slow_latency: ({ nodes }) => nodes.find(({ isToptier }) => !isToptier)?.meanLatencyNs ?? 0,
  /** The first over the second: above 1 = the fast node answers later. */
  latency_ratio: ({ nodes }) => {
    const [fast, slow] = [true, false].map((isFast) => {
      return nodes.find(({ isToptier }) => isToptier === isFast)?.meanLatencyNs ?? 0;
    });
    return fast! / slow!;
  },
};

/** Names of metrics by measure. */
export const METRICS: Readonly<Record<Measure, readonly string[]>> = {
  program: Object.keys(PROGRAM_METRICS),
  /** GB/s; ns. */
  bandwidth: ['bandwidth', 'latency'],
  /** GB/s; µs a call; µs a page of 4 KiB; thousand pages a second; percent that copies. */
  migration: ['bandwidth', 'us_per_call', 'us_per_page', 'kpages_per_s', 'copy_percent'],
};

export function programMetric(metric: string, result: RunResult): number {
  const read = PROGRAM_METRICS[metric];
  assert(read !== undefined, `no metric ${metric}`);
  return read(result);
}

function residentMib(nodes: RunResult['nodes']): number {
  return (nodes.reduce((sum, node) => sum + node.residentPages, 0) * PAGE_SIZE) / MIB;
}

/**
 * Intervals after the one in which the run made half of its accesses; the last one is cut off where
 * the run ends, so it is left out.
 */
function laterIntervals({ accesses }: SeriesResult): { from: number; to: number } {
  const to = accesses.length - 1;
  const half = sum(accesses, 0, accesses.length) / 2;
  let seen = 0;
  let from = 0;
  while (from < to - 1 && seen < half) seen += accesses[from++]!;
  return { from, to };
}

function laterNsPerAccess({ series }: RunResult): number {
  assert(series !== null, 'a run with a series');
  const { from, to } = laterIntervals(series);
  return ((to - from) * series.intervalNs) / sum(series.accesses, from, to);
}

function filledRate({ accesses, time, series }: RunResult): number {
  assert(series !== null, 'a run with a series');
  const { residentPages, intervalNs } = series;
  const resident = series.accesses.map((_, at) =>
    sum(
      residentPages.map((node) => node[at]!),
      0,
    ),
  );
  const full = resident.indexOf(Math.max(...resident));
  const before = sum(series.accesses, 0, full + 1);
  return ((accesses - before) / (time.totalNs - (full + 1) * intervalNs)) * 1e3;
}

function laterSlowShare({ series, nodes }: RunResult): number {
  assert(series !== null, 'a run with a series');
  const { from, to } = laterIntervals(series);
  const bytes = series.trafficBytes.map((column) => sum(column, from, to));
  const slow = nodes.filter(({ isToptier }) => !isToptier).map(({ nid }) => bytes[nid]!);
  return slow.reduce((a, b) => a + b, 0) / bytes.reduce((a, b) => a + b, 0);
}

function sum(column: readonly number[], from: number, to = column.length): number {
  return column.slice(from, to).reduce((a, b) => a + b, 0);
}
