/**
 * The map of addresses over time: each pixel is a range of touched memory for a while. Its colour
 * is the node that holds it, its strength how often it was accessed.
 *
 * How: one picture of palette colours with opacity, so that it lies on light and dark pages alike.
 * Strength is logarithmic over the map's own range in 24 steps. Maps larger than a screen's worth
 * of pixels are made smaller by the most accessed cell of each block (max-pooling), so that a
 * single hot range cannot vanish.
 */
import { formatCount, type HeatMapResult, type RunResult } from '../experiment/index.ts';
import { element, html, type Markup } from './html.ts';
import { mapColourOf, mapHexOf, type NodeOfTier } from './palette.ts';
import { type Colour, pngDataUrl } from './png.ts';

export const MAP_ROWS_MAX = 160;
export const MAP_COLUMNS_MAX = 240;
const STEPS = 24;
/** Memory that is there but not accessed is still seen. */
const OPACITY_MIN = 26;
const CLEAR: Colour = [0, 0, 0, 0];

interface Cells {
  readonly rows: number;
  readonly columns: number;
  /** Row-major. */
  readonly accesses: readonly number[];
  readonly node: readonly number[];
}

export function heatMap(
  map: HeatMapResult,
  { result, label }: { readonly result: RunResult; readonly label: string },
): Markup {
  if (map.rows === 0 || map.columns === 0) return html`<p class="plot-none">nothing touched</p>`;
  const cells = pooled(map);
  const url = pngDataUrl(
    cells.columns,
    cells.rows,
    pixelsOf(cells, result.nodes),
    coloursOf(result),
  );
  const endVpn = map.rowVpn.at(-1)! + map.pagesPerRow;
  const range = `${addressOf(map.rowVpn[0]!)} to ${addressOf(endVpn)}`;
  const hottest = Math.max(...map.accesses);
  const text =
    `${label}: accesses by address, low addresses on top, ${range} where touched, ` +
    `up to ${formatCount(hottest)} in a cell`;
  const { columns: width, rows: height } = cells;
  return element('img', { src: url, width, height, alt: text, title: text });
}

/** What the colours mean, as an entry of a legend. */
export function heatMapKey(nodes: readonly NodeOfTier[]): Markup {
  const scales = nodes.map(({ nid }) => {
    const steps = [0.12, 0.34, 0.56, 0.78, 1].map((opacity, i) =>
      element('rect', {
        x: `${i * 20}%`,
        width: '20%',
        height: '100%',
        fill: mapHexOf(nodes, nid),
        'fill-opacity': opacity,
      }),
    );
    return element('svg', { class: 'key wide', 'aria-hidden': 'true' }, steps);
  });
  return html`<li class="map-key">${scales} few to many accesses</li>`;
}

/** Index 0 is clear; then STEPS colours a node. */
function coloursOf({ nodes }: RunResult): Colour[] {
  const colours: Colour[] = [CLEAR];
  for (const { nid } of nodes.slice(0, nodesMax())) {
    const [r, g, b] = mapColourOf(nodes, nid);
    for (let step = 0; step < STEPS; step++) {
      const opacity = OPACITY_MIN + Math.round(((255 - OPACITY_MIN) * step) / (STEPS - 1));
      colours.push([r!, g!, b!, opacity]);
    }
  }
  return colours;
}

/** As many nodes as have colours in a palette of 256; further ones look as the last. */
function nodesMax(): number {
  return Math.floor(255 / STEPS);
}

function pixelsOf(cells: Cells, nodes: readonly NodeOfTier[]): Uint8Array {
  const most = Math.log1p(Math.max(1, ...cells.accesses));
  return Uint8Array.from(cells.accesses, (accesses, i) => {
    const at = nodes.findIndex(({ nid }) => nid === cells.node[i]);
    if (at < 0) return 0;
    const step = Math.round(((STEPS - 1) * Math.log1p(accesses)) / most);
    return 1 + Math.min(at, nodesMax() - 1) * STEPS + step;
  });
}

/** The map in at most MAP_ROWS_MAX x MAP_COLUMNS_MAX cells. */
export function pooled(map: Cells): Cells {
  const rows = Math.min(map.rows, MAP_ROWS_MAX);
  const columns = Math.min(map.columns, MAP_COLUMNS_MAX);
  if (rows === map.rows && columns === map.columns) return map;
  const accesses = new Array<number>(rows * columns).fill(-1);
  const node = new Array<number>(rows * columns).fill(-1);
  for (let y = 0; y < map.rows; y++) {
    for (let x = 0; x < map.columns; x++) {
      const from = y * map.columns + x;
      const row = Math.floor((y * rows) / map.rows);
      const to = row * columns + Math.floor((x * columns) / map.columns);
      // What is resident wins over what is not, then the hotter one.
      const isMore = map.accesses[from]! > accesses[to]! || node[to] === -1;
      if (!isMore || (map.node[from] === -1 && node[to] !== -1)) continue;
      accesses[to] = Math.max(accesses[to]!, map.accesses[from]!);
      node[to] = map.node[from]!;
    }
  }
  return { rows, columns, accesses, node };
}

function addressOf(vpn: number): string {
  return `0x${(vpn * 4096).toString(16)}`;
}
