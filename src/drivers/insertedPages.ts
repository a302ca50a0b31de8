/**
 * Areas whose pages a driver puts in at mmap, all at once (vm_insert_page): there is no fault that
 * brings one back. P2PDMA providers and the test device map theirs so. DM-90.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import {
  type Kernel,
  type MappedFile,
  mmapRegion,
  munmapRange,
  type Task,
  vmInsertPage,
} from '../mm/index.ts';
import { ENOMEM } from '../uapi/errno.ts';

export interface InsertedArea {
  /** As the file's path in maps. */
  readonly name: string;
  readonly pages: number;
  readonly prot: number;
  readonly flags: number;
}

/**
 * `take` gives the page of each index with one reference, which the mapping takes over, or -1. The
 * first page number; -ENOMEM, with nothing left mapped, or what mmap says.
 */
export function mapInserted(
  k: Kernel,
  task: Task,
  { name, pages, prot, flags }: InsertedArea,
  take: (file: MappedFile, index: number) => FrameId,
): Vpn {
  const file = k.newFile(name, 'inserted', pages);
  file.specialFrames = new Int32Array(0); // nothing to fault in
  const start = mmapRegion(k, task.mm!, { addr: 0, pages, prot, flags, file, pgoff: 0 });
  file.openCount = 0;
  if (start < 0) return start;
  const vma = task.mm!.findVma(start)!;
  for (let index = 0; index < pages; index++) {
    const page = take(file, index);
    const ret = page < 0 ? -ENOMEM : vmInsertPage(k, task, vma, start + index, page);
    if (page >= 0) k.putFolio(page);
    if (ret === 0) continue;
    munmapRange(k, task.mm!, start, start + pages);
    return ret;
  }
  return start;
}
