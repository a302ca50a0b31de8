/**
 * What happened over time, a card for each policy: where memory was, where accesses went, what was
 * migrated, and the map of addresses by node. All cards of a group share their scales, so they can
 * be compared; a run that ends earlier ends earlier in its pictures.
 */

import { PAGE_SIZE } from '../base/units.ts';
import {
  type Comparison,
  formatBytes,
  formatCount,
  formatNs,
  formatSlowdown,
  type GroupRecord,
  type RunResult,
  type SeriesResult,
} from '../experiment/index.ts';
import { fixed } from './bars.ts';
import { heatMap, heatMapKey } from './heatMap.ts';
import { element, html, type Markup } from './html.ts';
import { legend, legendEntry } from './legend.ts';
import { shadeOfNode } from './palette.ts';

/** What the cards of a group have in common. */
interface Scales {
  readonly lastNs: number;
  readonly residentBytes: number;
  /** Bytes a second. */
  readonly traffic: number;
  /** Pages a second. */
  readonly migrated: number;
}

interface Card {
  readonly label: string;
  readonly slowdown: string;
  readonly isBest: boolean;
  readonly isOracle: boolean;
  readonly result: RunResult;
  readonly series: SeriesResult;
}

/** Coordinates of a chart: x in points of the series, y in thousandths. */
const HEIGHT = 1000;

/** The cards of one group; nothing when no time series was collected. */
export function overTime(comparison: Comparison, group: GroupRecord): Markup {
  const cards = cardsOf(comparison, group);
  if (cards.length === 0) return html``;
  const scales = scalesOf(cards);
  const { nodes } = cards[0]!.result;
  const hasMap = cards.some(({ result }) => result.heatMap !== null);
  const how = `one scale for all policies, time to the right until ${formatNs(scales.lastNs)}`;
  const keys = nodes.map(({ nid, kind }) =>
    legendEntry(shadeOfNode(nodes, nid), `${kind.toUpperCase()}, node ${nid}`),
  );
  const arrows = html`<li>↑ promoted ↓ demoted</li>`;
  return html`<figure class="over-time">
<figcaption>Over time <span class="muted">· ${how}</span></figcaption>
${legend([...keys, arrows, hasMap ? heatMapKey(nodes) : null])}
<div class="cards" style="--columns:${columnsFor(cards.length)}">
${cards.map((card) => cardOf(card, scales))}
</div>
</figure>`;
}

/** At most five cards beside each other, in rows as even as can be. */
function columnsFor(nrCards: number): number {
  return Math.ceil(nrCards / Math.ceil(nrCards / 5));
}

function cardsOf(comparison: Comparison, group: GroupRecord): Card[] {
  return group.outcomes.flatMap(({ policy, representative, slowdown, isBest }) => {
    const result = comparison.runs[representative]?.result ?? null;
    if (result === null || result.series === null) return [];
    const { label, isOracle } = comparison.policies[policy]!;
    const text = slowdown === null ? '' : formatSlowdown(slowdown.median);
    return [{ label, slowdown: text, isBest, isOracle, result, series: result.series }];
  });
}

function scalesOf(cards: readonly Card[]): Scales {
  const largest = (of: (card: Card) => number) => Math.max(1e-9, ...cards.map(of));
  return {
    lastNs: largest(({ result }) => result.time.totalNs),
    residentBytes: largest(({ series }) => largestSum(series.residentPages)) * PAGE_SIZE,
    traffic: largest(({ series }) => perSecond(largestSum(series.trafficBytes), series)),
    migrated: migrationScale(cards),
  };
}

/** An oracle migrates for nothing, as much as it likes: its bursts would hide all others. */
function migrationScale(cards: readonly Card[]): number {
  const rate = ({ series }: Card) =>
    perSecond(Math.max(...series.promotedPages, ...series.demotedPages), series);
  const competing = Math.max(0, ...cards.filter(({ isOracle }) => !isOracle).map(rate));
  return competing > 0 ? competing : Math.max(1e-9, ...cards.map(rate));
}

function perSecond(value: number, { intervalNs }: SeriesResult): number {
  return intervalNs > 0 ? (value * 1e9) / intervalNs : 0;
}

/** The largest sum over the nodes at any point. */
function largestSum(rows: readonly (readonly number[])[]): number {
  const nrPoints = rows[0]?.length ?? 0;
  let largest = 0;
  for (let i = 0; i < nrPoints; i++) {
    largest = Math.max(
      largest,
      rows.reduce((sum, row) => sum + (row[i] ?? 0), 0),
    );
  }
  return largest;
}

function cardOf(card: Card, scales: Scales): Markup {
  const { label, slowdown, isBest, result, series } = card;
  const width = fixed((100 * result.time.totalNs) / scales.lastNs);
  const best = isBest ? html` <span class="tag">best</span>` : null;
  const map = result.heatMap;
  const plots = [
    stacked(
      { title: 'Where memory is', top: formatBytes(scales.residentBytes), width },
      series.residentPages,
      scales.residentBytes / PAGE_SIZE,
      card,
    ),
    stacked(
      { title: 'Traffic', top: `${formatBytes(scales.traffic)}/s`, width },
      series.trafficBytes,
      (scales.traffic * series.intervalNs) / 1e9,
      card,
    ),
    migrations(card, scales, width),
    ...(map === null
      ? []
      : [plot({ title: 'Accesses by address', top: '', width, kind: 'map' }, heatMap(map, card))]),
  ];
  return html`<section class="card" style="grid-row:span ${1 + plots.length}">
<h5>${label}${best} <span class="card-value">${slowdown}</span></h5>
${plots}
</section>
`;
}

interface Plot {
  readonly title: string;
  /** Value of the upper edge. */
  readonly top: string;
  /** Of the card, in percent: what the run took of the longest one's time. */
  readonly width: string;
  readonly kind?: string;
}

function plot({ title, top, width, kind = '' }: Plot, drawing: Markup): Markup {
  const ground = element('rect', { class: 'plot-ground', width: `${width}%`, height: '100%' });
  const size = { width: '100%', height: '100%' };
  return html`<div class="plot ${kind}">
<div class="plot-title"><span>${title}</span><span>${top}</span></div>
<div class="plot-area">${element('svg', { ...size, 'aria-hidden': 'true' }, ground)}
<div class="plot-drawing" style="width:${width}%">${drawing}</div></div></div>
`;
}

/** Areas by node on top of each other, the first node at the bottom. */
function stacked(
  about: Plot,
  rows: readonly (readonly number[])[],
  max: number,
  { label, result }: Card,
): Markup {
  const nrPoints = rows[0]?.length ?? 0;
  const below = new Array<number>(nrPoints).fill(0);
  const areas = rows.map((row, i) => {
    const lower = [...below];
    for (let point = 0; point < nrPoints; point++) below[point]! += row[point] ?? 0;
    return area(lower, below, max, shadeOfNode(result.nodes, result.nodes[i]?.nid ?? i));
  });
  const atEnd = rows.map((row, i) => {
    const share = (row.at(-1) ?? 0) / Math.max(1e-9, below.at(-1) ?? 0);
    return `${result.nodes[i]?.kind.toUpperCase() ?? 'node'} ${i} ${Math.round(100 * share)} %`;
  });
  const text = `${label}, ${about.title.toLowerCase()} over time; at the end ${atEnd.join(', ')}`;
  return plot(about, chart(nrPoints, areas, text));
}

function area(
  lower: readonly number[],
  upper: readonly number[],
  max: number,
  shade: string,
): Markup {
  const y = (value: number) => Math.round(HEIGHT - (HEIGHT * value) / max);
  const points = upper.length;
  const there = upper.map((value, i) => `${i} ${y(value)}`);
  const back = lower.map((value, i) => `${i} ${y(value)}`).reverse();
  const ends = `${points} ${y(upper.at(-1) ?? 0)}L${points} ${y(lower.at(-1) ?? 0)}`;
  const outline = `M${there.join('L')}L${ends}L${back.join('L')}Z`;
  return element('path', { class: `p-${shade} area`, d: outline });
}

/** Promotions upwards and demotions downwards. */
function migrations(card: Card, scales: Scales, width: string): Markup {
  const { series, label, result } = card;
  const about = { title: 'Migrated ↑ ↓', kind: 'low' };
  const { promotedPages, demotedPages } = result.migration;
  if (promotedPages + demotedPages === 0) {
    return plot({ ...about, top: '', width: '100' }, html`<p class="plot-none">none</p>`);
  }
  const nrPoints = series.promotedPages.length;
  const max = (scales.migrated * series.intervalNs) / 1e9;
  const half = HEIGHT / 2;
  const columns = (values: readonly number[], isUp: boolean) =>
    values.flatMap((value, x) => {
      const height = Math.min(half, Math.round((half * value) / max));
      if (height === 0) return [];
      const place = { x, y: isUp ? half - height : half, width: 1, height };
      return [element('rect', { class: isUp ? 'p-fast' : 'p-slow', ...place })];
    });
  const promoted = `${formatCount(promotedPages)} pages promoted`;
  const text = `${label}: ${promoted}, ${formatCount(demotedPages)} demoted`;
  const drawn = [
    ...columns(series.promotedPages, true),
    ...columns(series.demotedPages, false),
    element('line', { class: 'zero', x1: 0, x2: nrPoints, y1: half, y2: half }),
  ];
  const top = `${formatCount(scales.migrated)}/s`;
  return plot({ ...about, top, width }, chart(nrPoints, drawn, text));
}

function chart(nrPoints: number, content: readonly Markup[], text: string): Markup {
  const attributes = {
    role: 'img',
    viewBox: `0 0 ${Math.max(1, nrPoints)} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    'aria-label': text,
  };
  return element('svg', attributes, html`<title>${text}</title>`, content);
}
