/** What control groups had of the machine, a table below that of their comparison's group. */
import { PAGE_SIZE } from '../base/units.ts';
import {
  allDramRun,
  type CgroupResult,
  type Comparison,
  cgroupName,
  cgroupSlowdown,
  fastShare,
  formatBytes,
  formatCount,
  formatNs,
  formatShare,
  type GroupRecord,
} from '../experiment/index.ts';
import { fitted, formatTable, type RankedColumn } from './table.ts';

interface ShareColumn extends RankedColumn {
  readonly cell: (cgroup: CgroupResult) => string;
}

const right = { align: 'right' as const };

/** Behind policy, group and slowdown. */
const COLUMNS: readonly ShareColumn[] = [
  { title: 'hits', rank: 0, ...right, cell: (one) => formatShare(one.toptierHitRatio) },
  { title: 'memory', rank: 3, ...right, cell: memoryText },
  { title: 'of it fast', rank: 0, ...right, cell: fastShare },
  { title: 'promoted', rank: 2, ...right, cell: (one) => formatCount(one.promotedPages) },
  { title: 'demoted', rank: 4, ...right, cell: (one) => formatCount(one.demotedPages) },
  { title: 'major faults', rank: 5, ...right, cell: (one) => formatCount(one.majorFaults) },
  { title: 'done after', rank: 1, ...right, cell: (one) => formatNs(one.endNs) },
];

/** '' where no program was in a group. Of several seeds the median run. */
export function cgroupText(comparison: Comparison, group: GroupRecord, widthMax: number): string {
  const { runs, policies } = comparison;
  const lines = group.outcomes.flatMap(({ policy, representative }) => {
    const result = runs[representative]?.result ?? null;
    if (result === null) return [];
    const alone = allDramRun(comparison, group, result.seed);
    return result.cgroups.map((cgroup, i) => {
      const label = i === 0 ? policies[policy]!.label : '';
      return { cgroup, head: [label, cgroupName(cgroup), cgroupSlowdown(cgroup, alone)] };
    });
  });
  if (lines.length === 0) return '';
  const heads = [{ title: 'policy' }, { title: 'cgroup' }, { title: 'slowdown', ...right }];
  const build = (shown: readonly ShareColumn[]) => {
    const rows = lines.map(({ cgroup, head }) => [
      ...head,
      ...shown.map(({ cell }) => cell(cgroup)),
    ]);
    return formatTable([...heads, ...shown], rows);
  };
  return `\n${fitted(COLUMNS, build, widthMax)}`;
}

function memoryText({ residentPagesMean }: CgroupResult): string {
  return formatBytes(residentPagesMean * PAGE_SIZE);
}
