/**
 * vmsplice(2) of user memory into a pipe: plain references to the pages until the pipe lets go of
 * them (fs/splice.c: vmsplice_to_pipe). PM-98, OV-42.
 */
import { type FrameId, PAGE_SIZE } from '../base/units.ts';
import {
  allocFolioPolicy,
  getUserPagesFast,
  type Kernel,
  NO_INTERLEAVE_INDEX,
  type Task,
} from '../mm/index.ts';
import { GFP_HIGHUSER } from '../uapi/gfp.ts';
import { pageOf, pagesOf } from './addressRange.ts';

/** Buffers of a pipe. */
const PIPE_DEF_BUFFERS = 16;

/** A page that write(2) to a pipe copies into (anon_pipe_get_page): -1 without memory. */
export function allocPipeBuffer(k: Kernel, caller: Task): FrameId {
  return allocFolioPolicy(k, caller, caller.policy, NO_INTERLEAVE_INDEX, 0, GFP_HIGHUSER);
}

/** Appends the frames held to `out`; returns the bytes taken in, or -EFAULT, -ENOMEM. */
export function vmsplice(
  k: Kernel,
  caller: Task,
  addr: number,
  len: number,
  out: FrameId[],
): number {
  const nr = Math.min(pagesOf(len), PIPE_DEF_BUFFERS - out.length);
  const got = getUserPagesFast(k, caller, pageOf(addr), nr, 0, out);
  return got < 0 ? got : Math.min(len, got * PAGE_SIZE);
}
