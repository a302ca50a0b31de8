/** Owners of frames in one line each. */
import { PAGE_SIZE } from '../base/units.ts';
import type { FrameOwner, Kernel } from '../mm/index.ts';
import { formatMapsArea, mapsAreaOf } from '../proc/index.ts';

export function ownerText(k: Kernel, owner: FrameOwner): string {
  switch (owner.kind) {
    case 'process': {
      const vma = k.tasks.get(owner.pid)?.mm?.findVma(owner.vpn) ?? null;
      const area = vma === null ? '' : `, ${shortArea(formatMapsArea(mapsAreaOf(vma)))}`;
      const address = (owner.vpn * PAGE_SIZE).toString(16);
      return `process ${processText(k, owner.pid)} at 0x${address}${area}`;
    }
    case 'file':
      return `page cache of ${owner.name}, page ${owner.index}`;
    case 'page-table':
      return owner.pid < 0
        ? 'a page table'
        : `a page table of process ${processText(k, owner.pid)}`;
    case 'hugetlb-pool':
      return `the hugetlb pool of node ${owner.nid}, free`;
    case 'boot':
      return 'reserved at boot: kernel image, memmap or firmware';
    case 'zero-page':
      return 'the shared zero page';
    case 'free':
      return 'free, in the buddy allocator';
    default:
      return OTHERS[owner.kind] ?? owner.kind;
  }
}

const OTHERS: Readonly<Record<string, string>> = {
  slab: 'a slab of the kernel',
  kernel: 'memory of the kernel',
  zsmalloc: 'zsmalloc',
  driver: 'a driver',
};

/** 100 (main). */
export function processText(k: Kernel, pid: number): string {
  const comm = k.tasks.get(pid)?.comm ?? '';
  return comm === '' ? String(pid) : `${pid} (${comm})`;
}

/** A line of maps without the columns that say nothing here. */
function shortArea(line: string): string {
  const [range, perms, , , , ...name] = line.trim().split(/\s+/);
  return ['VMA', range, perms, name.length > 0 ? name.join(' ') : 'anonymous'].join(' ');
}
