/**
 * How a driver gets at the pages of a range: the protocol of interval notifiers
 * (Documentation/mm/hmm.rst). DM-3, DM-5.
 */
import type { Vpn } from '../base/units.ts';
import {
  HmmRange,
  hmmRangeFault,
  type Kernel,
  type MmuInterval,
  mmuIntervalReadBegin,
  mmuIntervalReadRetry,
  type Task,
} from '../mm/index.ts';
import { EBUSY } from '../uapi/errno.ts';

/** Tries before a driver gives a range up: it has a second (DM-5). */
const TRIES_MAX = 1000;

/**
 * The pages of [start, end), faulted in as `request` wants (HMM_PFN_REQ_*), still true when this
 * returns; or the errno of hmmRangeFault, -EBUSY if the range never came to rest. With
 * `onUserfault` the driver waits for missing pages of a userfaultfd: it calls whoever fills them.
 */
export function mirrorRange(
  k: Kernel,
  task: Task,
  notifier: MmuInterval,
  owner: object,
  start: Vpn,
  end: Vpn,
  request: number,
  onUserfault: ((vpn: Vpn) => void) | null = null,
): HmmRange | number {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const range = new HmmRange(notifier, start, end, owner, request);
    range.onUserfault = onUserfault;
    range.seq = mmuIntervalReadBegin(notifier);
    const ret = hmmRangeFault(k, task, range);
    if (ret === -EBUSY) continue;
    if (ret < 0) return ret;
    if (!mmuIntervalReadRetry(notifier, range.seq)) return range;
  }
  return -EBUSY;
}
