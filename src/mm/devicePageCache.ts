/**
 * File pages in private device memory: experimental (device_page_cache); Linux refuses them
 * (DM-30). As proposed in 2025: a clean page of the cache may lie on the device, and whoever looks
 * it up on behalf of a CPU first has the driver bring it back, so the CPU always owns the page. D9,
 * DM-85, DM-86.
 *
 * What the look-up callback covers: faults, read and write, direct I/O. What needs none: truncation
 * and dropped caches (the device page is freed, the file has the data), writeback (dirty pages do
 * not go there, and a device that wants to write sends the page home first).
 * Not modelled: shmem and dirty pages on a device; file systems that refuse.
 */
import type { FrameId } from '../base/units.ts';
import { PG_DIRTY } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { isDevicePrivate } from './memremap.ts';
import type { Task } from './task.ts';

/** Whether a folio of the page cache may migrate to a device. */
export function mayCacheOnDevice(k: Kernel, src: FrameId, dst: FrameId): boolean {
  if (!k.hasExperimental('device_page_cache') || !isDevicePrivate(k, dst)) return false;
  if ((k.frames.flags[src] & PG_DIRTY) !== 0) return false;
  return k.files[k.folios.mappingId(src)]?.traits.writeback === true;
}

/** What lookUpCached answers for a page that its driver could not bring back. */
export const STAYS_ON_DEVICE = -2;

/** The cached page of an index for a CPU: in system memory; -1 = none, or STAYS_ON_DEVICE. */
export function lookUpCached(k: Kernel, task: Task, file: MappedFile, index: number): FrameId {
  const page = file.frameAt(index);
  if (page < 0 || !isDevicePrivate(k, page)) return page;
  k.devices.pagemapOf(page).ops.pageCacheLookup?.(task, page);
  const now = file.frameAt(index);
  return now >= 0 && isDevicePrivate(k, now) ? STAYS_ON_DEVICE : now;
}
