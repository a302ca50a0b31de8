/**
 * The text files of a process: /proc/PID/maps, smaps, smaps_rollup, numa_maps, statm, status, and
 * who may read them (fs/proc/base.c, fs/proc/task_mmu.c proc_mem_open; task_statm). HS-21, HS-26.
 *
 * Not modelled: code and its size in statm (text, lib, dt: 0), hidepid.
 */
import {
  type AddressSpace,
  type Kernel,
  ptraceMayRead,
  type Task,
  VM_GROWSDOWN,
  VM_SHARED,
  VM_WRITE,
} from '../mm/index.ts';
import { EACCES, ESRCH } from '../uapi/errno.ts';
import { formatMapsArea, mapsAreaOf } from './maps.ts';
import { formatNumaMaps, numaMapsOf } from './numaMaps.ts';
import { formatSmaps, smapsAreaOf, smapsRollupOf } from './smaps.ts';
import { formatStatus, statusOf } from './statusFile.ts';

/** In the order of a listing. */
export const PROCESS_FILES = [
  'maps',
  'numa_maps',
  'smaps',
  'smaps_rollup',
  'statm',
  'status',
] as const;
export type ProcessFileName = (typeof PROCESS_FILES)[number];

/** Columns of statm, in pages. */
export interface Statm {
  readonly size: number;
  readonly resident: number;
  readonly shared: number;
  readonly text: number;
  readonly lib: number;
  readonly data: number;
  readonly dt: number;
}

/**
 * The text of a file of `target`, as `reader` gets it. Errors: -EACCES without ptrace-read access
 * (statm and status are open to all), -ESRCH for a task without an address space; its statm is
 * all 0.
 */
export function readProcessFile(
  k: Kernel,
  reader: Task,
  target: Task,
  name: ProcessFileName,
): string | number {
  const mm = target.mm;
  if (name === 'statm') return formatStatm(statmOf(mm));
  if (name === 'status') return formatStatus(statusOf(k, target));
  if (mm === null) return -ESRCH;
  if (!ptraceMayRead(reader, target)) return -EACCES;
  switch (name) {
    case 'maps':
      return mm.vmas.map((vma) => formatMapsArea(mapsAreaOf(vma))).join('');
    case 'smaps':
      return formatSmaps(mm.vmas.map((vma) => smapsAreaOf(k, vma)));
    case 'smaps_rollup':
      return formatSmaps([smapsRollupOf(k, mm)]);
    case 'numa_maps':
      return formatNumaMaps(numaMapsOf(k, target));
  }
}

export function statmOf(mm: AddressSpace | null): Statm {
  const none = { size: 0, resident: 0, shared: 0, text: 0, lib: 0, data: 0, dt: 0 };
  if (mm === null) return none;
  let size = 0;
  let data = 0;
  for (const vma of mm.vmas) {
    size += vma.nrPages;
    const isStack = vma.has(VM_GROWSDOWN);
    if (isStack || (vma.has(VM_WRITE) && !vma.has(VM_SHARED))) data += vma.nrPages;
  }
  const shared = mm.rssFile + mm.rssShmem;
  return { ...none, size, resident: shared + mm.rssAnon, shared, data };
}

export function formatStatm(statm: Statm): string {
  const { size, resident, shared, text, lib, data, dt } = statm;
  return `${[size, resident, shared, text, lib, data, dt].join(' ')}\n`;
}

export function parseStatm(line: string): Statm {
  const [size, resident, shared, text, lib, data, dt] = line.trim().split(' ').map(Number);
  return { size, resident, shared, text, lib, data, dt };
}
