/**
 * What our figures say beside the published ones: deviations, and which rules of shape hold. A
 * function of the figures alone: published figures go through the same rules before anything runs.
 */
import {
  type CellRef,
  type Claim,
  cellName,
  type PublishedTable,
  type ShapeRule,
} from './publishedTable.ts';

/** [row][column]; null = not published, or the run failed. */
export type Figures = readonly (readonly (number | null)[])[];

export interface RuleFinding {
  /** The rule as a sentence about figures. */
  readonly asks: string;
  readonly means: string;
  readonly holds: boolean;
  /** The figures that decided, and why it fails where that is known. */
  readonly because: string;
  /** Whether our figures bear that reason out; null where nothing fails, or they cannot. */
  readonly shown: boolean | null;
}

export type Agreement = 'agrees in shape' | 'agrees in part' | 'does not agree';

export interface Judgement {
  readonly agreement: Agreement;
  readonly findings: readonly RuleFinding[];
  /** Ours over published, minus one; [row][column]; null where either is missing or 0. */
  readonly deviations: Figures;
  /** Median of their sizes; null without any. */
  readonly medianDeviation: number | null;
}

export function judge(table: PublishedTable, ours: Figures): Judgement {
  const findings = table.rules.map((rule) => findingOf(table, rule, ours));
  const deviations = table.rows.map(({ published }, row) => {
    return published.map((figure, column) => {
      const own = ours[row]?.[column] ?? null;
      // What all figures of the column are relative to is 1 on both sides and says nothing.
      const isUnit = table.rows[row]!.name === table.columns[column]!.relativeTo;
      if (figure === null || own === null || figure === 0 || isUnit) return null;
      return own / figure - 1;
    });
  });
  const held = findings.filter(({ holds }) => holds).length;
  return {
    agreement: agreementOf(held, findings.length),
    findings,
    deviations,
    medianDeviation: medianSize(deviations.flat()),
  };
}

function agreementOf(held: number, all: number): Agreement {
  if (held === all) return 'agrees in shape';
  return held === 0 ? 'does not agree' : 'agrees in part';
}

function medianSize(deviations: readonly (number | null)[]): number | null {
  const sizes = deviations.filter((one) => one !== null).map(Math.abs);
  sizes.sort((a, b) => a - b);
  return sizes[Math.floor(sizes.length / 2)] ?? null;
}

function findingOf(table: PublishedTable, rule: ShapeRule, ours: Figures): RuleFinding {
  const broken = brokenBy(table, rule, ours);
  const asks = claimText(table, rule);
  const { means, whyNot } = rule;
  if (broken === '') return { asks, means, holds: true, because: '', shown: null };
  const shown = rule.shownBy === null ? null : brokenBy(table, rule.shownBy, ours) === '';
  const why = whyNot === '' ? '' : `. ${whyNot}${shownText(table, rule, ours)}`;
  return { asks, means, holds: false, because: `${broken}${why}`, shown };
}

/** What the reason rests on, and whether our figures bear it out. */
function shownText(table: PublishedTable, { shownBy }: ShapeRule, ours: Figures): string {
  if (shownBy === null) return '';
  const broken = brokenBy(table, shownBy, ours);
  const asks = claimText(table, shownBy);
  return broken === '' ? ` Shown: ${asks}.` : ` Not shown: ${asks}, but ${broken}.`;
}

/** The first thing in `figures` that the rule forbids, in words; '' = it holds. */
export function brokenBy(table: PublishedTable, rule: Claim, figures: Figures): string {
  const at = ({ row, column }: CellRef) => figures[row]?.[column] ?? null;
  const missing = rule.cells.find((cell) => at(cell) === null);
  if (missing !== undefined) return `there is no figure of ${cellName(table, missing)}`;
  const values = rule.cells.map((cell) => at(cell)!);
  switch (rule.kind) {
    case 'falls':
    case 'rises':
      return wrongStep(table, rule, values);
    case 'ratio': {
      const ratio = values[0]! / values[1]!;
      const [low, high] = rule.between;
      return ratio >= low && ratio <= high ? '' : `it is ${short(ratio)}`;
    }
    case 'near':
      return tooFar(table, rule, values);
  }
}

function wrongStep(table: PublishedTable, rule: Claim, values: readonly number[]): string {
  const factor = rule.kind === 'falls' ? 1 - rule.by : 1 + rule.by;
  for (let i = 1; i < values.length; i++) {
    const [before, value] = [values[i - 1]!, values[i]!];
    const isRight = rule.kind === 'falls' ? value <= before * factor : value >= before * factor;
    if (isRight) continue;
    const [a, b] = [rule.cells[i - 1]!, rule.cells[i]!].map((cell) => cellName(table, cell));
    return `${a} ${short(before)}, ${b} ${short(value)}`;
  }
  return '';
}

function tooFar(table: PublishedTable, rule: Claim, values: readonly number[]): string {
  for (const [i, value] of values.entries()) {
    const cell = rule.cells[i]!;
    const published = table.rows[cell.row]!.published[cell.column] ?? null;
    if (published === null) return `${cellName(table, cell)} is not published`;
    if (Math.abs(value / published - 1) <= rule.by) continue;
    return `${cellName(table, cell)}: ${short(value)} for ${short(published)}`;
  }
  return '';
}

/** In words. */
export function claimText(table: PublishedTable, rule: Claim): string {
  const names = rule.cells.map((cell) => cellName(table, cell));
  const percent = `${short(100 * rule.by)} %`;
  switch (rule.kind) {
    case 'falls':
    case 'rises': {
      const step = rule.by === 0 ? '' : ` by ${percent} or more each`;
      return `${rule.kind}${step}: ${names.join(', ')}`;
    }
    case 'ratio':
      return `${names[0]} over ${names[1]}: ${rule.between.map(short).join(' to ')}`;
    case 'near':
      return `within ${percent} of what was published: ${names.join(', ')}`;
  }
}

/** Three significant digits, whole numbers from 1000 on. */
export function short(value: number): string {
  if (value === 0 || Math.abs(value) >= 1000) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}
