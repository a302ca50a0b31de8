/**
 * set_mempolicy_home_node(2): where the search of a BIND or PREFERRED_MANY range begins
 * (mm/mempolicy.c). MP-93, MP-93a.
 */
import { type Kernel, mbindRange, type Task } from '../mm/index.ts';
import { EINVAL, ENOENT, EOPNOTSUPP } from '../uapi/errno.ts';
import { MPOL_BIND, MPOL_PREFERRED_MANY } from '../uapi/mempolicy.ts';
import { isPageAligned, pageOf, pagesOf, wrapsAround } from './addressRange.ts';

/** Returns 0, or -EINVAL, -ENOENT (no policy there), -EOPNOTSUPP (another kind of policy). */
export function setMempolicyHomeNode(
  k: Kernel,
  caller: Task,
  start: number,
  len: number,
  homeNode: number,
  flags: number,
): number {
  if (!isPageAligned(start) || flags !== 0) return -EINVAL;
  const node = k.pm.nodes[homeNode];
  if (node === undefined || !node.online) return -EINVAL;
  if (wrapsAround(start, len)) return -EINVAL;
  const mm = caller.mm!;
  const first = pageOf(start);
  const end = first + pagesOf(len);
  if (end === first) return 0;
  let error = -ENOENT;
  let vpn = first;
  while (vpn < end) {
    const vma = mm.vmas[mm.indexAtOrAfter(vpn)];
    if (vma === undefined || vma.start >= end) break;
    const from = Math.max(vpn, vma.start);
    vpn = Math.min(end, vma.end);
    const policy = vma.policy;
    if (policy === null) continue;
    if (policy.mode !== MPOL_BIND && policy.mode !== MPOL_PREFERRED_MANY) return -EOPNOTSUPP;
    mbindRange(k, mm, from, vpn, policy.withHomeNode(homeNode));
    error = 0;
  }
  return error;
}
