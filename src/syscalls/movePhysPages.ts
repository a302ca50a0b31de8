/**
 * move_phys_pages as posted: pages by physical address, no pid (Gregory Price, RFC v1 September
 * 2023, RFC v3 March 2024; never merged, no kernel has it). PP-1..PP-35.
 *
 * Where the postings were faulty (rmap walk without the folio lock, a reference dropped before
 * isolation, PP-25) the model does what they meant.
 */
import type { FrameId, Nid } from '../base/units.ts';
import {
  CAUSE_NOT_IN_CPUSET,
  CAUSE_SHARED,
  CAUSE_VMA_NOT_MIGRATABLE,
  isolateFolio,
  type Kernel,
  mappersVerdict,
  PG_TAIL,
  type Task,
} from '../mm/index.ts';
import { EACCES, EBUSY, EFAULT, EINVAL, ENOENT } from '../uapi/errno.ts';
import { MPOL_MF_MOVE, MPOL_MF_MOVE_ALL } from '../uapi/mempolicy.ts';
import { MR_SYSCALL } from '../uapi/migrate.ts';
import { MoveBatches, QUEUED } from './moveBatches.ts';
import {
  isOnLru,
  onlineFrame,
  type PhysicalPermission,
  physicalNode,
  physicalPermission,
} from './physicalPage.ts';
import type { UserAddresses, UserInts } from './userMemory.ts';

/** Addresses that stat mode reads and answers at a time (PP-30). */
const STAT_CHUNK = 16;

/** A posting of the call. */
export interface PhysicalProfile {
  readonly permission: PhysicalPermission;
  /** Only areas with an entry for the folio count as its mappers (PP-21). */
  readonly isExactRmap: boolean;
}

/** RFC v1: MOVE of any page by anybody, the hole that review found (PP-5). */
export const RFC_V1: PhysicalProfile = { permission: 'nice-for-move-all', isExactRmap: false };
/** RFC v2 and v3. */
export const RFC_V3: PhysicalProfile = { permission: 'sys-admin', isExactRmap: false };

/**
 * move_phys_pages(count, pages, nodes, status, flags): pages are physical byte addresses; `nodes`
 * null asks which node owns each frame. Returns 0, the pages not migrated (MP-37), or -EINVAL,
 * -EPERM, -EFAULT, -ENODEV, -ENOMEM. Status: node, -ENOENT, -EFAULT, -EACCES, -EBUSY (PP-10 ff.).
 */
export function movePhysPages(
  k: Kernel,
  caller: Task,
  profile: PhysicalProfile,
  count: number,
  pages: UserAddresses,
  nodes: UserInts | null,
  status: UserInts,
  flags: number,
): number {
  if ((flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) return -EINVAL;
  const refused = physicalPermission(caller, profile.permission, flags);
  if (refused !== 0) return refused;
  if (nodes === null) return statPages(k, count, pages, status);
  k.lru.setDisabled(true);
  const isMoveAll = (flags & MPOL_MF_MOVE_ALL) !== 0;
  const move = new PhysicalMove(k, caller, profile, count, status, isMoveAll);
  const result = move.run(pages, nodes);
  k.lru.setDisabled(false);
  return result;
}

class PhysicalMove extends MoveBatches {
  readonly #isExactRmap: boolean;
  readonly #isMoveAll: boolean;

  constructor(
    k: Kernel,
    caller: Task,
    profile: PhysicalProfile,
    count: number,
    status: UserInts,
    isMoveAll: boolean,
  ) {
    super(k, caller, count, status);
    this.#isExactRmap = profile.isExactRmap;
    this.#isMoveAll = isMoveAll;
  }

  /** PP-7: no task is meant whose cpuset could be asked once. */
  protected checkNode(): number {
    return 0;
  }

  /** PP-10..PP-19. */
  protected addFolio(address: number, node: Nid): number {
    const { k } = this;
    const page = onlineFrame(k, address);
    if (page < 0 || (k.frames.flags[page] & PG_TAIL) !== 0) return -ENOENT;
    if (!isOnLru(k, page)) return -ENOENT;
    const verdict = mappersVerdict(k, page, node, this.#isExactRmap);
    if (verdict !== 0) return recordRefusal(k, page, verdict);
    if (k.pm.nidOf(page) === node) return 0;
    if (!this.#isMoveAll && k.folios.maybeMappedShared(page)) {
      k.failures.record(page, CAUSE_SHARED, MR_SYSCALL, k.folios.nrPages(page));
      return -EACCES;
    }
    const mayLeave = k.pm.isCapable('migrate_out', page);
    return mayLeave && isolateFolio(k, page, this.list) ? QUEUED : -EBUSY;
  }
}

/** PP-23: the record tells the cause that the status leaves open. Answers the verdict. */
export function recordRefusal(k: Kernel, head: FrameId, verdict: number): number {
  if (verdict === -ENOENT) return verdict;
  const cause = verdict === -EFAULT ? CAUSE_VMA_NOT_MIGRATABLE : CAUSE_NOT_IN_CPUSET;
  k.failures.record(head, cause, MR_SYSCALL, k.folios.nrPages(head));
  return verdict;
}

/** PP-30, PP-31: which node owns the frame, not who uses it. */
function statPages(k: Kernel, count: number, pages: UserAddresses, status: UserInts): number {
  for (let from = 0; from < count; from += STAT_CHUNK) {
    const past = Math.min(count, from + STAT_CHUNK);
    if (pages.faults(past - 1)) return -EFAULT;
    for (let i = from; i < past; i++) {
      if (status.put(i, physicalNode(k, pages.get(i))) !== 0) return -EFAULT;
    }
  }
  return 0;
}
