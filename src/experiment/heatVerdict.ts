/**
 * One sentence that says what an observation means, where every policy only looks on through a heat
 * source (hetmem heat): which source finds the largest share of the hot pages and what it costs,
 * which costs least and what it finds. True by construction: only printed numbers are compared.
 */
import type { Comparison } from './comparison.ts';
import { formatShare } from './format.ts';
import { nameList } from './nameList.ts';

const OBSERVER = 'observe';

/** Means over the runs of a source. */
interface Sight {
  readonly label: string;
  readonly recall: number;
  /** Time of programs and of background CPUs, as a share of the run. */
  readonly cost: number;
}

/** Nobody migrates: speeds are not what is compared. */
export function isObservation({ policies }: Pick<Comparison, 'policies'>): boolean {
  return policies.length > 0 && policies.every(({ name }) => name === OBSERVER);
}

/** The sentence; sources without a finished run are left out. */
export function heatVerdict(comparison: Comparison): string {
  const sights = comparison.policies.flatMap(({ label }, i) => sightOf(comparison, label, i));
  if (sights.length === 0) return 'No source finished a run.';
  const top = Math.max(...sights.map(({ recall }) => recall));
  if (top === 0) {
    return sights.length === 1
      ? `${listOf(sights)} found no hot page.`
      : 'No source found a hot page.';
  }
  const least = Math.min(...sights.map(({ cost }) => cost));
  const best = sights.filter(({ recall }) => formatShare(recall) === formatShare(top));
  const cheap = sights.filter(({ cost }) => formatShare(cost) === formatShare(least));
  const finds = best.length === 1 ? 'finds' : 'find';
  const found =
    sights.length === 1
      ? `${listOf(best)} finds ${formatShare(top)} of the hot pages`
      : `${listOf(best)} ${finds} the largest share of the hot pages, ${formatShare(top)}`;
  const price = nameList(best.map(({ cost }) => formatShare(cost)));
  const clauses = [`${found}, for ${price} of a CPU`];
  if (best.length === 1 && cheap.length === 1 && best[0] === cheap[0]) {
    return `${clauses[0]}${sights.length === 1 ? '' : ', the least'}.`;
  }
  if (best.length === sights.length) return `${clauses[0]}.`;
  const costs = cheap.length === 1 ? 'costs' : 'cost';
  const seen = nameList(cheap.map(({ recall }) => formatShare(recall)));
  clauses.push(`${listOf(cheap)} ${costs} least, ${formatShare(least)}, for ${seen}`);
  return `${clauses.join('; ')}.`;
}

function listOf(sights: readonly Sight[]): string {
  return nameList(sights.map(({ label }) => label));
}

function sightOf({ runs }: Comparison, label: string, policy: number): Sight[] {
  const seen = runs.flatMap(({ policy: own, result }) => {
    if (own !== policy || result === null || result.heat === null) return [];
    const { recall, costNs } = result.heat;
    return [{ recall, cost: costNs / result.time.totalNs }];
  });
  if (seen.length === 0) return [];
  const mean = (of: (one: (typeof seen)[number]) => number): number => {
    return seen.reduce((sum, one) => sum + of(one), 0) / seen.length;
  };
  return [{ label, recall: mean(({ recall }) => recall), cost: mean(({ cost }) => cost) }];
}
