/**
 * /proc/PID/numa_maps (fs/proc/task_mmu.c: show_numa_map; mm/mempolicy.c: mpol_to_str). HS-26.
 *
 * Pages count where they are present and have a page: not the zero page, not reserved ones; of
 * hugetlb areas each huge page counts as one.
 */
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { nodeList } from '../hw/index.ts';
import {
  type Kernel,
  type Mempolicy,
  PG_ACTIVE,
  PG_DIRTY,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
  presentPage,
  pteIsDirty,
  pteIsPresent,
  type Task,
  VM_GROWSDOWN,
  VM_HUGETLB,
  type Vma,
  vmaPolicy,
} from '../mm/index.ts';
import {
  MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
  MPOL_MODE_FLAGS,
} from '../uapi/mempolicy.ts';
import { isHeap } from './maps.ts';
import { vmaPageSize, walkVmaEntries } from './vmaEntries.ts';

/** By mode number (policy_modes). */
const MODE_NAMES = [
  'default',
  'prefer',
  'bind',
  'interleave',
  'local',
  'prefer (many)',
  'weighted interleave',
] as const;

/** One line. Counts in pages; those that are not printed are missing. */
export interface NumaMapsArea {
  /** First address in bytes. */
  readonly start: number;
  readonly policy: string;
  /** `file=...`, `heap`, `stack`, or ''. */
  readonly what: string;
  /** anon, dirty, mapped, mapmax, swapcache, active, writeback, N0..., kernelpagesize_kB. */
  readonly counts: ReadonlyMap<string, number>;
}

/** A policy as mpol_to_str prints it: `bind:1`, `interleave=static:0-2`. */
export function policyText(policy: Mempolicy | null): string {
  if (policy === null) return 'default';
  const names: string[] = [];
  if ((policy.flags & MPOL_F_STATIC_NODES) !== 0) names.push('static');
  else if ((policy.flags & MPOL_F_RELATIVE_NODES) !== 0) names.push('relative');
  if ((policy.flags & MPOL_F_NUMA_BALANCING) !== 0) names.push('balancing');
  const flags = (policy.flags & MPOL_MODE_FLAGS) !== 0 ? `=${names.join('|')}` : '';
  const nodes = policy.nodes === 0 ? '' : `:${nodeList(policy.nodes)}`;
  return `${MODE_NAMES[policy.mode]}${flags}${nodes}`;
}

/** The lines of a process, one an area. Preconditions: the task has an address space. */
export function numaMapsOf(k: Kernel, task: Task): NumaMapsArea[] {
  return task.mm!.vmas.map((vma) => ({
    start: vma.start * PAGE_SIZE,
    policy: policyText(vmaPolicy(vma, vma.start) ?? task.policy),
    what: whatOf(vma),
    counts: countsOf(k, vma),
  }));
}

function whatOf(vma: Vma): string {
  const huge = vma.has(VM_HUGETLB) ? ' huge' : '';
  if (vma.file !== null && vma.file.kind !== 'vdso') {
    return `file=${escaped(vma.file.name)}${huge}`;
  }
  if (isHeap(vma)) return 'heap';
  return vma.has(VM_GROWSDOWN) ? 'stack' : '';
}

/** seq_file_path with these characters to escape, in octal. */
function escaped(name: string): string {
  return name.replace(
    /[\n\t= \\]/g,
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

/** gather_stats over the area. */
function countsOf(k: Kernel, vma: Vma): Map<string, number> {
  const { frames, folios } = k;
  const n = { pages: 0, anon: 0, dirty: 0, mapmax: 0, swapcache: 0, active: 0, writeback: 0 };
  const nodes = new Map<number, number>();
  const isHugetlb = vma.has(VM_HUGETLB);
  const gather = (page: number, isDirty: boolean) => {
    const head = frames.headOf(page);
    const flags = frames.flags[head];
    n.pages++;
    if (isDirty || (flags & PG_DIRTY) !== 0) n.dirty++;
    if ((flags & PG_SWAPCACHE) !== 0) n.swapcache++;
    if ((flags & (PG_ACTIVE | PG_UNEVICTABLE)) !== 0) n.active++;
    if ((flags & PG_WRITEBACK) !== 0) n.writeback++;
    if (folios.isAnon(head)) n.anon++;
    n.mapmax = Math.max(n.mapmax, folios.pageMapcount(page));
    const nid = k.pm.nidOf(page);
    nodes.set(nid, (nodes.get(nid) ?? 0) + 1);
  };
  walkVmaEntries(k, vma, {
    hole: () => {},
    entry: (word, byte, _vpn, nr) => {
      const page = pteIsPresent(word) ? presentPage(k, word, byte) : -1;
      if (page < 0 || k.pm.isReserved(page)) return;
      const counted = isHugetlb ? 1 : nr;
      for (let i = 0; i < counted; i++) gather(page + i, pteIsDirty(word, byte));
    },
  });
  const counts = new Map<string, number>();
  if (n.pages === 0) return counts;
  const show = (name: string, value: number, isShown: boolean) => {
    if (isShown) counts.set(name, value);
  };
  show('anon', n.anon, n.anon > 0);
  show('dirty', n.dirty, n.dirty > 0);
  show('mapped', n.pages, n.pages !== n.anon && n.pages !== n.dirty);
  show('mapmax', n.mapmax, n.mapmax > 1);
  show('swapcache', n.swapcache, n.swapcache > 0);
  show('active', n.active, n.active < n.pages && !isHugetlb);
  show('writeback', n.writeback, n.writeback > 0);
  for (const [nid, pages] of [...nodes].sort(([a], [b]) => a - b)) counts.set(`N${nid}`, pages);
  counts.set('kernelpagesize_kB', vmaPageSize(vma) / 1024);
  return counts;
}

export function formatNumaMaps(areas: readonly NumaMapsArea[]): string {
  let text = '';
  for (const { start, policy, what, counts } of areas) {
    text += `${start.toString(16).padStart(8, '0')} ${policy}${what === '' ? '' : ` ${what}`}`;
    for (const [name, value] of counts) text += ` ${name}=${value}`;
    text += '\n';
  }
  return text;
}

const LINE = /^([0-9a-f]+) (prefer \(many\)\S*|weighted interleave\S*|\S+)((?: [^ ]+)*)$/;

/** Errors: UserError with the line that is no area. A `huge` mark stays with `what`. */
export function parseNumaMaps(text: string, file = 'numa_maps'): NumaMapsArea[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line, i) => {
    const match = LINE.exec(line);
    if (match === null)
      throw new UserError(`${file}:${i + 1}`, `"${line}" is no area`, 'remove it');
    const rest = match[3].split(' ').filter((word) => word !== '');
    const isCount = (word: string) => /^\w+=\d+$/.test(word);
    return {
      start: Number.parseInt(match[1], 16),
      policy: match[2],
      what: rest.filter((word) => !isCount(word)).join(' '),
      counts: new Map(
        rest.filter(isCount).map((word): [string, number] => {
          const [name, value] = word.split('=');
          return [name, Number(value)];
        }),
      ),
    };
  });
}
