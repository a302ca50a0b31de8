/** A lab's result on the terminal: question, setup, figures drawn and as tables, verdict. */
import { experimentalNote } from '../hw/index.ts';
import type { Figure, LabResult } from '../labs/index.ts';
import { drawFigure } from './labDrawing.ts';
import { paint } from './paint.ts';
import { type Column, formatTable, visibleWidth } from './table.ts';
import { wrapped } from './textWidth.ts';

export function labText(result: LabResult, width: number): string {
  const { setup, figures, published, positions, notModelled, experimental } = result;
  const parts = [
    `${paint('bold', wrapped(result.question, width))}\n`,
    list(setup, width),
    ...figures.map((figure) => figureText(figure, width)),
    ...(published.length === 0 ? [] : [publishedText(result)]),
    `${paint('bold', 'Who argues what')}\n${positionsText(positions, width)}`,
    `${paint('bold', 'Not modelled')}\n${list(notModelled, width)}`,
    ...(experimental.length === 0
      ? []
      : [`${paint('yellow', wrapped(experimentalNote(experimental), width))}\n`]),
    `${paint('bold', wrapped(result.verdict, width))}\n`,
    `${paint('dim', sourceText(result))}\n`,
  ];
  return parts.join('\n');
}

function figureText(figure: Figure, width: number): string {
  const drawing = drawFigure(figure, width);
  const columns = figure.columns.map(({ name, unit }): Column => {
    return { title: unit === '' ? name : `${name}, ${unit}` };
  });
  const rows = figure.rows.map((row) => row.map((cell) => cell ?? '–'));
  const table = narrowed(columns, rows, width);
  const title = `${paint('bold', figure.title)}\n`;
  return drawing === '' ? `${title}\n${table}` : `${title}\n${drawing}\n${table}`;
}

/** A table that is too wide gets titles of several lines; if that is not enough it is turned. */
function narrowed(
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
  width: number,
): string {
  const table = formatTable(columns, rows);
  if (widthOf(table) <= width) return table;
  const broken = columns.map((column) => ({ ...column, title: wrapped(column.title, 9) }));
  const tall = formatTable(broken, rows);
  if (widthOf(tall) <= width || rows.length > 3) return tall;
  const [key, ...others] = columns;
  const heads = rows.map(([first]) => ({ title: String(first), align: 'right' as const }));
  const turned = others.map(({ title }, i) => [title, ...rows.map((row) => row[i + 1])]);
  return formatTable([key, ...heads], turned);
}

function widthOf(table: string): number {
  return Math.max(...table.split('\n').map(visibleWidth));
}

function publishedText({ published }: LabResult): string {
  const columns = ['what', 'thread', 'ours', 'unit', 'deviation'].map((title): Column => {
    const isNumber = ['thread', 'ours', 'deviation'].includes(title);
    return isNumber ? { title, align: 'right' } : { title };
  });
  const rows = published.map((one) => {
    const percent = 100 * one.deviation;
    const deviation = `${percent > 0 ? '+' : ''}${percent.toFixed(1)} %`;
    return [one.what, one.published, one.ours, one.unit, deviation];
  });
  const sources = published.map(({ source }) => `  ${source}\n`);
  const title = paint('bold', 'Beside the thread');
  return `${title}\n\n${formatTable(columns, rows)}${sources.join('')}`;
}

function positionsText(positions: LabResult['positions'], width: number): string {
  const lines = positions.map(({ who, says, support, because }) => {
    const style = support === 'supported' ? 'green' : support === 'partly' ? 'yellow' : 'red';
    const first = wrapped(`${who}: ${says}.`, width - 2, '  ');
    const second = wrapped(because, width - 6 - support.length, '    ');
    return `  ${first}\n    ${paint(style, support)}: ${second}`;
  });
  return `${lines.join('\n')}\n`;
}

function list(lines: readonly string[], width: number): string {
  return `${lines.map((line) => `  ${wrapped(line, width - 2, '  ')}`).join('\n')}\n`;
}

function sourceText({ thread, missions, seed, version, knobs, name }: LabResult): string {
  const settings = Object.entries(knobs).map(([knob, value]) => `${knob}=${value}`);
  const from = [name, `thread ${thread}`, missions.join(' '), `seed ${seed}`, `hetmem ${version}`];
  return `${from.join(' · ')}\n${settings.join(' ')}`;
}
