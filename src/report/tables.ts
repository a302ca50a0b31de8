/**
 * The numbers behind the pictures of one group: where time went, traffic by node, migrations with
 * what failed and why, heat sources, and /proc/vmstat. Of several seeds those of the median run.
 */
import { PAGE_SIZE } from '../base/units.ts';
import {
  allDramRun,
  type Comparison,
  formatBytes,
  formatCount,
  formatNs,
  formatShare,
  formatSlowdown,
  formatWhole,
  type GroupRecord,
  type HeatAccuracy,
  type RunResult,
} from '../experiment/index.ts';
import { type Content, element, html, type Markup } from './html.ts';
import { cgroupTable, type GroupedRow, processTable, roundTripTable } from './shareTables.ts';
import { timeParts } from './timeParts.ts';
import { whyTable } from './whyTable.ts';

export interface Row {
  readonly label: string;
  readonly slowdown: string;
  readonly isBest: boolean;
  readonly result: RunResult;
}

/** A number stands to the right; `head` says what the column holds. */
export interface Column<R extends Row = Row> {
  readonly head: string;
  readonly cell: (row: R) => Content;
}

export function groupTables(comparison: Comparison, group: GroupRecord): Markup {
  const rows = rowsOf(comparison, group);
  const policies = rows.slice(1);
  if (rows.length === 0) return html``;
  return html`
${timeTable(rows)}
${migrationTable(policies)}
${roundTripTable(policies)}
${cgroupTable(rows.map((row) => withAllDram(comparison, group, row)))}
${processTable(rows)}
${whyTable(policies)}
${heatTable(policies)}
${nodeTable(rows)}
${vmstatTable(rows)}`;
}

function withAllDram(comparison: Comparison, group: GroupRecord, row: Row): GroupedRow {
  return { ...row, alone: allDramRun(comparison, group, row.result.seed) };
}

/** The all-DRAM run first. */
function rowsOf(comparison: Comparison, group: GroupRecord): Row[] {
  const { runs, policies } = comparison;
  const baseline = group.baseline.map((run) => runs[run]!.result).find((run) => run !== null);
  const outcomes = group.outcomes.flatMap(({ policy, representative, slowdown, isBest }): Row[] => {
    const result = runs[representative]?.result ?? null;
    if (result === null) return [];
    const text = slowdown === null ? '–' : formatSlowdown(slowdown.median);
    return [{ label: policies[policy]!.label, slowdown: text, isBest, result }];
  });
  if (baseline === undefined || baseline === null) return outcomes;
  return [{ label: 'all-DRAM', slowdown: '1.00×', isBest: false, result: baseline }, ...outcomes];
}

export function table<R extends Row>(
  title: string,
  rows: readonly R[],
  columns: readonly Column<R>[],
): Markup {
  const heads = columns.map(({ head }) => html`<th scope="col">${head}</th>`);
  const lines = rows.map((row) => {
    const cells = columns.map(({ cell }) => html`<td>${cell(row)}</td>`);
    const kind = row.isBest ? html` class="best"` : null;
    return html`<tr${kind}><th scope="row">${row.label}</th>${cells}</tr>
`;
  });
  return html`<h4>${title}</h4>
${scrolled(
  title,
  html`<table><thead><tr><th scope="col">policy</th>${heads}</tr></thead>
<tbody>${lines}</tbody></table>`,
)}`;
}

/** A wide table is scrolled by itself, also with the keyboard. */
export function scrolled(title: string, content: Markup): Markup {
  const region = { class: 'scroll', role: 'region', tabindex: 0, 'aria-label': title };
  return element('div', region, content);
}

function timeTable(rows: readonly Row[]): Markup {
  const names = timeParts(rows[0]!.result);
  const parts = names.map(({ name }, i): Column => {
    return { head: name, cell: ({ result }) => share(timeParts(result)[i]!.ns, result) };
  });
  return table('Where the time went', rows, [
    { head: 'slowdown', cell: ({ slowdown }) => slowdown },
    { head: 'time', cell: ({ result }) => formatNs(result.time.totalNs) },
    ...parts,
    { head: 'kernel threads', cell: ({ result }) => formatNs(result.time.backgroundNs) },
    {
      head: 'hits in fast memory',
      cell: ({ result }) => formatShare(result.toptierHitRatio),
    },
  ]);
}

function share(ns: number, { time }: RunResult): string {
  return ns === 0 || time.totalNs === 0 ? '–' : formatShare(ns / time.totalNs);
}

/** Columns of what nobody did are left out. */
function migrationTable(rows: readonly Row[]): Markup {
  const pages = (head: string, of: (result: RunResult) => number): Column[] => {
    if (rows.every(({ result }) => of(result) === 0)) return [];
    return [{ head, cell: ({ result }) => orDash(of(result), formatCount) }];
  };
  const causes = new Set(rows.flatMap(({ result }) => causesOf(result)));
  const columns = [
    ...pages('promoted', ({ migration }) => migration.promotedPages),
    ...pages('demoted', ({ migration }) => migration.demotedPages),
    ...pages('within a tier', withinTier),
    ...pages('swapped out', ({ migration }) => migration.swappedOutPages),
    ...pages('swapped in', ({ migration }) => migration.swappedInPages),
    ...pages('ping-pong', ({ migration }) => migration.pingPongPages),
    ...wasted(rows),
    ...pages('put off by back-off', ({ migration }) => migration.deferredPages),
    ...[...causes].sort().flatMap((cause) => {
      return pages(`failed: ${cause}`, ({ migration }) => migration.failures[cause] ?? 0);
    }),
    ...pages('hint faults', ({ faults }) => faults.hint),
  ];
  if (columns.length === 0) return html`<p class="muted">No policy migrated a page.</p>`;
  return table('Migrations, in pages of 4 KiB', rows, columns);
}

/** Migrations that neither promote nor demote. */
function withinTier({ migration }: RunResult): number {
  const { movedPages, promotedPages, demotedPages } = migration;
  return Math.max(0, movedPages - promotedPages - demotedPages);
}

function causesOf({ migration }: RunResult): string[] {
  return Object.entries(migration.failures).flatMap(([cause, pages]) => (pages > 0 ? [cause] : []));
}

function wasted(rows: readonly Row[]): Column[] {
  if (rows.every(({ result }) => result.migration.wastedBytes === 0)) return [];
  const cell = ({ result }: Row) => orDash(result.migration.wastedBytes, formatBytes);
  return [{ head: 'copied for nothing', cell }];
}

/** Only policies that look at accesses have a heat source. */
function heatTable(rows: readonly Row[]): Markup {
  const seeing = rows.filter(({ result }) => result.heat !== null);
  if (seeing.length === 0) return html``;
  const of = (text: (heat: HeatAccuracy) => string) => (row: Row) => text(row.result.heat!);
  return table('What heat sources saw, against all accesses', seeing, [
    { head: 'source', cell: of(({ source }) => source) },
    { head: 'precision', cell: of(({ precision }) => formatShare(precision)) },
    { head: 'recall', cell: of(({ recall }) => formatShare(recall)) },
    { head: 'found', cell: of(({ found }) => formatShare(found)) },
    { head: 'lag', cell: of(({ lagNs }) => (lagNs === null ? '–' : formatNs(lagNs))) },
    { head: '90 %', cell: of(({ lag90Ns }) => (lag90Ns === null ? '–' : formatNs(lag90Ns))) },
    { head: 'samples', cell: of(({ samples }) => formatCount(samples)) },
    { head: 'lost', cell: of(({ lost }) => formatCount(lost)) },
    { head: 'stale', cell: of(({ stale }) => formatCount(stale)) },
    { head: 'cost to program', cell: of(({ programNs }) => formatNs(programNs)) },
    { head: 'in background', cell: of(({ backgroundNs }) => formatNs(backgroundNs)) },
  ]);
}

export function orDash(value: number, format: (value: number) => string): string {
  return value === 0 ? '–' : format(value);
}

/** One row for each policy and node. */
function nodeTable(rows: readonly Row[]): Markup {
  const heads = [
    'node',
    'read',
    'written',
    'read to migrate',
    'written to migrate',
    'mean latency',
    'peak use of bandwidth',
    'held at the end',
    'held at most',
    'size',
  ];
  const title = 'Traffic and use of each node';
  const lines = rows.flatMap(({ label, isBest, result }) =>
    result.nodes.map((node, i) => {
      const rowspan = result.nodes.length;
      const head = i > 0 ? null : element('th', { scope: 'rowgroup', rowspan }, label);
      const cells = [
        `${node.kind.toUpperCase()} ${node.nid}`,
        orDash(node.readBytes, formatBytes),
        orDash(node.writeBytes, formatBytes),
        orDash(node.migrationReadBytes, formatBytes),
        orDash(node.migrationWriteBytes, formatBytes),
        orDash(node.meanLatencyNs, formatNs),
        orDash(node.peakUtilisation, formatShare),
        orDash(node.residentPages * PAGE_SIZE, formatBytes),
        orDash(node.residentPagesMax * PAGE_SIZE, formatBytes),
        formatBytes(node.capacityBytes),
      ];
      const kind = `${i === 0 ? 'first' : ''}${isBest ? ' best' : ''}`;
      return element(
        'tr',
        { class: kind },
        head,
        cells.map((cell) => element('td', {}, cell)),
      );
    }),
  );
  return folded(title, ['policy', ...heads], lines);
}

/** A table that is opened by who wants it; the first column holds names. */
function folded(title: string, heads: readonly string[], lines: readonly Markup[]): Markup {
  const head = heads.map((text) => element('th', { scope: 'col' }, text));
  const table = html`<table><thead><tr>${head}</tr></thead>
<tbody>${lines}</tbody></table>`;
  return html`<details class="numbers"><summary>${title}</summary>
${scrolled(title, table)}</details>`;
}

/** Counters that are 0 everywhere say nothing. */
function vmstatTable(rows: readonly Row[]): Markup {
  const names = new Set(
    rows.flatMap(({ result }) =>
      Object.entries(result.vmstat).flatMap(([name, value]) => (value === 0 ? [] : [name])),
    ),
  );
  if (names.size === 0) return html``;
  const lines = [...names].sort().map((name) => {
    const values = rows.map(({ result }) => formatWhole(result.vmstat[name] ?? 0));
    const cells = values.map((value) => element('td', {}, value));
    return html`<tr><th scope="row"><code>${name}</code></th>${cells}</tr>
`;
  });
  const heads = rows.map(({ label }) => label);
  return folded('/proc/vmstat before the last program exits', ['counter', ...heads], lines);
}
