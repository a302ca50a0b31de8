/**
 * Known findings that may stay for a while. A debt has an owner (the folder whose README or next
 * change pays it) and a reason; one that is paid must be removed from here.
 */
import type { Finding } from './project.ts';

export interface Debt {
  /** The rule's name in tidy.test.ts. */
  readonly rule: string;
  readonly path: string;
  /** Part of the message, when the file has findings of this rule that are no debts. */
  readonly about?: string;
  readonly owner: string;
  readonly reason: string;
}

export const DEBTS: readonly Debt[] = [
  {
    rule: 'function-length',
    path: 'src/sim/replayLoop.ts',
    about: 'a function of',
    owner: 'sim',
    reason: 'the hot loop is one function: a call per group of runs costs a third of its speed',
  },
];

/** The findings that are no debts, and a finding for each debt of this rule that is paid. */
export function withoutDebts(
  rule: string,
  findings: readonly Finding[],
  debts: readonly Debt[] = DEBTS,
): Finding[] {
  const own = debts.filter((debt) => debt.rule === rule);
  const rest = findings.filter((finding) => !own.some((debt) => covers(debt, finding)));
  const paid = own.filter((debt) => !findings.some((finding) => covers(debt, finding)));
  return [
    ...rest,
    ...paid.map((debt) => ({
      path: 'test/tidy/debts.ts',
      line: 1,
      message: `the debt of ${debt.path} (${rule}) is paid: remove it from the list`,
    })),
  ];
}

function covers(debt: Debt, finding: Finding): boolean {
  return debt.path === finding.path && finding.message.includes(debt.about ?? '');
}
