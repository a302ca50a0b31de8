/** Pageblock isolation (mm/page_isolation.c). PM-60..PM-64. */
import { InvariantError } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import type { PhysicalMemory } from './physicalMemory.ts';

export const ISOLATE_MODE_MEM_OFFLINE = 0;
export const ISOLATE_MODE_CMA_ALLOC = 1;
export const ISOLATE_MODE_OTHER = 2;
export type IsolateMode = 0 | 1 | 2;

/** Whether the huge page size of this hugetlb folio can be migrated: only the layer above knows. */
export type HugetlbMigratable = (head: FrameId) => boolean;

/** Isolates all pageblocks that touch [start, end); 0 or -EBUSY, all or nothing. */
export function startIsolatePageRange(
  pm: PhysicalMemory,
  start: FrameId,
  end: FrameId,
  mode: IsolateMode,
  hugetlbMigratable: HugetlbMigratable,
): number {
  throw new InvariantError(`not built yet: ${pm} ${start} ${end} ${mode} ${hugetlbMigratable}`);
}

/** Undoes startIsolatePageRange. */
export function undoIsolatePageRange(pm: PhysicalMemory, start: FrameId, end: FrameId): void {
  throw new InvariantError(`not built yet: ${pm} ${start} ${end}`);
}

/** PM-64: 0 if all frames are free in isolated blocks (or poisoned/offline in offline mode), else -EBUSY. */
export function testPagesIsolated(
  pm: PhysicalMemory,
  start: FrameId,
  end: FrameId,
  mode: IsolateMode,
): number {
  throw new InvariantError(`not built yet: ${pm} ${start} ${end} ${mode}`);
}
