/**
 * vmsplice(2) of user memory into a pipe: plain references to the pages until the pipe lets go of
 * them (fs/splice.c: vmsplice_to_pipe). PM-98, OV-42.
 */
import { type FrameId, PAGE_SIZE } from '../base/units.ts';
import { getUserPagesFast, type Kernel, type Task } from '../mm/index.ts';
import { pageOf, pagesOf } from './addressRange.ts';

/** Buffers of a pipe. */
const PIPE_DEF_BUFFERS = 16;

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
