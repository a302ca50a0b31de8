/** A reproduced table on the terminal: figures, verdict, rules, what is scaled and what departs. */
import {
  agreementText,
  curvesOf,
  figureLines,
  MARKS,
  type Reproduction,
} from '../published/index.ts';
import { paint } from './paint.ts';
import { type Column, formatTable } from './table.ts';
import { wrapped } from './textWidth.ts';

export function reproductionText(result: Reproduction, width: number): string {
  const { table, judgement, failures, warnings } = result;
  const { title, question, source, mark, scaling, limits } = table;
  const style = { 'agrees in shape': 'green', 'agrees in part': 'yellow' } as const;
  const colour = judgement.agreement === 'does not agree' ? 'red' : style[judgement.agreement];
  const parts = [
    `${paint('bold', wrapped(`${title}. ${question}`, width))}\n`,
    `${paint('dim', wrapped(`${source} (${MARKS[mark]})`, width))}\n`,
    figuresText(result),
    ...curvesText(result),
    `${paint(colour, wrapped(agreementText(result), width))}\n${findingsText(result, width)}`,
    ...section('Scaling', scaling, width),
    ...section('Limits', limits, width),
    ...section('Failed runs', failures, width),
    ...section('Warnings of runs', warnings, width),
  ];
  return parts.join('\n');
}

function figuresText(result: Reproduction): string {
  const { rowTitle, columns } = result.table;
  const right = (title: string): Column => ({ title, align: 'right' });
  const heads = [
    { title: rowTitle },
    { title: columns.length === 1 ? 'unit' : 'figure' },
    ...['published', 'ours', 'deviation'].map(right),
  ];
  return formatTable(heads, figureLines(result));
}

function curvesText(result: Reproduction): string[] {
  const rows = curvesOf(result).map(({ row, over, published, ours }) => {
    return [row, over, published ?? '–', ours];
  });
  if (rows.length === 0) return [];
  const titles = [result.table.rowTitle, 'curve over', 'published', 'ours'];
  return [
    formatTable(
      titles.map((title) => ({ title })),
      rows,
    ),
  ];
}

function findingsText({ judgement }: Reproduction, width: number): string {
  const lines = judgement.findings.map(({ asks, means, holds, because }) => {
    const sign = paint(holds ? 'green' : 'red', holds ? 'holds' : 'fails');
    const why = because === '' ? '' : `\n    ${wrapped(because, width - 4, '    ')}`;
    return `  ${sign}  ${wrapped(`${means} (${asks})`, width - 9, '    ')}${why}\n`;
  });
  return lines.join('');
}

function section(title: string, lines: readonly string[], width: number): string[] {
  if (lines.length === 0) return [];
  const texts = lines.map((line) => `  ${wrapped(line, width - 2, '  ')}\n`);
  return [`${paint('bold', title)}\n${texts.join('')}`];
}
