/**
 * What a physical address names, for calls that take one. PP-3, PP-10..PP-12, PP-30, PP-95.
 */
import { type FrameId, type Nid, PAGE_SIZE } from '../base/units.ts';
import { CAP_SYS_ADMIN, CAP_SYS_NICE, type Kernel, PG_LRU, type Task } from '../mm/index.ts';
import { ENOENT, EPERM } from '../uapi/errno.ts';
import { MPOL_MF_MOVE_ALL } from '../uapi/mempolicy.ts';

/**
 * Who may name pages by physical address, as the thread argued it: nobody is refused; the first
 * posting's CAP_SYS_NICE for MPOL_MF_MOVE_ALL alone (PP-5); CAP_SYS_ADMIN for every use (PP-43).
 */
export type PhysicalPermission = 'none' | 'nice-for-move-all' | 'sys-admin';

/** 0 or -EPERM. */
export function physicalPermission(
  caller: Task,
  permission: PhysicalPermission,
  flags: number,
): number {
  if (permission === 'sys-admin') return caller.capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
  if (permission === 'none' || (flags & MPOL_MF_MOVE_ALL) === 0) return 0;
  return caller.capable(CAP_SYS_NICE) ? 0 : -EPERM;
}

/** The frame of an online page, or -1 (pfn_to_online_page). */
export function onlineFrame(k: Kernel, address: number): FrameId {
  const frame = k.frames.frameOfPfn(Math.floor(address / PAGE_SIZE));
  return frame >= 0 && k.pm.isPresent(frame) ? frame : -1;
}

/** PP-12: the folio is on an LRU list and a reference can be taken. */
export function isOnLru(k: Kernel, head: FrameId): boolean {
  return (k.frames.flags[head] & PG_LRU) !== 0 && k.frames.refcount[head] > 0;
}

/** PP-30: the node that owns the frame, whatever is in it, or -ENOENT. */
export function physicalNode(k: Kernel, address: number): Nid {
  const frame = onlineFrame(k, address);
  return frame < 0 ? -ENOENT : k.pm.nidOf(frame);
}
