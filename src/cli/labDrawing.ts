/**
 * Figures of labs on the terminal: bars of block characters, curves as a grid of marks. Patterns
 * tell parts apart without colour; the numbers stand in the table beside.
 */
import {
  barsOf,
  curvesOf,
  type Drawing,
  type Figure,
  type Part,
  type Shade,
  unitOf,
} from '../labs/index.ts';
import { paint, type Style } from './paint.ts';

const GLYPHS: Readonly<Record<Shade, readonly [glyph: string, style: Style]>> = {
  kernel: ['▓', 'gray'],
  pinned: ['█', 'magenta'],
  user: ['▒', 'blue'],
  free: ['·', 'dim'],
  before: ['▒', 'yellow'],
  after: ['█', 'blue'],
  third: ['▓', 'green'],
  fourth: ['░', 'magenta'],
};
const MARKS = ['o', 'x', '+', '*'];
const GRID_ROWS = 12;

/** The figure's drawing as lines, or '' if a table says it better. */
export function drawFigure(figure: Figure, width: number): string {
  const { drawing } = figure;
  if (drawing.kind === 'bars') return bars(figure, drawing, width);
  return drawing.kind === 'curves' ? curves(figure, drawing, width) : '';
}

function bars(figure: Figure, drawing: Drawing & { kind: 'bars' }, width: number): string {
  const rows = barsOf(figure, drawing);
  const most = Math.max(...rows.map(({ values }) => sum(values)));
  const labelWidths = drawing.labels.map((_, i) => {
    return Math.max(...rows.map(({ labels }) => labels[i].length));
  });
  const room = Math.max(12, Math.min(60, width - sum(labelWidths) - 2 * labelWidths.length - 12));
  const lines = rows.map(({ labels, values }, n) => {
    const isRepeated = n > 0 && labels.length > 1 && rows[n - 1].labels[0] === labels[0];
    const shown = labels.map((text, i) =>
      (i === 0 && isRepeated ? '' : text).padEnd(labelWidths[i]),
    );
    const value =
      drawing.parts.length === 1 ? ` ${values[0]} ${unitOf(figure, drawing.parts[0].column)}` : '';
    return `${shown.join('  ')}  ${bar(drawing.parts, values, most, room)}${value}`.trimEnd();
  });
  return `${legend(drawing.parts, (i) => GLYPHS[drawing.parts[i].shade][0])}${lines.join('\n')}\n`;
}

/** Parts end where their sums end, so that rounding never adds up. */
function bar(
  parts: readonly Part[],
  values: readonly number[],
  most: number,
  room: number,
): string {
  let text = '';
  let before = 0;
  for (const [i, part] of parts.entries()) {
    const from = most === 0 ? 0 : Math.round((before * room) / most);
    before += values[i];
    const to = most === 0 ? 0 : Math.round((before * room) / most);
    const [glyph, style] = GLYPHS[part.shade];
    if (part.isApart === true) text += '│';
    if (to > from) text += paint(style, glyph.repeat(to - from));
  }
  return text;
}

function legend(parts: readonly Part[], markOf: (i: number) => string): string {
  if (parts.length < 2) return '';
  const entries = parts.map(({ column, shade }, i) => {
    return `${paint(GLYPHS[shade][1], markOf(i))} ${column}`;
  });
  return `${entries.join('   ')}\n`;
}

/** Where a value lies from 0 to 1, and what stands at 0 and in the middle. */
interface Scale {
  readonly at: (value: number) => number;
  readonly least: number;
  readonly middle: number;
  readonly most: number;
}

function scaleOf(values: readonly number[], isLog: boolean): Scale {
  const most = Math.max(1e-9, ...values);
  const round = (value: number) => Number(value.toPrecision(3));
  if (!isLog) return { at: (value) => value / most, least: 0, middle: round(most / 2), most };
  const least = Math.min(...values);
  const span = Math.max(1e-9, Math.log(most / least));
  const at = (value: number) => Math.log(value / least) / span;
  return { at, least, middle: round(Math.sqrt(least * most)), most };
}

function curves(figure: Figure, drawing: Drawing & { kind: 'curves' }, width: number): string {
  const isLog = drawing.isLog === true;
  const points = curvesOf(figure, drawing);
  const all = points.flat();
  const across = scaleOf(
    all.map(({ x }) => x),
    isLog,
  );
  const up = scaleOf(
    all.map(({ y }) => y),
    isLog,
  );
  const columns = Math.max(20, Math.min(60, width - 14));
  const grid = Array.from({ length: GRID_ROWS }, () => new Array<string>(columns).fill(' '));
  for (const [n, series] of points.entries()) {
    const { shade } = drawing.series[n];
    for (const { x, y } of series) {
      const column = Math.round(across.at(x) * (columns - 1));
      const row = GRID_ROWS - 1 - Math.round(up.at(y) * (GRID_ROWS - 1));
      const isTaken = grid[row][column] !== ' ';
      grid[row][column] = isTaken ? '#' : paint(GLYPHS[shade][1], MARKS[n]);
    }
  }
  const labels = [up.most, up.middle, up.least].map(String);
  const margin = Math.max(...labels.map((label) => label.length));
  const labelAt = new Map([
    [0, labels[0]],
    [Math.floor(GRID_ROWS / 2), labels[1]],
    [GRID_ROWS - 1, labels[2]],
  ]);
  const lines = grid.map((cells, row) => {
    return `${(labelAt.get(row) ?? '').padStart(margin)} ┤${cells.join('')}`.trimEnd();
  });
  const axis = `${' '.repeat(margin)} └${'─'.repeat(columns)}`;
  const first = String(across.least);
  const end = `${first}${String(across.most).padStart(columns - first.length)}`;
  const unit = unitOf(figure, drawing.x);
  const below = `${' '.repeat(margin + 2)}${end} ${unit}`;
  const key = legend(drawing.series, (i) => MARKS[i]);
  const same = lines.some((line) => line.includes('#')) ? '# two or more at the same place\n' : '';
  const what = `${' '.repeat(margin + 2)}${drawing.x}${isLog ? ' (both axes logarithmic)' : ''}`;
  return `${key}${lines.join('\n')}\n${axis}\n${below.trimEnd()}\n${what}\n${same}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
