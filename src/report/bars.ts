/**
 * Bars by policy: how long a run took against all-DRAM, stacked by where the time went.
 *
 * Each bar is an SVG of its own whose parts are placed in percent, so it fits any width and its
 * labels stay text of the page. All bars of a figure share one scale that begins at 0.
 */
import {
  type Comparison,
  formatNs,
  formatShare,
  formatSlowdown,
  type GroupRecord,
  type PolicyOutcome,
  type RunResult,
  type Spread,
} from '../experiment/index.ts';
import { element, html, type Markup } from './html.ts';
import { legend, legendEntry } from './legend.ts';
import { timeParts } from './timeParts.ts';

interface Bar {
  readonly label: string;
  readonly isBest: boolean;
  readonly isBound: boolean;
  /** null = no run finished. */
  readonly result: RunResult | null;
  /** Of time to all-DRAM time; null = not known. */
  readonly slowdown: Spread | null;
}

/** The figure of one group; '' when nothing finished that could be drawn. */
export function slowdownBars(comparison: Comparison, group: GroupRecord): Markup {
  const bars = barsOf(comparison, group);
  const unitNs = group.baselineNs?.median ?? 0;
  const longestNs = Math.max(...bars.map((bar) => endNs(bar, unitNs)));
  if (unitNs === 0 || longestNs === 0) return html``;
  const scale = niceMax(longestNs / unitNs);
  const sample = bars.find(({ result }) => result !== null)!.result!;
  return html`<figure class="bars">
<figcaption>Time against all-DRAM, by where it went</figcaption>
${legend(timeParts(sample).map(({ shade, name }) => legendEntry(shade, name)))}
<div class="bar-rows">
${bars.map((bar) => barRow(bar, unitNs, scale))}
${axis(scale)}
</div>
</figure>`;
}

function barsOf(comparison: Comparison, group: GroupRecord): Bar[] {
  const { runs, policies } = comparison;
  const baseline = group.baseline.map((run) => runs[run]!.result).find((run) => run !== null);
  const one: Spread = { median: 1, min: 1, max: 1, count: 1 };
  return [
    { label: 'all-DRAM', isBest: false, isBound: true, result: baseline ?? null, slowdown: one },
    ...group.outcomes.map((outcome: PolicyOutcome): Bar => {
      const { label, isOracle } = policies[outcome.policy]!;
      const result = runs[outcome.representative]?.result ?? null;
      const { isBest, slowdown } = outcome;
      return { label, isBest, isBound: isOracle, result, slowdown };
    }),
  ];
}

function endNs({ result, slowdown }: Bar, unitNs: number): number {
  return Math.max(result?.time.totalNs ?? 0, (slowdown?.max ?? 0) * unitNs);
}

function barRow(bar: Bar, unitNs: number, scale: number): Markup {
  const { label, isBest, isBound, result, slowdown } = bar;
  const kind = isBest ? ' best' : isBound ? ' bound' : '';
  const note = isBest ? html` <span class="tag">best</span>` : null;
  const picture = result === null ? null : drawing(bar, result, unitNs, scale);
  const value = slowdown === null ? 'failed' : formatSlowdown(slowdown.median);
  return html`<div class="bar-row${kind}"><span class="bar-label">${label}${note}</span>
<span class="bar-track">${picture}</span>
<span class="bar-value">${value}</span></div>
`;
}

function drawing(bar: Bar, result: RunResult, unitNs: number, scale: number): Markup {
  const percent = (ns: number) => `${fixed((100 * ns) / unitNs / scale)}%`;
  let startNs = 0;
  const rects = timeParts(result).flatMap(({ shade, name, ns }) => {
    const x = percent(startNs);
    startNs += ns;
    if (ns <= 0) return [];
    const share = formatShare(ns / result.time.totalNs);
    const title = html`<title>${bar.label}: ${name} ${formatNs(ns)}, ${share}</title>`;
    const place = { x, y: 3, width: percent(ns), height: 18 };
    return [element('rect', { class: `p-${shade}`, ...place }, title)];
  });
  const spread = bar.slowdown === null ? null : whisker(bar.slowdown, scale);
  const text = `${bar.label}: ${formatNs(result.time.totalNs)}`;
  return element(
    'svg',
    { class: 'bar', role: 'img', 'aria-label': text, width: '100%', height: 24 },
    [...gridLines(scale), ...rects, unitLine(scale), spread],
  );
}

/** Least and most over the seeds. */
function whisker({ min, max, count }: Spread, scale: number): Markup | null {
  if (count < 2) return null;
  const [from, to] = [`${fixed((100 * min) / scale)}%`, `${fixed((100 * max) / scale)}%`];
  const title = `${count} seeds: ${formatSlowdown(min)} to ${formatSlowdown(max)}`;
  return html`<g class="whisker"><title>${title}</title>
<line x1="${from}" x2="${to}" y1="12" y2="12"/>
<line x1="${from}" x2="${from}" y1="7" y2="17"/>
<line x1="${to}" x2="${to}" y1="7" y2="17"/></g>`;
}

function gridLines(scale: number): Markup[] {
  return ticks(scale).map((tick) => line('grid', tick / scale));
}

/** Where all-DRAM ends, in front of the bars. */
function unitLine(scale: number): Markup {
  return line('unit', 1 / scale);
}

function line(kind: string, share: number): Markup {
  const x = fixed(100 * share);
  return html`<line class="${kind}" x1="${x}%" x2="${x}%" y1="0" y2="24"/>`;
}

function axis(scale: number): Markup {
  const labels = ticks(scale).map((tick) => {
    const x = fixed((100 * tick) / scale);
    const end = tick === 0 ? 'start' : 'middle';
    return html`<text x="${x}%" y="13" text-anchor="${end}">${tick}×</text>`;
  });
  const drawn = element('svg', { width: '100%', height: 18 }, labels);
  return html`<div class="bar-row axis" aria-hidden="true"><span></span>
<span class="bar-track">${drawn}</span><span></span></div>`;
}

/** At most six steps from 0; 1 is always among them. */
function ticks(scale: number): number[] {
  const step = [0.25, 0.5, 1, 2, 5, 10].find((size) => scale / size <= 6) ?? Math.ceil(scale / 5);
  const steps = Array.from({ length: Math.floor(scale / step) + 1 }, (_, i) => i * step);
  const last = steps.at(-1)!;
  // The label of a tick at the very end would be cut.
  return last / scale > 0.97 && steps.length > 2 ? steps.slice(0, -1) : steps;
}

/** A little more than the longest bar. */
function niceMax(longest: number): number {
  return Math.max(1.1, longest * 1.03);
}

/** Two digits are a hundredth of a percent: less than a pixel. */
export function fixed(value: number): string {
  return String(Number(value.toFixed(2)));
}
