/**
 * Whose a frame is: the programs that map it, the file that caches it, the pool or the part of the
 * kernel that holds it. For answers to people; nothing of the kernel asks this.
 *
 * Linux knows no owner of a page: this is what rmap, page table pages and page types tell. Who
 * holds a pin or a further reference cannot be told from the page (PM-119).
 */
import type { FrameId, Nid, Vpn } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import {
  PG_BUDDY,
  PG_HUGETLB,
  PG_MOVABLE_OPS,
  PGTY_OFFLINE,
  PGTY_SLAB,
  PGTY_TABLE,
  PGTY_ZSMALLOC,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { pageAt } from './pageWalk.ts';
import { rmapCollect } from './rmap.ts';

export type FrameOwner =
  /** A process that maps the folio, and the first page where it does. */
  | { readonly kind: 'process'; readonly pid: number; readonly vpn: Vpn }
  /** A file that has it cached, at this page of the file. */
  | { readonly kind: 'file'; readonly name: string; readonly index: number }
  /** A page table of a process; -1 = of one that is not there any more. */
  | { readonly kind: 'page-table'; readonly pid: number }
  /** A free page of the hugetlb pool. */
  | { readonly kind: 'hugetlb-pool'; readonly nid: Nid }
  /** Reserved at boot: kernel image, memmap, firmware. */
  | { readonly kind: 'boot' }
  /** The shared zero page or huge zero folio. */
  | { readonly kind: 'zero-page' }
  | { readonly kind: 'slab' | 'kernel' | 'zsmalloc' | 'driver' }
  | { readonly kind: 'free' };

/** Owners of a present frame; empty if nothing tells. Changes nothing. */
export function ownersOf(k: Kernel, frame: FrameId): FrameOwner[] {
  const f = k.frames;
  const head = f.headOf(frame);
  if (head === k.zeroFrame || head === k.hugeZeroHead) return [{ kind: 'zero-page' }];
  if (k.pm.isReserved(frame)) return [{ kind: 'boot' }];
  if (k.pm.isPristine(frame) || (f.flags[head] & PG_BUDDY) !== 0) return [{ kind: 'free' }];
  if (f.mapcount[head] < 0) return [typedOwner(k, head)];
  if ((f.flags[head] & PG_HUGETLB) !== 0 && f.refcount[head] === 0) {
    return [{ kind: 'hugetlb-pool', nid: k.pm.nidOf(head) }];
  }
  if ((f.flags[head] & PG_MOVABLE_OPS) !== 0) return [{ kind: 'driver' }];
  const owners: FrameOwner[] = [];
  if (k.folios.hasFileMapping(head)) {
    const file = k.files[k.folios.mappingId(head)];
    if (file !== null) owners.push({ kind: 'file', name: file.name, index: f.indexOf(head) });
  }
  for (const [mm, vpn] of mappersOf(k, head)) {
    for (const pid of pidsOf(k, mm)) owners.push({ kind: 'process', pid, vpn });
  }
  return owners;
}

function typedOwner(k: Kernel, head: FrameId): FrameOwner {
  switch (k.frames.mapcount[head]) {
    case PGTY_TABLE:
      return { kind: 'page-table', pid: pageTableOwner(k, head) };
    case PGTY_SLAB:
      return { kind: 'slab' };
    case PGTY_ZSMALLOC:
      return { kind: 'zsmalloc' };
    case PGTY_OFFLINE:
      return { kind: 'driver' };
    default:
      return { kind: 'kernel' };
  }
}

/** Each address space that maps the folio, with its first page that does. */
function mappersOf(k: Kernel, head: FrameId): Map<AddressSpace, Vpn> {
  const found = new Map<AddressSpace, Vpn>();
  const n = rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const { mm } = k.rmap.vma[r];
    for (let j = 0; j < k.rmap.nr[r] && !found.has(mm); j++) {
      const vpn = k.rmap.vpn[r] + j;
      const page = pageAt(k, mm, vpn);
      if (page >= 0 && k.frames.headOf(page) === head) found.set(mm, vpn);
    }
  }
  return found;
}

function pidsOf(k: Kernel, mm: AddressSpace): number[] {
  const pids: number[] = [];
  for (const task of k.tasks.values()) {
    if (task.mm === mm && !pids.includes(task.tgid)) pids.push(task.tgid);
  }
  return pids;
}

function pageTableOwner(k: Kernel, frame: FrameId): number {
  const table = k.ptes.frameOf.indexOf(frame);
  if (table < 0) return -1;
  for (const mm of k.spaces) {
    if (mm === null || mm === undefined) continue;
    for (let slot = 0; slot < mm.nrSlots; slot++) {
      if (mm.leaf[slot] === table || mm.deposit[slot] === table) return pidsOf(k, mm)[0] ?? -1;
    }
  }
  return -1;
}
