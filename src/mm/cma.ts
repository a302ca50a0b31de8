/**
 * Contiguous memory areas: pageblocks that movable pages use until a driver wants them (mm/cma.c:
 * cma_alloc, cma_release). PM-82, PM-83, PM-15.
 *
 * An area is a bitmap over frames that belong to the buddy allocator. A request tries the free
 * stretches of the bitmap from the bottom up; where a page cannot be moved the next stretch is
 * tried. Its pages are the driver's until it gives them back.
 * Not modelled: areas of several ranges, order_per_bit, reservation at boot beyond the machine's.
 */
import type { FrameId, Order, Pfn } from '../base/units.ts';
import type { MachineSpec } from '../hw/index.ts';
import { EBUSY } from '../uapi/errno.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { allocContigRange, freeContigRange } from './allocContigRange.ts';
import { PGTY_KERNEL } from './frameTable.ts';
import type { Kernel } from './kernel.ts';

const CMA_ALLOC_SUCCESS = vmEvent('cma_alloc_success');
const CMA_ALLOC_FAIL = vmEvent('cma_alloc_fail');

export class CmaArea {
  /** As below /sys/kernel/mm/cma. */
  readonly name: string;
  readonly basePfn: Pfn;
  /** Pages. */
  readonly count: number;
  /** By page of the area: 1 = given to a driver. */
  readonly bitmap: Uint8Array;
  available: number;
  /** Pages, as the files alloc_pages_success, alloc_pages_fail, release_pages_success count. */
  allocated = 0;
  failed = 0;
  released = 0;

  constructor(name: string, basePfn: Pfn, count: number) {
    this.name = name;
    this.basePfn = basePfn;
    this.count = count;
    this.bitmap = new Uint8Array(count);
    this.available = count;
  }

  /** Pages of the longest free stretch (maxchunk of debugfs). */
  get longestFree(): number {
    let longest = 0;
    let run = 0;
    for (const bit of this.bitmap) {
      run = bit === 0 ? run + 1 : 0;
      longest = Math.max(longest, run);
    }
    return longest;
  }

  /** bitmap_find_next_zero_area_off: `count` free pages from `from` on, aligned in PFNs; or -1. */
  findFree(count: number, from: number, align: number): number {
    let at = from;
    for (;;) {
      at += (align - ((this.basePfn + at) % align)) % align;
      if (at + count > this.count) return -1;
      const taken = this.bitmap.subarray(at, at + count).lastIndexOf(1);
      if (taken < 0) return at;
      at += taken + 1;
    }
  }
}

/** The areas of a machine: the first is the kernel's own ("reserved"), the others are numbered. */
export function cmaAreasOf(spec: MachineSpec): CmaArea[] {
  const areas = spec.nodes.flatMap((node) => node.zones.flatMap((zone) => zone.cma ?? []));
  return areas.map(
    (area, i) => new CmaArea(i === 0 ? 'reserved' : `cma${i}`, area.startPfn, area.pages),
  );
}

/**
 * cma_alloc: `count` pages aligned to 2^align; the first frame, or -1: the area is too full or
 * every stretch holds something that does not move.
 */
export function cmaAlloc(k: Kernel, area: CmaArea, count: number, align: Order = 0): FrameId {
  if (count <= 0) return -1;
  const frame = count > area.count ? -1 : firstMovable(k, area, count, 1 << align);
  k.vmstat.count(frame >= 0 ? CMA_ALLOC_SUCCESS : CMA_ALLOC_FAIL, 1);
  if (frame >= 0) area.allocated += count;
  else area.failed += count;
  return frame;
}

function firstMovable(k: Kernel, area: CmaArea, count: number, align: number): FrameId {
  let from = 0;
  while (count <= area.available) {
    const at = area.findFree(count, from, align);
    if (at < 0) return -1;
    const frame = k.frames.frameOfPfn(area.basePfn + at);
    mark(area, at, count, 1);
    const result = allocContigRange(k, frame, frame + count, true, GFP_KERNEL);
    if (result === 0) {
      k.frames.mapcount.fill(PGTY_KERNEL, frame, frame + count);
      return frame;
    }
    mark(area, at, count, 0);
    if (result !== -EBUSY) return -1;
    from = at + align;
  }
  return -1;
}

function mark(area: CmaArea, at: number, count: number, value: 0 | 1): void {
  area.bitmap.fill(value, at, at + count);
  area.available += value === 1 ? -count : count;
}

/** cma_release: whether the pages were of the area and given out. */
export function cmaRelease(k: Kernel, area: CmaArea, frame: FrameId, count: number): boolean {
  const at = k.frames.pfnOf(frame) - area.basePfn;
  if (at < 0 || at + count > area.count) return false;
  if (area.bitmap.subarray(at, at + count).includes(0)) return false;
  freeContigRange(k, frame, count);
  mark(area, at, count, 0);
  area.released += count;
  return true;
}
