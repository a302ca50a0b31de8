/**
 * Why pages did not move, of one group: each cause with its pages under every policy, the rule,
 * what would free such pages, and examples. hetmem why says the same of a saved state.
 */
import { type FailureReason, formatCount, type RunResult } from '../experiment/index.ts';
import { html, type Markup } from './html.ts';
import { scrolled } from './tables.ts';

interface Row {
  readonly label: string;
  readonly result: RunResult;
}

/** Nothing when every page moved that should. */
export function whyTable(rows: readonly Row[]): Markup {
  const reasons = reasonsOf(rows);
  if (reasons.length === 0) return html``;
  const title = 'Why pages did not move, in pages of 4 KiB';
  const heads = rows.map(({ label }) => html`<th scope="col">${label}</th>`);
  const lines = reasons.map(({ cause }) => {
    const cells = rows.map(({ result }) => {
      const pages = result.migration.failures[cause] ?? 0;
      return html`<td>${pages === 0 ? '–' : formatCount(pages)}</td>`;
    });
    return html`<tr><th scope="row">${cause}</th>${cells}</tr>
`;
  });
  return html`<h4>${title}</h4>
${scrolled(
  title,
  html`<table><thead><tr><th scope="col">cause</th>${heads}</tr></thead>
<tbody>${lines}</tbody></table>`,
)}
<ul class="why">${reasons.map(reasonItem)}</ul>`;
}

function reasonItem({ cause, rules, sentence, remedy, examples }: FailureReason): Markup {
  const told = rules === '' ? sentence : `${sentence} (${rules})`;
  return html`<li><b>${cause}</b>: ${told}.
${remedy === '' ? null : html`<p>To free them: ${remedy}.</p>`}
${examples.map((example) => html`<p class="muted">${example}</p>`)}
</li>
`;
}

/** One reason a cause, with the examples of the first policy that has some; most pages first. */
function reasonsOf(rows: readonly Row[]): FailureReason[] {
  const found = new Map<string, FailureReason>();
  for (const { result } of rows) {
    for (const reason of result.migration.reasons) {
      const known = found.get(reason.cause);
      if (known === undefined || known.examples.length === 0) found.set(reason.cause, reason);
    }
  }
  const pages = ({ cause }: FailureReason) =>
    rows.reduce((sum, { result }) => sum + (result.migration.failures[cause] ?? 0), 0);
  return [...found.values()].sort((a, b) => pages(b) - pages(a));
}
