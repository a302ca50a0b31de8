/**
 * docs/published.md: every table with what was published, ours, and which rules of shape hold.
 * Made of results alone (`npm run published`), so it says what this version of the model does.
 */
import { curvesOf } from './curves.ts';
import type { Reproduction } from './reproduction.ts';
import { agreementText, figureLines, MARKS } from './words.ts';

export const PUBLISHED_DOCUMENT = 'docs/published.md';

export function publishedDocument(results: readonly Reproduction[]): string {
  return `${[
    '# Published tables, reproduced',
    'Figures of papers, mails and commits beside those of the model, made by ' +
      '`npm run published`. ' +
      'Machines have hardware figures of the field, programs have ' +
      'knobs from the sources, and both stand in `experiments/published/`. Each table has rules ' +
      'of shape (orders, ratios), taken from the sources; they hold on the published figures ' +
      'themselves, or the file is refused. A table **agrees in shape** when all of them hold on ' +
      'ours. Where one fails, the reason that is given for it is followed by what our figures do ' +
      'if it is true, and whether they do (*shown*). What was chosen with a published figure in ' +
      'view, a constant of the model or a size, is named in scaling and limits. ' +
      '`hetmem published NAME` runs one.',
    'Marks of sources: **V** read in the source, **R** recalled and not confirmed, **C** ' +
      'computed from figures that were read.',
    summary(results),
    ...results.map(publishedSection),
  ].join('\n\n')}\n`;
}

function summary(results: readonly Reproduction[]): string {
  const rows = results.map((result) => {
    const { name, title, mark } = result.table;
    return `| [${name}](#${name}) | ${title} | ${mark} | ${agreementText(result)} |`;
  });
  return ['| table | what | mark | verdict |', '|---|---|---|---|', ...rows].join('\n');
}

export function publishedSection(result: Reproduction): string {
  const { table, failures, warnings } = result;
  const { name, title, question, source, mark, scaling, limits } = table;
  return [
    `## ${name}`,
    `**${title}.** ${question}`,
    `Source: ${source} (${mark}: ${MARKS[mark]}).`,
    figureTable(result),
    ...curveTable(result),
    `**${agreementText(result)}.**`,
    findings(result),
    ...(scaling.length === 0 ? [] : [`Scaling: ${scaling.join(' ')}`]),
    ...(limits.length === 0 ? [] : [`Limits: ${limits.join(' ')}`]),
    ...(failures.length === 0 ? [] : [`Failed runs:\n\n${list(failures)}`]),
    ...(warnings.length === 0 ? [] : [`Warnings of runs:\n\n${list(warnings)}`]),
  ].join('\n\n');
}

function figureTable(result: Reproduction): string {
  const { table } = result;
  const of = table.columns.length === 1 ? 'unit' : 'figure';
  const head = [table.rowTitle, of, 'published', 'ours', 'deviation'];
  const lines = figureLines(result).map((line) => `| ${line.join(' | ')} |`);
  const title = `| ${head.join(' | ')} |`;
  return [title, '|---|---|---:|---:|---:|', ...lines].join('\n');
}

function curveTable(result: Reproduction): string[] {
  const curves = curvesOf(result);
  if (curves.length === 0) return [];
  const lines = curves.map(({ row, over, published, ours }) => {
    return `| ${row} | ${over} | ${published ?? '–'} | ${ours} |`;
  });
  const head = `| ${result.table.rowTitle} | curve over | published | ours |`;
  return [[head, '|---|---|---|---|', ...lines].join('\n')];
}

function findings({ judgement }: Reproduction): string {
  const lines = judgement.findings.map(({ asks, means, holds, because }) => {
    const sign = holds ? 'holds' : '**fails**';
    const why = because === '' ? '' : ` – ${because}`;
    return `${sign}: ${means} (${asks})${why}`;
  });
  return list(lines);
}

function list(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n');
}
