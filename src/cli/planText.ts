/** What hetmem plan prints: policies, the verdict, knobs and settings, for each machine. */
import {
  cheapestOf,
  type DramPlan,
  formatBytes,
  formatShare,
  formatSlowdown,
  type PlannedPolicy,
} from '../experiment/index.ts';
import { formatTable } from './table.ts';

/** One plan as it is, several with the index of the cheapest. */
export function jsonOf(plans: readonly DramPlan[]): string {
  if (plans.length === 1) return JSON.stringify(plans[0]);
  return JSON.stringify({ format: 'plans/1', plans, cheapest: cheapestOf(plans) });
}

export function plansText(plans: readonly DramPlan[]): string {
  const parts = plans.map(planText);
  if (plans.length === 1) return parts[0]!;
  const cheapest = plans[cheapestOf(plans)];
  if (cheapest === undefined)
    return `${parts.join('\n')}\nNo machine is cheapest: prices are missing.\n`;
  const { policy, memory } = cheapest.policies[cheapest.best]!;
  const cost = `memory for ${priceText(memory.cost!)} with ${policy.label}`;
  return `${parts.join('\n')}\nCheapest: ${cheapest.machine}, ${cost}.\n`;
}

/** Everything that is printed for people. */
function planText(plan: DramPlan): string {
  const { fast, slow } = plan.tiers;
  const right = { align: 'right' as const };
  const hasPrices = plan.policies.some(({ memory }) => memory.cost !== null);
  const columns = [
    { title: 'policy' },
    { title: fast, align: 'right' as const },
    { title: `${fast} size`, align: 'right' as const },
    { title: `${slow} size`, align: 'right' as const },
    { title: 'slowdown', align: 'right' as const },
    { title: 'seeds that hold', align: 'right' as const },
    ...(hasPrices ? ['cost', 'of all-DRAM'].map((title) => ({ title, ...right })) : []),
  ];
  const rows = plan.policies.map((one, i) => {
    const { policy, smallest, memory } = one;
    const mark = i === plan.best ? ' *' : '';
    const { cost: price, costShare } = memory;
    const cost = hasPrices
      ? [price === null ? '–' : priceText(price), costShare === null ? '–' : formatShare(costShare)]
      : [];
    return [
      policy.label + mark,
      shareText(one),
      formatBytes(memory.fastBytes),
      formatBytes(memory.slowBytes),
      smallest === null ? '1.00×' : formatSlowdown(smallest.slowdown.median),
      smallest === null ? '–' : formatShare(smallest.confidence),
      ...cost,
    ];
  });
  const names = plan.workloads.map(({ name }) => name).join(', ');
  const bound = formatSlowdown(plan.bound);
  const title = `${names} on ${plan.machine}: least ${fast} for at most ${bound} of all-${fast}`;
  const parts = [title, '\n\n', formatTable(columns, rows), '\n', verdict(plan), warningText(plan)];
  const knobs = knobText(plan);
  if (knobs !== '') parts.push('\n', knobs);
  if (plan.settings.length > 0)
    parts.push(`\nTo set a machine up so:\n${plan.settings.join('\n')}\n`);
  if (hasPrices)
    parts.push('\nCosts are of memory alone, in what cost_per_gib of the machine file is in.\n');
  else parts.push('\nNo prices: give cost_per_gib to the nodes of the machine file.\n');
  return parts.join('');
}

/** Three figures at least; the currency is that of the machine file. */
function priceText(price: number): string {
  return price >= 100 ? price.toFixed(0) : price.toPrecision(3);
}

/** "≤" where nothing smaller was tried. */
function shareText({ smallest, tried }: PlannedPolicy): string {
  if (smallest === null) return 'all';
  return `${smallest.share === tried[0]!.share ? '≤ ' : ''}${formatShare(smallest.share)}`;
}

function verdict(plan: DramPlan): string {
  const { fast } = plan.tiers;
  const best: PlannedPolicy | undefined = plan.policies[plan.best];
  if (best === undefined) {
    return `No policy holds the bound with less ${fast} than the programs touch.\n`;
  }
  const oracle = plan.policies.find(({ isOracle }) => isOracle);
  const bound = oracle === undefined ? '' : `; an oracle would need ${shareText(oracle)}`;
  return (
    `* ${best.policy.label} needs ${shareText(best)} of the footprint in ${fast} ` +
    `(to within ${formatShare(plan.resolution)})${bound}.\n`
  );
}

/** Policies whose figures say nothing of them, since they moved nothing. */
function warningText({ policies }: DramPlan): string {
  const lines = policies.flatMap(({ policy, smallest, tried }) => {
    const { warnings } = smallest ?? tried[tried.length - 1]!;
    return warnings.map((warning) => `Beware: ${policy.label}: ${warning}\n`);
  });
  return lines.length === 0 ? '' : `\n${lines.join('')}`;
}

function knobText({ sensitivity, policies, best }: DramPlan): string {
  if (sensitivity.length === 0) return '';
  const at = policies[best]!.smallest!.slowdown.median;
  const rows = sensitivity.map(({ knob, value, initial, slowdown }) => [
    knob,
    String(initial),
    String(value),
    slowdown === null ? 'failed' : formatSlowdown(slowdown),
  ]);
  const columns = [
    { title: 'knob' },
    { title: 'is', align: 'right' as const },
    { title: 'if', align: 'right' as const },
    { title: `slowdown (${formatSlowdown(at)})`, align: 'right' as const },
  ];
  return formatTable(columns, rows);
}
