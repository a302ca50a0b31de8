/** Writes to the CMA areas below /sys/kernel/debug/cma (mm/cma_debug.c): rows of sysfs.ts. */
import type { FrameId } from '../base/units.ts';
import { type CmaArea, cmaAlloc, cmaRelease } from '../mm/index.ts';
import { EINVAL, ENOENT, ENOMEM } from '../uapi/errno.ts';
import type { SysfsFile } from './sysfs.ts';
import type { World } from './world.ts';

/** What was allocated through debugfs, the latest last. */
export interface DebugAllocation {
  readonly area: CmaArea;
  frame: FrameId;
  count: number;
}

function write(world: World, name: string, file: string, value: string): number {
  const area = world.k.cma.find((one) => one.name === name);
  if (area === undefined) return -ENOENT;
  if (!/^\d+$/.test(value)) return -EINVAL;
  return file === 'alloc' ? allocate(world, area, Number(value)) : release(world, area, value);
}

/** cma_alloc_mem. */
function allocate(world: World, area: CmaArea, count: number): number {
  const frame = cmaAlloc(world.k, area, count);
  if (frame < 0) return -ENOMEM;
  world.cmaAllocations.push({ area, frame, count });
  return 0;
}

/** cma_free_mem: the latest allocations first, the last one of them in part. */
function release(world: World, area: CmaArea, value: string): number {
  let left = Number(value);
  const mine = world.cmaAllocations;
  for (let i = mine.length - 1; i >= 0 && left > 0; i--) {
    if (mine[i].area !== area) continue;
    const pages = Math.min(left, mine[i].count);
    cmaRelease(world.k, area, mine[i].frame, pages);
    left -= pages;
    mine[i].frame += pages;
    mine[i].count -= pages;
    if (mine[i].count === 0) mine.splice(i, 1);
  }
  return 0;
}

export const CMA_FILES: readonly SysfsFile[] = [
  {
    pattern: /^\/sys\/kernel\/debug\/cma\/(\w+)\/(alloc|free)$/,
    write: (world, value, match) => write(world, match[1], match[2], value),
  },
];
