/**
 * What heat sources saw, by policy: how right, how much of what is hot, how late, at what price.
 * The numbers stand in the table below it; here they are for the eye.
 *
 * Precision and recall share a scale from 0 to 1. Lag is logarithmic, in whole decades that hold
 * all lags of the figure. Cost is a share of the run's time, scaled by the largest of the figure.
 */
import {
  type Comparison,
  formatNs,
  formatShare,
  type GroupRecord,
  type HeatAccuracy,
} from '../experiment/index.ts';
import { fixed } from './bars.ts';
import { element, html, type Markup } from './html.ts';
import { legend, legendEntry } from './legend.ts';

interface Seen {
  readonly label: string;
  readonly isBest: boolean;
  readonly heat: HeatAccuracy;
  /** Of the run's time: what the program paid, and CPU time beside it. */
  readonly programShare: number;
  readonly backgroundShare: number;
}

/** Powers of ten that the lags of a figure lie between. */
interface Decades {
  readonly first: number;
  readonly last: number;
}

/** The figure of one group; '' where no policy has a heat source. */
export function heatFigure(comparison: Comparison, group: GroupRecord): Markup {
  const seen = seenOf(comparison, group);
  if (seen.length === 0) return html``;
  const decades = decadesOf(seen);
  const costMax = Math.max(...seen.map((one) => one.programShare + one.backgroundShare));
  const keys = [
    legendEntry('observation', 'cost to the program'),
    legendEntry('compute', 'in the background'),
  ];
  return html`<figure class="heat">
<figcaption>What heat sources saw, against all accesses <span class="muted">· lag from the median
to 90 %, by powers of ten; cost as a share of the run</span></figcaption>
${legend(keys)}
${seen.map((one) => heatRow(one, decades, costMax))}
</figure>`;
}

function seenOf({ runs, policies }: Comparison, { outcomes }: GroupRecord): Seen[] {
  return outcomes.flatMap(({ policy, representative, isBest }) => {
    const result = runs[representative]?.result ?? null;
    const heat = result?.heat ?? null;
    if (result === null || heat === null) return [];
    const { totalNs } = result.time;
    const share = (ns: number) => (totalNs === 0 ? 0 : ns / totalNs);
    const { programNs, backgroundNs } = heat;
    const label = policies[policy]!.label;
    const costs = { programShare: share(programNs), backgroundShare: share(backgroundNs) };
    return [{ label, isBest, heat, ...costs }];
  });
}

function decadesOf(seen: readonly Seen[]): Decades {
  const lags = seen.flatMap(({ heat: { lagNs, lag90Ns } }) => [lagNs, lag90Ns]);
  const powers = lags.flatMap((ns) => (ns === null ? [] : [Math.log10(Math.max(1, ns))]));
  if (powers.length === 0) return { first: 0, last: 1 };
  const first = Math.floor(Math.min(...powers));
  return { first, last: Math.max(first + 1, Math.ceil(Math.max(...powers))) };
}

function heatRow(one: Seen, decades: Decades, costMax: number): Markup {
  const { label, isBest, heat } = one;
  const cost = one.programShare + one.backgroundShare;
  const source = html`<span class="sub">${heat.source}</span>`;
  const kind = isBest ? ' best' : '';
  return html`<div class="heat-row${kind}"><span class="bar-label">${label}${source}</span>
${cell('precision', formatShare(heat.precision), shareBar(heat.precision))}
${cell('recall', formatShare(heat.recall), shareBar(heat.recall))}
${cell('lag', lagText(heat), lagBar(heat, decades))}
${cell('cost', formatShare(cost), costBar(one, costMax))}</div>
`;
}

function cell(name: string, value: string, picture: Markup[]): Markup {
  const label = { role: 'img', 'aria-label': `${name} ${value}` };
  const ground = element('rect', { class: 'plot-ground', width: '100%', y: 3, height: 8, rx: 2 });
  const svg = element('svg', { ...label, width: '100%', height: 14 }, ground, picture);
  return html`<div class="heat-cell"><span class="plot-title"><span>${name}</span>
<span>${value}</span></span>${svg}</div>`;
}

function bar(kind: string, from: number, width: number): Markup {
  const place = { x: `${fixed(100 * from)}%`, width: `${fixed(100 * width)}%`, y: 3, height: 8 };
  return element('rect', { class: kind, rx: 2, ...place });
}

function shareBar(share: number): Markup[] {
  return [bar('heat-share', 0, share)];
}

/** From the median to the 90th percentile, the median as a dot. */
function lagBar({ lagNs, lag90Ns }: HeatAccuracy, { first, last }: Decades): Markup[] {
  if (lagNs === null) return [];
  const at = (ns: number) => (Math.log10(Math.max(1, ns)) - first) / (last - first);
  const ticks = Array.from({ length: last - first - 1 }, (_, i) => {
    const x = `${fixed((100 * (i + 1)) / (last - first))}%`;
    return element('line', { class: 'grid', x1: x, x2: x, y1: 2, y2: 12 });
  });
  const [median, late] = [at(lagNs), at(lag90Ns ?? lagNs)];
  const dot = element('circle', {
    class: 'heat-median',
    cx: `${fixed(100 * median)}%`,
    cy: 7,
    r: 4,
  });
  return [...ticks, bar('heat-share', median, late - median), dot];
}

function lagText({ lagNs, lag90Ns }: HeatAccuracy): string {
  if (lagNs === null) return 'found none';
  return lag90Ns === null ? formatNs(lagNs) : `${formatNs(lagNs)}, 90 % in ${formatNs(lag90Ns)}`;
}

function costBar({ programShare, backgroundShare }: Seen, costMax: number): Markup[] {
  if (costMax === 0) return [];
  const program = programShare / costMax;
  return [bar('p-observation', 0, program), bar('p-compute', program, backgroundShare / costMax)];
}
