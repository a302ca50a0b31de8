/** What `hetmem conform` prints: per case the first step that differs, totals by group. */
import type { CaseDifference, CaseResult } from '../conform/index.ts';
import { caseOnVersion, type Deviation } from './caseFiles.ts';
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
    deviation:
      result.status === 'failed' ? (known.deviations.get(caseOnVersion(result)) ?? null) : null,
  }));
  const parts = { kernels: by(results, 'kernel'), groups: by(results, 'group') };
  const deviations = cases.filter((one) => one.deviation !== null).length;
  return { ...totals(results), known_deviations: deviations, ...parts, cases };
}

export function caseReport(
  results: readonly CaseResult[],
  known: Known,
  isVerbose: boolean,
): string {
  const kernels = Object.entries(by(results, 'kernel'));
  const isMany = kernels.length > 1;
  const out = results.flatMap((result) => {
    const name = isMany ? caseOnVersion(result) : result.id;
    return caseLines(result, name, known, isVerbose);
  });
  const parts = out.length > 0 ? [`${out.join('\n')}\n\n`] : [];
  if (isMany) parts.push(totalsTable('kernel', kernels));
  if (results.length > 0) parts.push(totalsTable('group', Object.entries(by(results, 'group'))));
  const all = totals(results);
  const deviates = results.filter(
    (result) => result.status === 'failed' && known.deviations.has(caseOnVersion(result)),
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

function by(
  results: readonly CaseResult[],
  what: 'group' | 'kernel',
): Readonly<Record<string, Totals>> {
  const names = [...new Set(results.map((result) => result[what]))];
  const entries = names.map((name) => {
    return [name, totals(results.filter((result) => result[what] === name))] as const;
  });
  return Object.fromEntries(entries);
}

function totalsTable(what: string, parts: readonly (readonly [string, Totals])[]): string {
  const titles = [what, 'passed', 'failed', 'skipped'].map((title) => ({ title }));
  const rows = parts.map(([name, sum]) => [name, sum.passed, sum.failed, sum.skipped]);
  return `${formatTable(titles, rows)}\n`;
}

/** `name`: the case, with its version where several ran. */
function caseLines(result: CaseResult, name: string, known: Known, isVerbose: boolean): string[] {
  const { id, status, difference, other, error } = result;
  const rules = known.rules[id];
  if (error !== null) {
    const what = error.kind === 'input' ? 'wrong input' : 'a bug in hetmem';
    return [`FAILED  ${name}: ${what}`, `  ${error.message}`];
  }
  if (difference !== null) {
    const deviation = known.deviations.get(caseOnVersion(result));
    if (deviation === undefined) return [`FAILED  ${name}`, ...differenceLines(difference, rules)];
    return [
      `DEVIATES ${name}: known deviation: ${deviation.reason}`,
      ...differenceLines(difference, rules),
      `    remedy   ${deviation.remedy}`,
    ];
  }
  if (!isVerbose) return [];
  if (status === 'skipped') return [`skipped ${name}: ${result.reason}`];
  return other === null ? [] : [`other   ${name} (racy)`, ...differenceLines(other, rules)];
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
