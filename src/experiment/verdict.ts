/**
 * One sentence that says what a comparison means, made from its numbers.
 *
 * True by construction: every clause is a comparison of two printed numbers, so "faster" is said
 * only where the printed numbers differ (hundredths of a slowdown). Over several workloads a policy
 * counts with the geometric mean of its slowdowns, and only where it finished on all of them.
 * Oracles are told as a bound and never win.
 */
import {
  type Comparison,
  failedRuns,
  hundredths,
  type MachineRecord,
  type PolicyRecord,
} from './comparison.ts';
import { formatSlowdown } from './format.ts';
import { nameList } from './nameList.ts';
import { geometricMean } from './statistics.ts';

/** What a policy does without deciding anything: others are measured against it. */
const DO_NOTHING = 'first-touch';

interface Score {
  readonly policy: PolicyRecord;
  readonly slowdown: number;
}

/** The scores on one machine: policies that finished on all its workloads. */
interface Standing {
  readonly machine: MachineRecord;
  /** Competitors, fastest first. */
  readonly scores: readonly Score[];
  readonly oracle: Score | null;
  readonly doNothing: Score | null;
}

/** The sentence; it ends with a full stop. */
export function verdictOf(comparison: Comparison): string {
  const standings = comparison.machines
    .map((machine, i) => standingOf(comparison, machine, i))
    .filter(({ scores }) => scores.length > 0);
  const failed = failureClause(comparison);
  if (standings.length === 0) return sentence([`no policy can be compared${failed}`]);
  const nrWorkloads = comparison.workloads.length;
  const clauses = standings.map((standing, i) => winnerClause(standing, i === 0, nrWorkloads));
  const losers = loserClause(comparison);
  return sentence(losers === '' ? clauses : [...clauses, losers], failed);
}

function sentence(clauses: readonly string[], end = ''): string {
  const text = `${clauses.join('; ')}${end}.`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function standingOf(comparison: Comparison, machine: MachineRecord, at: number): Standing {
  const groups = comparison.groups.filter((group) => group.machine === at);
  const scores = comparison.policies.flatMap((policy, i): Score[] => {
    const slowdowns = groups.map(({ outcomes }) => outcomes[i]!.slowdown?.median ?? null);
    const finished = slowdowns.filter((slowdown) => slowdown !== null);
    if (finished.length === 0 || finished.length < groups.length) return [];
    return [{ policy, slowdown: geometricMean(finished) }];
  });
  const bySpeed = scores
    .filter(({ policy }) => !policy.isOracle)
    .sort((a, b) => a.slowdown - b.slowdown);
  const oracles = scores.filter(({ policy }) => policy.isOracle);
  return {
    machine,
    scores: bySpeed,
    oracle: oracles.sort((a, b) => a.slowdown - b.slowdown)[0] ?? null,
    doNothing: bySpeed.find(({ policy }) => isDoNothing(policy)) ?? null,
  };
}

function isDoNothing({ name, params }: PolicyRecord): boolean {
  return name === DO_NOTHING && Object.keys(params).length === 0;
}

/** "over DRAM:CXL 1:2 hemem is fastest, at 1.07× the all-DRAM time, 12 % less than …". */
function winnerClause(standing: Standing, isFirst: boolean, nrWorkloads: number): string {
  const { machine, scores, oracle, doNothing } = standing;
  const best = scores.filter(({ slowdown }) => isLevel(slowdown, scores[0]!.slowdown));
  const names = nameList(best.map(({ policy }) => policy.label));
  const isAlone = scores.length === 1;
  let rank = 'is fastest';
  if (isAlone) rank = 'runs';
  else if (best.length === scores.length) rank = 'are level';
  else if (best.length > 1) rank = 'are fastest';
  const mean = isFirst && nrWorkloads > 1 ? ` (geometric mean of ${nrWorkloads} workloads)` : '';
  const unit = isFirst ? ' the all-DRAM time' : '';
  const time = `${formatSlowdown(scores[0]!.slowdown)}${unit}${mean}`;
  const parts = [`over ${machine.label} ${names} ${rank} at ${time}`];
  const gain = gainClause(best, doNothing);
  if (gain !== '') parts.push(gain);
  if (oracle !== null) parts.push(oracleClause(oracle, scores[0]!));
  return parts.join(', ');
}

/** How much less time than doing nothing; '' when doing nothing is among the best, or absent. */
function gainClause(best: readonly Score[], doNothing: Score | null): string {
  if (doNothing === null || best.includes(doNothing)) return '';
  const percent = Math.round(100 * (1 - best[0]!.slowdown / doNothing.slowdown));
  const what = percent < 1 ? 'under 1 %' : `${percent} %`;
  return `${what} less time than ${doNothing.policy.label}`;
}

function oracleClause(oracle: Score, best: Score): string {
  const { label } = oracle.policy;
  if (isLevel(oracle.slowdown, best.slowdown)) return `as the ${label} does`;
  const at = formatSlowdown(oracle.slowdown);
  const isBound = oracle.slowdown < best.slowdown;
  return isBound ? `with the ${label} at ${at}` : `ahead of the ${label} at ${at}`;
}

/**
 * Who is slower than doing nothing, and how often: counted in every case (a workload on a machine)
 * by itself, because a mean over workloads would hide some.
 */
function loserClause({ groups, policies }: Comparison): string {
  const base = policies.findIndex(isDoNothing);
  if (base < 0) return '';
  let nrCases = 0;
  const losses = new Map<PolicyRecord, number>();
  for (const { outcomes } of groups) {
    const least = outcomes[base]!.slowdown;
    const others = outcomes.filter(({ policy, slowdown }) => policy !== base && slowdown !== null);
    if (least === null || others.length === 0) continue;
    nrCases++;
    for (const { policy, slowdown } of others) {
      const loser = policies[policy]!;
      const isSlower = hundredths(slowdown!.median) > hundredths(least.median);
      if (isSlower) losses.set(loser, (losses.get(loser) ?? 0) + 1);
    }
  }
  if (nrCases === 0) return '';
  const { label } = policies[base]!;
  if (losses.size > 0) return losersText([...losses], label, groups.length);
  if (groups.length === 1) return `no policy is slower than ${label}`;
  const where = nrCases === groups.length ? 'in any case' : 'where both finished';
  return `no policy is slower than ${label} ${where}`;
}

/** "a is slower than first-touch in 2 of 6 cases and b in 1"; most often first. */
function losersText(
  losses: readonly (readonly [PolicyRecord, number])[],
  base: string,
  nrCases: number,
): string {
  const counts = [...new Set(losses.map(([, count]) => count))].sort((a, b) => b - a);
  const parts = counts.map((count, i) => {
    const labels = losses.flatMap(([policy, times]) => (times === count ? [policy.label] : []));
    const verb = labels.length > 1 ? 'are' : 'is';
    const where = count === nrCases ? `all ${nrCases}` : String(count);
    if (i > 0) return `${nameList(labels)} in ${where}`;
    if (nrCases === 1) return `${nameList(labels)} ${verb} slower than ${base}`;
    const cases = count === nrCases ? `${where} cases` : `${where} of ${nrCases} cases`;
    return `${nameList(labels)} ${verb} slower than ${base} in ${cases}`;
  });
  return nameList(parts);
}

function failureClause(comparison: Comparison): string {
  const failed = failedRuns(comparison).length;
  return failed === 0 ? '' : ` (${failed} of ${comparison.runs.length} runs failed)`;
}

function isLevel(a: number, b: number): boolean {
  return hundredths(a) === hundredths(b);
}
