/** What `hetmem conform` prints: per case the first step that differs, totals by group. */
import type { CaseDifference, CaseResult } from '../conform/index.ts';
import type { Deviation } from './caseFiles.ts';
import { formatTable } from './table.ts';

/** What is known of cases besides their results. */
export interface Known {
  /** Rule ids by case. */
  readonly rules: Readonly<Record<string, string>>;
  readonly deviations: ReadonlyMap<string, Deviation>;
}

interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function conformJson(results: readonly CaseResult[], known: Known): object {
  const cases = results.map((result) => ({
    ...result,
    rules: known.rules[result.id] ?? result.difference?.rules ?? '',
    deviation: result.status === 'failed' ? (known.deviations.get(result.id) ?? null) : null,
  }));
  const deviations = cases.filter((one) => one.deviation !== null).length;
  return { ...totals(results), known_deviations: deviations, groups: byGroup(results), cases };
}

export function caseReport(
  results: readonly CaseResult[],
  known: Known,
  isVerbose: boolean,
): string {
  const out = results.flatMap((result) => caseLines(result, known, isVerbose));
  const parts = out.length > 0 ? [`${out.join('\n')}\n\n`] : [];
  const rows = Object.entries(byGroup(results)).map(([group, total]) => {
    return [group, total.passed, total.failed, total.skipped];
  });
  const titles = ['group', 'passed', 'failed', 'skipped'].map((title) => ({ title }));
  if (rows.length > 0) parts.push(`${formatTable(titles, rows)}\n`);
  const all = totals(results);
  const deviates = results.filter(
    ({ id, status }) => status === 'failed' && known.deviations.has(id),
  ).length;
  if (deviates > 0) {
    parts.push(`${deviates} of the ${all.failed} failed: known deviations (deviations.json)\n`);
  }
  parts.push(`${all.passed} passed, ${all.failed} failed, ${all.skipped} skipped\n`);
  return parts.join('');
}

function totals(results: readonly CaseResult[]): Totals {
  const of = (status: string) => results.filter((result) => result.status === status).length;
  return { passed: of('passed'), failed: of('failed'), skipped: of('skipped') };
}

function byGroup(results: readonly CaseResult[]): Record<string, Totals> {
  const groups = [...new Set(results.map((result) => result.group))];
  const entries = groups.map((group) => {
    return [group, totals(results.filter((result) => result.group === group))] as const;
  });
  return Object.fromEntries(entries);
}

function caseLines(result: CaseResult, known: Known, isVerbose: boolean): string[] {
  const { id, status, difference, other, error } = result;
  const rules = known.rules[id];
  if (error !== null) {
    const what = error.kind === 'input' ? 'wrong input' : 'a bug in hetmem';
    return [`FAILED  ${id}: ${what}`, `  ${error.message}`];
  }
  if (difference !== null) {
    const deviation = known.deviations.get(id);
    if (deviation === undefined) return [`FAILED  ${id}`, ...differenceLines(difference, rules)];
    return [
      `DEVIATES ${id}: known deviation: ${deviation.reason}`,
      ...differenceLines(difference, rules),
      `    remedy   ${deviation.remedy}`,
    ];
  }
  if (!isVerbose) return [];
  if (status === 'skipped') return [`skipped ${id}: ${result.reason}`];
  return other === null ? [] : [`other   ${id} (racy)`, ...differenceLines(other, rules)];
}

/** Where the model and Linux part. `ofCase`: rules of the case, if the index knows it. */
function differenceLines(difference: CaseDifference, ofCase: string | undefined): string[] {
  const { step, what, field } = difference;
  const where = step < 0 ? what : `step ${step}, ${what}`;
  const rules = ofCase ?? difference.rules;
  return [
    `  ${where}: ${field}`,
    `    expected ${JSON.stringify(difference.expected)}`,
    `    got      ${JSON.stringify(difference.got)}`,
    ...(rules === '' ? [] : [`    rules    ${rules}`]),
    ...difference.account.map((line) => `    model    ${line}`),
  ];
}
