/**
 * File pages in private device memory: experimental (device_page_cache); Linux refuses them
 * (DM-30). As proposed in 2025: a clean page of the cache may lie on the device, and whoever looks
 * it up on behalf of a CPU first has the driver bring it back, so the CPU always owns the page. D9,
 * DM-85, DM-86.
 *
 * What the look-up callback covers: faults, read and write, collapse. What needs none: truncation,
 * direct writes and dropped caches (the device page is freed, the file has the data).
 * With device_dirty_pages the pages of shmem and dirty ones may go there, too, and the device may
 * write them; then writeback, before it writes the file, has the driver send the data
 * (pageCacheWriteback). The page stays where it is, clean and write-protected.
 * Not modelled: file systems that refuse; a device that fails while it has dirty pages; large
 * folios that are dirty or of shmem, which stay.
 */
import type { FrameId } from '../base/units.ts';
import { FAULT_OOM, FAULT_SIGBUS } from './fault.ts';
import { setFolioDirty } from './fileFolio.ts';
import { PG_DIRTY } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { isDevicePrivate } from './memremap.ts';
import type { Task } from './task.ts';

/** Whether a folio of the page cache may migrate to a device. */
export function mayCacheOnDevice(k: Kernel, src: FrameId, dst: FrameId): boolean {
  if (!k.hasExperimental('device_page_cache') || !isDevicePrivate(k, dst)) return false;
  if (k.devices.pagemapOf(dst).ops.pageCacheLookup === undefined) return false;
  const file = k.files[k.folios.mappingId(src)];
  if (file === null || k.buffers.isLocked(src) || k.buffers.isHeld(src)) return false;
  if (file.traits.writeback && !k.frames.has(src, PG_DIRTY)) return true;
  if (!k.hasExperimental('device_dirty_pages') || k.folios.isLarge(src)) return false;
  return file.traits.writeback || file.isShmem();
}

/** A device has written a page of its own: of a file it is dirty now. */
export function noteDeviceStore(k: Kernel, page: FrameId): void {
  const head = k.frames.headOf(page);
  if (isDevicePrivate(k, page) && k.folios.hasFileMapping(head)) setFolioDirty(k, head);
}

/** Before a folio is written to its file: its device sends the data. */
export function fetchForWriteback(k: Kernel, head: FrameId): void {
  if (isDevicePrivate(k, head)) k.devices.pagemapOf(head).ops.pageCacheWriteback?.(head);
}

/** What lookUpCached answers for a page that its driver could not bring back. */
export const STAYS_ON_DEVICE = -2;
/** The same, as system memory has no room for it. */
export const NO_ROOM_FOR_RETURN = -3;

/**
 * The cached page of an index for a CPU: in system memory; -1 = none, else STAYS_ON_DEVICE or
 * NO_ROOM_FOR_RETURN.
 */
export function lookUpCached(k: Kernel, task: Task, file: MappedFile, index: number): FrameId {
  const page = file.frameAt(index);
  if (page < 0 || !isDevicePrivate(k, page)) return page;
  const outcome = k.devices.pagemapOf(page).ops.pageCacheLookup?.(task, page) ?? FAULT_SIGBUS;
  const now = file.frameAt(index);
  if (now < 0 || !isDevicePrivate(k, now)) return now;
  return (outcome & FAULT_OOM) !== 0 ? NO_ROOM_FOR_RETURN : STAYS_ON_DEVICE;
}
