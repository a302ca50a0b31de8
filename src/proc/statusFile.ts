/**
 * /proc/PID/status (fs/proc/array.c: proc_pid_status; fs/proc/task_mmu.c: task_mem). OV-55.
 *
 * How we model it: the rows that the model knows, in the kernel's order.
 * Deviates: VmPTE counts the lowest level of page tables only.
 * Not modelled: names of programs, states other than running, high-water marks (VmPeak, VmHWM),
 * code (VmExe, VmLib), groups, signals, seccomp: these rows are not printed.
 */
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { maskText, rangeList } from '../hw/index.ts';
import {
  type AddressSpace,
  type Kernel,
  type Task,
  VM_GROWSDOWN,
  VM_SHARED,
  VM_WRITE,
} from '../mm/index.ts';

/** Row -> what stands after the colon and the tab, as printed. */
export type StatusRows = ReadonlyMap<string, string>;

const KIB_PER_PAGE = PAGE_SIZE / 1024;

export function statusOf(k: Kernel, task: Task): StatusRows {
  const rows = new Map<string, string>();
  const ids = [task.uid, task.euid, task.suid, task.euid].join('\t');
  rows.set('Tgid', `${task.tgid}`);
  rows.set('Pid', `${task.pid}`);
  rows.set('PPid', `${task.parent?.tgid ?? 0}`);
  rows.set('Uid', ids);
  rows.set('Kthread', task.mm === null && !task.exited ? '1' : '0');
  if (task.mm !== null) addMemory(task.mm, rows);
  const threads = [...k.tasks.values()].filter((other) => other.tgid === task.tgid).length;
  rows.set('Threads', `${threads}`);
  const nids = k.pm.nodesWithMemory & task.memsAllowed;
  const allowed = Array.from({ length: 32 }, (_, nid) => nid).filter((n) => (nids >>> n) & 1);
  rows.set('Mems_allowed', maskText(allowed, k.pm.nodes.length));
  rows.set('Mems_allowed_list', rangeList(allowed));
  return rows;
}

function addMemory(mm: AddressSpace, rows: Map<string, string>): void {
  const kib = (row: string, pages: number) =>
    rows.set(row, `${String(pages * KIB_PER_PAGE).padStart(8)} kB`);
  let size = 0;
  let data = 0;
  let stack = 0;
  for (const vma of mm.vmas) {
    size += vma.nrPages;
    if (vma.has(VM_GROWSDOWN)) stack += vma.nrPages;
    else if (vma.has(VM_WRITE) && !vma.has(VM_SHARED)) data += vma.nrPages;
  }
  kib('VmSize', size);
  kib('VmLck', mm.lockedVm);
  kib('VmPin', mm.pinnedVm);
  kib('VmRSS', mm.rssAnon + mm.rssFile + mm.rssShmem);
  kib('RssAnon', mm.rssAnon);
  kib('RssFile', mm.rssFile);
  kib('RssShmem', mm.rssShmem);
  kib('VmData', data);
  kib('VmStk', stack);
  kib('VmPTE', leafTables(mm));
  kib('VmSwap', mm.swapEnts);
  kib('HugetlbPages', mm.hugetlbPages);
}

function leafTables(mm: AddressSpace): number {
  let tables = 0;
  for (let slot = 0; slot < mm.nrSlots; slot++) {
    if (mm.leaf[slot] >= 0) tables++;
    if (mm.deposit[slot] >= 0) tables++;
  }
  return tables;
}

export function formatStatus(rows: StatusRows): string {
  let text = '';
  for (const [row, value] of rows) text += `${row}:\t${value}\n`;
  return text;
}

/** Errors: UserError with the line that is no row. */
export function parseStatus(text: string, file = 'status'): StatusRows {
  const rows = new Map<string, string>();
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const match = /^(\w+):\t(.*)$/.exec(line);
    if (match === null) throw new UserError(`${file}:${i + 1}`, `"${line}" is no row`, 'remove it');
    rows.set(match[1], match[2]);
  }
  return rows;
}
