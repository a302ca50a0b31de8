/**
 * The whole comparison in one table: slowdowns by policy and group, the best of each group marked,
 * with a bar from 1× for the eye.
 */
import {
  type Comparison,
  formatSlowdown,
  type GroupRecord,
  type PolicyOutcome,
} from '../experiment/index.ts';
import { fixed } from './bars.ts';
import { element, html, type Markup } from './html.ts';
import { scrolled } from './tables.ts';

export function glance(comparison: Comparison): Markup {
  const { groups, policies, seeds } = comparison;
  const largest = largestExcess(groups);
  const rows = policies.map(({ label, isOracle }, i) => {
    const bound = isOracle ? html`<span class="sub">knows the future</span>` : null;
    const cells = groups.map(({ outcomes }) => cell(outcomes[i]!, largest));
    const head = html`<th scope="row">${label}${bound}</th>`;
    return element('tr', { class: isOracle ? 'bound' : null }, head, cells);
  });
  const title = 'Slowdown against all-DRAM';
  const note = seeds.length > 1 ? `Median of ${seeds.length} seeds, least and most below it. ` : '';
  const hasBest = groups.some(({ outcomes }) => outcomes.some(({ isBest }) => isBest));
  const marked = hasBest ? 'The best of each column, to the hundredth, is marked.' : '';
  return html`<section id="glance"><h2>At a glance</h2>
<h4>${title} <span class="muted">· 1.00× is the time with enough fast memory</span></h4>
${scrolled(
  title,
  html`<table class="glance"><thead>${headRows(comparison)}</thead>
<tbody>${rows}</tbody></table>`,
)}
<p class="muted">${note}${marked}</p></section>`;
}

/** Workloads above their machines. */
function headRows({ groups, workloads, machines }: Comparison): Markup {
  const spans: { workload: number; colspan: number }[] = [];
  for (const { workload } of groups) {
    const last = spans.at(-1);
    if (last?.workload === workload) last.colspan++;
    else spans.push({ workload, colspan: 1 });
  }
  const above = spans.map(({ workload, colspan }) =>
    element('th', { scope: 'colgroup', colspan, class: 'workload' }, workloads[workload]!.name),
  );
  const heads = groups.map(({ machine }) =>
    element('th', { scope: 'col' }, machines[machine]!.label),
  );
  return html`<tr><td></td>${above}</tr>
<tr><th scope="col">policy</th>${heads}</tr>`;
}

function cell({ slowdown, isBest, runs }: PolicyOutcome, largest: number): Markup {
  if (slowdown === null) return html`<td class="failed">failed</td>`;
  const { median, min, max, count } = slowdown;
  const range = count > 1 ? `${min.toFixed(2)}–${max.toFixed(2)}` : null;
  const missing = runs.length > count ? `${runs.length - count} failed` : null;
  const below = [range, missing].filter((text) => text !== null);
  const tag = isBest ? html`<span class="tag">best</span>` : null;
  return element(
    'td',
    { class: isBest ? 'best' : null },
    html`<span class="value">${formatSlowdown(median)}${tag}</span>`,
    excessBar((median - 1) / largest),
    below.map((text) => html`<span class="sub">${text}</span>`),
  );
}

/** How far above 1×, as a share of the largest of the table. */
function excessBar(share: number): Markup {
  const width = `${fixed(100 * Math.max(0, share))}%`;
  const bar = { height: 5, rx: 2.5 };
  return element(
    'svg',
    { class: 'excess', width: '100%', height: 5, 'aria-hidden': 'true' },
    element('rect', { class: 'excess-ground', width: '100%', ...bar }),
    element('rect', { class: 'excess-bar', width, ...bar }),
  );
}

function largestExcess(groups: readonly GroupRecord[]): number {
  const medians = groups.flatMap(({ outcomes }) =>
    outcomes.map(({ slowdown }) => (slowdown?.median ?? 1) - 1),
  );
  return Math.max(0.01, ...medians);
}
