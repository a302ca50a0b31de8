/**
 * Tables for the terminal: a title row, a rule, no frame; numbers to the right. The text of a cell
 * is laid out by cli-table3, which knows wide characters and colour codes.
 */
import CliTable from 'cli-table3';
import { paint } from './paint.ts';
import { terminalWidth, wrapped } from './textWidth.ts';

export type Align = 'left' | 'right';

export interface Column {
  readonly title: string;
  /** Without it: right if every cell is a number, else left. */
  readonly align?: Align;
  /** Text that may take several lines where the terminal is narrow. */
  readonly wraps?: boolean;
}

export type Cell = string | number;

const NO_FRAME = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/**
 * The table as lines without trailing blanks, ending in a newline. A title may have several lines.
 * Numbers are printed as JavaScript does; give a string for another form, and `align: 'right'` for
 * its column.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: { readonly colour?: boolean; readonly widthMax?: number } = {},
): string {
  const widths = wrapWidths(columns, rows, options.widthMax ?? terminalWidth());
  const aligns = columns.map((column, i) => column.align ?? alignOf(rows, i));
  const table = new CliTable({
    chars: NO_FRAME,
    colAligns: aligns,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  const isColoured = options.colour ?? true;
  table.push(columns.map(({ title }) => (isColoured ? paint('bold', title) : title)));
  for (const row of rows) {
    table.push(row.map((cell, i) => (widths[i] > 0 ? wrapped(String(cell), widths[i]) : cell)));
  }
  const lines = table.toString().split('\n');
  const trimmed = lines.map((line) => line.trimEnd());
  const nrHeadLines = Math.max(...columns.map(({ title }) => title.split('\n').length));
  const head = trimmed.slice(0, nrHeadLines);
  const body = trimmed.slice(nrHeadLines);
  const width = Math.max(...lines.map((line) => visibleWidth(line.trimEnd())));
  return `${[...head, '─'.repeat(width), ...body].join('\n')}\n`;
}

/** A column that wraps is not made narrower than this. */
const WRAPPED_MIN = 16;

/** Characters of each column's lines, the widest made narrower first; 0 = as long as they are. */
function wrapWidths(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  widthMax: number,
): number[] {
  const widths = columns.map(({ title }, i) => {
    const cells = [...title.split('\n'), ...rows.map((row) => String(row[i]))];
    return Math.max(...cells.map(visibleWidth));
  });
  let over = widths.reduce((sum, width) => sum + width, 2 * (columns.length - 1)) - widthMax;
  const wrapping = columns.flatMap(({ wraps }, i) => (wraps === true ? [i] : []));
  const narrowed = columns.map(() => 0);
  while (over > 0 && wrapping.length > 0) {
    const widest = wrapping.reduce((a, b) => (widths[b] > widths[a] ? b : a));
    if (widths[widest] <= WRAPPED_MIN) break;
    narrowed[widest] = --widths[widest];
    over--;
  }
  return narrowed;
}

function alignOf(rows: readonly (readonly Cell[])[], column: number): Align {
  const isNumeric = rows.length > 0 && rows.every((row) => typeof row[column] === 'number');
  return isNumeric ? 'right' : 'left';
}

/** Characters that are seen: colour codes are none. */
export function visibleWidth(line: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with ESC.
  return line.replaceAll(/\x1b\[[0-9;]*m/g, '').length;
}

export interface RankedColumn extends Column {
  /** The higher, the sooner it is left out; 0 = never. */
  readonly rank: number;
}

/** The table with as many columns as fit. */
export function fitted<C extends RankedColumn>(
  columns: readonly C[],
  build: (shown: readonly C[]) => string,
  widthMax: number,
): string {
  let shown = columns;
  for (;;) {
    const text = build(shown);
    // The rule below the titles is as wide as the table.
    const width = text.split('\n')[1]?.length ?? 0;
    const least = Math.max(...shown.map(({ rank }) => rank));
    if (width <= widthMax || least === 0) return text;
    shown = shown.filter(({ rank }) => rank < least);
  }
}
