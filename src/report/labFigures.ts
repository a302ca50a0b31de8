/**
 * Figures of labs as SVG: stacked bars, and curves over a number.
 *
 * Everything is placed in percent, so a picture fits any width and its labels keep their size.
 */
import {
  barsOf,
  curvesOf,
  type Drawing,
  type Figure,
  type Part,
  type Point,
  type Shade,
  unitOf,
} from '../labs/index.ts';
import { fixed } from './bars.ts';
import { type Content, element, html, type Markup } from './html.ts';
import { legend, legendEntry } from './legend.ts';

/** Colours of the palette; nothing but free memory is as pale as the page. */
const COLOURS: Readonly<Record<Shade, string>> = {
  kernel: 'compute',
  pinned: 'fault',
  user: 'fast',
  free: 'free',
  before: 'slow',
  after: 'fast',
  third: 'migration',
  fourth: 'fault',
};
/** Series differ without colour, too. */
const DASHES = ['none', '6 3', '2 3', '8 3 2 3'];
const PLOT_HEIGHT = 220;
/** Room for labels beside and below the plot, in percent of its size. */
const LEFT = 9;
const RIGHT = 97;
const TOP = 5;
const BOTTOM = 86;

export function figureDrawing(figure: Figure): Content {
  const { drawing } = figure;
  if (drawing.kind === 'bars') return bars(figure, drawing);
  return drawing.kind === 'curves' ? curves(figure, drawing) : null;
}

function bars(figure: Figure, drawing: Drawing & { kind: 'bars' }): Markup {
  const { parts } = drawing;
  const rows = barsOf(figure, drawing);
  const most = Math.max(1e-9, ...rows.map(({ values }) => sum(values)));
  const unit = unitOf(figure, parts[0].column);
  const keys = parts.map(({ column, shade }) => legendEntry(COLOURS[shade], column));
  return html`${parts.length < 2 ? null : legend(keys)}
<div class="bar-rows">
${rows.map(({ labels, values }) => {
  const label = labels.join(', ');
  const value = parts.length === 1 ? `${values[0]} ${unit}` : `${Math.round(sum(values))} ${unit}`;
  return html`<div class="bar-row lab"><span class="bar-label">${label}</span>
<span class="bar-track">${bar(parts, values, most, `${label}: ${value}`, unit)}</span>
<span class="bar-value">${value}</span></div>
`;
})}
</div>`;
}

function bar(
  parts: readonly Part[],
  values: readonly number[],
  most: number,
  text: string,
  unit: string,
): Markup {
  let start = 0;
  const drawn = parts.flatMap(({ column, shade, isApart }, i) => {
    const x = `${fixed((100 * start) / most)}%`;
    start += values[i];
    const divider =
      isApart === true ? [html`<line class="unit" x1="${x}" x2="${x}" y1="0" y2="24"/>`] : [];
    if (values[i] <= 0) return divider;
    const title = html`<title>${column}: ${values[i]} ${unit}</title>`;
    const place = { x, y: 3, width: `${fixed((100 * values[i]) / most)}%`, height: 18 };
    return [element('rect', { class: `p-${COLOURS[shade]}`, ...place }, title), ...divider];
  });
  const attributes = { class: 'bar', role: 'img', 'aria-label': text, width: '100%', height: 24 };
  return element('svg', attributes, drawn);
}

interface Scale {
  readonly ticks: readonly number[];
  /** Where a value lies, from 0 to 1. */
  readonly at: (value: number) => number;
}

/** From 0 to a round number. */
function linear(values: readonly number[]): Scale {
  const ticks = ticksTo(Math.max(1e-9, ...values));
  const most = ticks.at(-1)!;
  return { ticks, at: (value) => value / most };
}

/** From a power of `base` to another. Preconditions: values above 0. */
function logScale(values: readonly number[], base: number): Scale {
  const log = (value: number) => Math.log(value) / Math.log(base);
  const first = Math.floor(log(Math.min(...values)) + 1e-9);
  const last = Math.max(first + 1, Math.ceil(log(Math.max(...values)) - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => {
    return Number((base ** (first + i)).toPrecision(6));
  });
  return { ticks, at: (value) => (log(value) - first) / (last - first) };
}

function curves(figure: Figure, drawing: Drawing & { kind: 'curves' }): Markup {
  const isLog = drawing.isLog === true;
  const series = curvesOf(figure, drawing);
  const lines = drawing.series.map(({ column, shade }, i) => {
    return { column, colour: COLOURS[shade], points: series[i] };
  });
  const all = lines.flatMap(({ points }) => points);
  const xs = all.map(({ x }) => x);
  const ys = all.map(({ y }) => y);
  const [across, up] = isLog ? [logScale(xs, 2), logScale(ys, 10)] : [linear(xs), linear(ys)];
  const at = ({ x, y }: Point) => ({
    x: `${fixed(LEFT + (RIGHT - LEFT) * across.at(x))}%`,
    y: `${fixed(BOTTOM - (BOTTOM - TOP) * up.at(y))}%`,
  });
  const drawn = lines.map(({ column, colour, points }, n) => {
    const segments = points.slice(1).map((point, i) => {
      const [from, to] = [at(points[i]), at(point)];
      const ends = { x1: from.x, y1: from.y, x2: to.x, y2: to.y };
      return element('line', {
        class: `p-${colour} curve`,
        'stroke-dasharray': DASHES[n],
        ...ends,
      });
    });
    const dots = points.map((point) => {
      const { x, y } = at(point);
      const title = html`<title>${column}: ${point.y} at ${point.x}</title>`;
      return element('circle', { class: `p-${colour}`, cx: x, cy: y, r: 3 }, title);
    });
    return [segments, dots];
  });
  const unit = unitOf(figure, drawing.x);
  const name = unit === '' ? drawing.x : `${drawing.x}, ${unit}`;
  const yUnit = unitOf(figure, drawing.series[0].column);
  const summary = lines.map(({ column, points }) => `${column} ends at ${points.at(-1)?.y ?? 0}`);
  const text = `${figure.title}: ${summary.join(', ')}`;
  const keys = lines.map(({ column, colour }) => legendEntry(colour, column));
  const scale = isLog ? ' · both logarithmic' : '';
  const attributes = { class: 'plot-lab', role: 'img', 'aria-label': text };
  return html`${legend(keys)}
${element(
  'svg',
  { ...attributes, width: '100%', height: PLOT_HEIGHT },
  up.ticks.map((y) => yTick(at({ x: across.ticks[0], y }).y, y)),
  across.ticks.map((x) => xTick(at({ x, y: up.ticks[0] }).x, x)),
  drawn,
)}
<p class="muted axis-names">across: ${name} · up: ${yUnit === '' ? 'number' : yUnit}${scale}</p>`;
}

function yTick(y: string, value: number): Markup {
  return html`<line class="grid" x1="${LEFT}%" x2="${RIGHT}%" y1="${y}" y2="${y}"/>
<text class="tick" x="${LEFT - 1}%" y="${y}" dy="4" text-anchor="end">${value}</text>`;
}

function xTick(x: string, value: number): Markup {
  return html`<text class="tick" x="${x}" y="96%" text-anchor="middle">${value}</text>`;
}

/** Four to six round numbers from 0 to at least `most`. */
function ticksTo(most: number): number[] {
  let step = 1e-6;
  for (const factor of endless()) {
    if (most / step <= 5) break;
    step *= factor;
  }
  const count = Math.ceil(most / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

/** From 1 to 2, to 5, to 10. */
function* endless(): Generator<number> {
  for (;;) yield* [2, 2.5, 2];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
