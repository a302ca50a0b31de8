/**
 * Fairness and restlessness of one group: what each process had of the top tier, and which pages
 * went to and fro between the tiers. Nothing where there is nothing to tell.
 */
import { PAGE_SIZE } from '../base/units.ts';
import {
  type CgroupResult,
  cgroupName,
  cgroupSlowdown,
  fastShare,
  formatCount,
  formatNs,
  formatShare,
  type MachineShare,
  type ProcessResult,
  type RunResult,
} from '../experiment/index.ts';
import { html, type Markup } from './html.ts';
import { type Column, orDash, type Row, table } from './tables.ts';

/** Who had how much of the top tier, where more than one process shared it. */
export function processTable(rows: readonly Row[]): Markup {
  const shared = rows.filter(({ result }) => result.processes.length > 1);
  if (shared.length === 0) return html``;
  const lines = shared.flatMap((row) => {
    return row.result.processes.map((process) => ({ ...row, process }));
  });
  return table('Processes', lines, [
    { head: 'process', cell: ({ process }) => processName(process) },
    { head: 'accesses', cell: ({ process }) => formatCount(process.accesses) },
    { head: 'hits in fast memory', cell: ({ process }) => formatShare(process.toptierHitRatio) },
    { head: 'share of the top tier', cell: ({ result, process }) => toptierShare(result, process) },
    { head: 'of its memory', cell: ({ process }) => fastShare(process) },
    { head: 'done after', cell: ({ process }) => formatNs(process.endNs) },
  ]);
}

/** A run with what its control groups took when there was enough fast memory for all of them. */
export interface GroupedRow extends Row {
  readonly alone: RunResult | null;
}

/** What control groups had, where programs ran at the same time. */
export function cgroupTable(rows: readonly GroupedRow[]): Markup {
  const lines = rows.flatMap((row) => {
    return row.result.cgroups.map((cgroup) => ({ ...row, cgroup }));
  });
  if (lines.length === 0) return html``;
  const isSwapping = lines.some(({ cgroup }) => cgroup.majorFaults > 0);
  return table('Control groups', lines, [
    { head: 'cgroup', cell: ({ cgroup }) => cgroupName(cgroup) },
    { head: 'slowdown', cell: ({ cgroup, alone }) => cgroupSlowdown(cgroup, alone) },
    { head: 'accesses', cell: ({ cgroup }) => formatCount(cgroup.accesses) },
    { head: 'hits in fast memory', cell: ({ cgroup }) => formatShare(cgroup.toptierHitRatio) },
    { head: 'share of the top tier', cell: ({ result, cgroup }) => toptierShare(result, cgroup) },
    { head: 'of its memory', cell: ({ cgroup }) => fastShare(cgroup) },
    { head: 'promoted', cell: ({ cgroup }) => orDash(cgroup.promotedPages, formatCount) },
    { head: 'demoted', cell: ({ cgroup }) => orDash(cgroup.demotedPages, formatCount) },
    ...(isSwapping ? [{ head: 'major faults', cell: majorFaults }] : []),
    { head: 'done after', cell: ({ cgroup }) => formatNs(cgroup.endNs) },
  ]);
}

function majorFaults({ cgroup }: { readonly cgroup: CgroupResult }): string {
  return orDash(cgroup.majorFaults, formatCount);
}

function processName({ program, name, process }: ProcessResult): string {
  return [program, name === program ? '' : name, `#${process}`].filter((w) => w !== '').join(' ');
}

function toptierShare({ nodes }: RunResult, { toptierPagesMean }: MachineShare): string {
  const fast = nodes.filter(({ isToptier }) => isToptier);
  const bytes = fast.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
  return bytes === 0 ? '–' : formatShare((toptierPagesMean * PAGE_SIZE) / bytes);
}

/** Pages that went to and fro, by how often. */
export function roundTripTable(rows: readonly Row[]): Markup {
  const restless = rows.filter(({ result }) => result.migration.roundTrips.some((n) => n > 0));
  if (restless.length === 0) return html``;
  const bins = Math.max(...restless.map(({ result }) => result.migration.roundTrips.length));
  const head = (bin: number) => (bin === 0 ? 'once' : `${2 ** bin} to ${2 ** (bin + 1) - 1} times`);
  const columns: Column[] = Array.from({ length: bins }, (_, bin) => ({
    head: head(bin),
    cell: ({ result }) => orDash(result.migration.roundTrips[bin] ?? 0, formatCount),
  }));
  const worst = ({ result }: Row): string => {
    const [page] = result.migration.restless;
    if (page === undefined) return '–';
    const where = `0x${(page.vpn * PAGE_SIZE).toString(16)}`;
    const often = page.roundTrips === 1 ? 'once' : `${page.roundTrips} times`;
    return `${often}: ${page.pid < 0 ? 'unmapped' : `pid ${page.pid}`} ${where}`;
  };
  columns.push({ head: 'most', cell: worst });
  return table('Pages that were demoted and promoted again', restless, columns);
}
