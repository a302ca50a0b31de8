/**
 * move_pages(2): puts listed pages on listed nodes, or asks where they are (mm/migrate.c:
 * kernel_move_pages, do_pages_move, do_pages_stat). MP-1..MP-55.
 *
 * Not modelled: LSM hooks.
 */
import { type Nid, PAGE_SIZE } from '../base/units.ts';
import {
  type AddressSpace,
  CAP_SYS_NICE,
  CAUSE_NOT_IN_CPUSET,
  CAUSE_NOT_ON_LRU,
  CAUSE_SHARED,
  CAUSE_VMA_NOT_MIGRATABLE,
  entryIsNone,
  isolateFolio,
  type Kernel,
  PAGE_NOT_PRESENT,
  PAGE_SPECIAL,
  PAGE_ZERO,
  pageAt,
  ptraceMayRead,
  type Task,
  type Vma,
  vmaMigratable,
} from '../mm/index.ts';
import { EACCES, EBUSY, EFAULT, EINVAL, ENOENT, EPERM } from '../uapi/errno.ts';
import { MPOL_MF_MOVE, MPOL_MF_MOVE_ALL } from '../uapi/mempolicy.ts';
import { MR_SYSCALL } from '../uapi/migrate.ts';
import { MoveBatches, QUEUED } from './moveBatches.ts';
import { findTask, memsAllowedOf } from './targetTask.ts';
import type { UserAddresses, UserInts } from './userMemory.ts';

/** Addresses that do_pages_stat reads and answers at a time (MP-50). */
const STAT_CHUNK = 16;

/**
 * move_pages(pid, count, pages, nodes, status, flags); `nodes` null asks instead of moving.
 * Returns 0, the pages not migrated (MP-37), or -EINVAL, -EPERM, -ESRCH, -EFAULT, -ENODEV, -EACCES,
 * -ENOMEM. Statuses are written to `status` as far as Linux writes them.
 */
export function movePages(
  k: Kernel,
  caller: Task,
  pid: number,
  count: number,
  pages: UserAddresses,
  nodes: UserInts | null,
  status: UserInts,
  flags: number,
): number {
  if ((flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) return -EINVAL;
  const moveAll = (flags & MPOL_MF_MOVE_ALL) !== 0;
  if (moveAll && !caller.capable(CAP_SYS_NICE)) return -EPERM;
  const target = findTask(k, caller, pid);
  if (typeof target === 'number') return target;
  if (pid !== 0 && !ptraceMayRead(caller, target)) return -EPERM;
  if (target.mm === null) return -EINVAL;
  if (nodes === null) return doPagesStat(k, target.mm, count, pages, status);
  k.lru.setDisabled(true);
  const move = new PagesMove(k, caller, target, count, status, moveAll);
  const result = move.run(pages, nodes);
  k.lru.setDisabled(false);
  return result;
}

/** One do_pages_move on the pages of a process. */
class PagesMove extends MoveBatches {
  readonly #mm: AddressSpace;
  readonly #allowed: number;
  readonly #moveAll: boolean;

  constructor(
    k: Kernel,
    caller: Task,
    target: Task,
    count: number,
    status: UserInts,
    moveAll: boolean,
  ) {
    super(k, caller, count, status);
    this.#mm = target.mm!;
    this.#allowed = memsAllowedOf(k, target);
    this.#moveAll = moveAll;
  }

  /** MP-14. */
  protected checkNode(node: Nid): number {
    if ((this.#allowed & (1 << node)) !== 0) return 0;
    this.k.failures.record(-1, CAUSE_NOT_IN_CPUSET, MR_SYSCALL, 1);
    return -EACCES;
  }

  /** MP-20..MP-28: QUEUED, 0 if the folio is there already, or the page's errno. */
  protected addFolio(address: number, node: Nid): number {
    const k = this.k;
    const vpn = Math.floor(address / PAGE_SIZE);
    const vma = this.#mm.findVma(vpn);
    if (vma === null) return -EFAULT;
    if (!vmaMigratable(vma)) {
      k.failures.record(-1, CAUSE_VMA_NOT_MIGRATABLE, MR_SYSCALL, 1);
      return -EFAULT;
    }
    const page = pageAt(k, this.#mm, vpn);
    if (page < 0) return absentStatus(k, vma, vpn, page);
    if (k.pm.isZoneDevice(page)) return -ENOENT; // MP-24
    const head = k.frames.headOf(page);
    if (k.pm.nidOf(head) === node) return 0;
    if (!this.#moveAll && k.folios.maybeMappedShared(head)) {
      k.failures.record(head, CAUSE_SHARED, MR_SYSCALL, k.folios.nrPages(head));
      return -EACCES;
    }
    if (!k.pm.isCapable('migrate_out', head)) return -EBUSY;
    if (isolateFolio(k, head, this.list)) return QUEUED;
    k.failures.record(head, CAUSE_NOT_ON_LRU, MR_SYSCALL, k.folios.nrPages(head));
    return -EBUSY;
  }
}

/** MP-22, MP-23: the status of an address where pageAt found no folio. */
function absentStatus(k: Kernel, vma: Vma, vpn: number, page: number): number {
  if (page === PAGE_ZERO) return -EFAULT;
  if (k.profile.holesAreEnoent) return -ENOENT;
  // follow_page with FOLL_DUMP: holes of memory that no file fills are -EFAULT, and raw frames.
  if (page === PAGE_SPECIAL) return -EFAULT;
  const fillsItself = vma.file !== null && vma.file.kind !== 'devmem';
  const hole = page === PAGE_NOT_PRESENT && entryIsNone(k, vma.mm, vpn);
  return hole && !fillsItself ? -EFAULT : -ENOENT;
}

/** MP-50..MP-52 (do_pages_stat). */
function doPagesStat(
  k: Kernel,
  mm: AddressSpace,
  count: number,
  pages: UserAddresses,
  status: UserInts,
): number {
  const chunk = new Int32Array(STAT_CHUNK);
  for (let from = 0; from < count; from += STAT_CHUNK) {
    const nr = Math.min(STAT_CHUNK, count - from);
    if (pages.faults(from + nr - 1)) return -EFAULT;
    for (let n = 0; n < nr; n++) {
      chunk[n] = statPage(k, mm, Math.floor(pages.get(from + n) / PAGE_SIZE));
    }
    for (let n = 0; n < nr; n++) if (status.put(from + n, chunk[n]) !== 0) return -EFAULT;
  }
  return 0;
}

/** MP-51: the node of the page at `vpn`, or its errno. Nothing is faulted in. */
function statPage(k: Kernel, mm: AddressSpace, vpn: number): number {
  const vma = mm.findVma(vpn);
  if (vma === null) return -EFAULT;
  const page = pageAt(k, mm, vpn);
  if (page < 0) return absentStatus(k, vma, vpn, page);
  return k.pm.isZoneDevice(page) ? -ENOENT : k.pm.nidOf(page);
}
