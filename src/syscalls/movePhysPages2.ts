/**
 * move_phys_pages2: physical migration that cannot hit the wrong content. Our own extension; no
 * Linux has it. An entry carries the generation that its frame had when the heat was measured;
 * the call answers -ESTALE if the frame holds something else by now. PP-60..PP-99.
 *
 * Every entry gets a status of its own: what the engine leaves does not end the call (PP-75).
 *
 * Not modelled: signals between batches (PP-81), SPLIT_COLD (PP-77), opaque handles (PP-73), the
 * cpuset of a page cache folio's memory cgroup (PP-78).
 */
import { type FrameId, type Nanoseconds, type Nid, PAGE_SIZE } from '../base/units.ts';
import {
  CAUSE_NOT_ON_LRU,
  CAUSE_SHARED,
  isolateFolio,
  type Kernel,
  mappersVerdict,
  migratePages,
  PG_LOCKED,
  PG_TAIL,
  putbackMovablePages,
  type Task,
} from '../mm/index.ts';
import {
  E2BIG,
  EACCES,
  EAGAIN,
  EBUSY,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOMEM,
  ESTALE,
} from '../uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MAX_NUMNODES, MPOL_MF_MOVE, MPOL_MF_MOVE_ALL } from '../uapi/mempolicy.ts';
import { MIGRATE_ASYNC, MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import { recordRefusal } from './movePhysPages.ts';
import {
  isOnLru,
  onlineFrame,
  type PhysicalPermission,
  physicalPermission,
} from './physicalPage.ts';

/** Flags of the call besides MPOL_MF_MOVE and MPOL_MF_MOVE_ALL (PP-66). */
export const MPF_DRYRUN = 1 << 3;
export const MPF_UNMAPPED_CACHE = 1 << 4;
export const MPF_NO_WAIT = 1 << 5;
const CALL_FLAGS = MPOL_MF_MOVE | MPOL_MF_MOVE_ALL | MPF_DRYRUN | MPF_UNMAPPED_CACHE | MPF_NO_WAIT;

/** Flags of an entry. */
export const MPE_EXACT_HEAD = 1 << 0;
export const MPE_ALLOW_TAIL = 1 << 1;

/** An entry's order when the sampler does not know it. */
export const ORDER_UNKNOWN = 0xff;

/** An entry's generation that is not compared (PP-71). */
export const GENERATION_ANY = 0;

const ENTRIES_MAX = 1 << 20;
/** Entries of one batch, which is also the window in which a folio is met once (PP-76). */
const BATCH_ENTRIES = 512;

/** The entries of a call, column by column, each `count` long. */
export interface PhysicalEntries {
  readonly count: number;
  /** Physical byte addresses. */
  readonly address: Float64Array;
  readonly generation: Uint32Array;
  readonly order: Uint8Array;
  readonly flags: Uint8Array;
  /** Target nodes. */
  readonly node: Int32Array;
}

export interface PhysicalCallOptions {
  readonly permission: PhysicalPermission;
  /** An entry without a generation is refused: -EINVAL (PP-71). */
  readonly isCookieRequired: boolean;
  /** Age of the samples; older than `maxAgeNs` is -ESTALE (PP-70). Infinity = no bound. */
  readonly ageNs: Nanoseconds;
  readonly maxAgeNs: Nanoseconds;
  /** What others do to the frame between the first look at its generation and the reference. */
  readonly meanwhile: (frame: FrameId) => void;
}

export const PHYSICAL_CALL_DEFAULTS: PhysicalCallOptions = {
  permission: 'sys-admin',
  isCookieRequired: false,
  ageNs: 0,
  maxAgeNs: Number.POSITIVE_INFINITY,
  meanwhile: () => {},
};

/** PP-94: entries by outcome; the call adds to it. */
export class PhysicalMoveCounts {
  queued = 0;
  ok = 0;
  stale = 0;
  enoent = 0;
  eacces = 0;
  efault = 0;
  ebusy = 0;
  dedup = 0;
}

/** judge: the folio may be queued. Statuses are negative or nodes, which are below MAX_NUMNODES. */
const MAY_MOVE = MAX_NUMNODES;

/**
 * move_phys_pages2(entries, status, flags). Returns how many entries have a negative status,
 * or -EINVAL (flags), -E2BIG (over 2^20 entries), -EPERM. Statuses: the node, -ENOENT, -ESTALE,
 * -EFAULT, -EACCES, -EBUSY, -ENODEV (no such node), -EINVAL (entry), -ENOMEM, -EAGAIN (the engine
 * gave up, PP-75).
 */
export function movePhysPages2(
  k: Kernel,
  caller: Task,
  entries: PhysicalEntries,
  status: Int32Array,
  flags: number,
  options: PhysicalCallOptions = PHYSICAL_CALL_DEFAULTS,
  counts: PhysicalMoveCounts = new PhysicalMoveCounts(),
): number {
  if ((flags & ~CALL_FLAGS) !== 0) return -EINVAL;
  // PP-78: nobody's cpuset protects page cache without mappers.
  const needed = (flags & MPF_UNMAPPED_CACHE) !== 0 ? 'sys-admin' : options.permission;
  const refused = physicalPermission(caller, needed, flags);
  if (refused !== 0) return refused;
  if (entries.count > ENTRIES_MAX) return -E2BIG;
  k.lru.setDisabled(true);
  new StaleSafeMove(k, caller, entries, status, flags, options, counts).run();
  k.lru.setDisabled(false);
  let failed = 0;
  for (let i = 0; i < entries.count; i++) if (status[i] < 0) failed++;
  return failed;
}

class StaleSafeMove {
  readonly #k: Kernel;
  readonly #caller: Task;
  readonly #entries: PhysicalEntries;
  readonly #status: Int32Array;
  readonly #flags: number;
  readonly #options: PhysicalCallOptions;
  readonly #counts: PhysicalMoveCounts;
  readonly #list: FrameId[] = [];
  /** Of the open batch: its folios, and the entries that wait for its result. */
  readonly #isolated = new Set<FrameId>();
  readonly #waiting: number[] = [];
  /** The folio that `judge` was about. */
  #head: FrameId = -1;

  constructor(
    k: Kernel,
    caller: Task,
    entries: PhysicalEntries,
    status: Int32Array,
    flags: number,
    options: PhysicalCallOptions,
    counts: PhysicalMoveCounts,
  ) {
    this.#k = k;
    this.#caller = caller;
    this.#entries = entries;
    this.#status = status;
    this.#flags = flags;
    this.#options = options;
    this.#counts = counts;
  }

  run(): void {
    const { node, count } = this.#entries;
    let batchNode = -1;
    for (let i = 0; i < count; i++) {
      if (node[i] !== batchNode || this.#waiting.length === BATCH_ENTRIES) this.#flush(batchNode);
      batchNode = node[i];
      const verdict = this.#judge(i);
      if (verdict === MAY_MOVE) this.#queue(i);
      else this.#settle(i, verdict);
    }
    this.#flush(batchNode);
  }

  /** PP-67, steps 1 to 10. */
  #judge(i: number): number {
    const { address, flags, node } = this.#entries;
    const k = this.#k;
    if (!this.#isNode(node[i])) return -ENODEV;
    if ((flags[i] & ~(MPE_EXACT_HEAD | MPE_ALLOW_TAIL)) !== 0) return -EINVAL;
    const page = onlineFrame(k, address[i]);
    if (page < 0) return -ENOENT;
    const first = this.#folioMeant(i, page);
    const before = this.#cookieVerdict(i, first);
    if (before !== 0) return before;
    if ((k.frames.flags[first] & PG_TAIL) !== 0) return -ENOENT;
    if (!this.#isOrderRight(i, first)) return -ESTALE;
    this.#options.meanwhile(first);
    // With the reference: a folio that was split meanwhile is another one for its tails.
    const head = this.#folioMeant(i, page);
    this.#head = head;
    if (this.#isolated.has(head)) return MAY_MOVE;
    const isHeld = isOnLru(k, head);
    // A frame that got other content meanwhile tells nothing about it (PP-68).
    if (this.#cookieVerdict(i, head) !== 0) return -ESTALE;
    if (!isHeld) return -ENOENT;
    return this.#mayGo(head, node[i]);
  }

  /** PP-7. */
  #isNode(node: number): boolean {
    const { nodesWithMemory, capable } = this.#k.pm;
    const nodes = nodesWithMemory & capable.migrate_in;
    return node >= 0 && node < MAX_NUMNODES && (nodes & (1 << node)) !== 0;
  }

  /** PP-66: with ALLOW_TAIL a tail stands for its head, whose generation is meant. */
  #folioMeant(i: number, page: FrameId): FrameId {
    const isTailAllowed = (this.#entries.flags[i] & MPE_ALLOW_TAIL) !== 0;
    return isTailAllowed ? this.#k.frames.headOf(page) : page;
  }

  /** PP-67 (2, 6), PP-70, PP-71. */
  #cookieVerdict(i: number, frame: FrameId): number {
    const cookie = this.#entries.generation[i];
    const { isCookieRequired, ageNs, maxAgeNs } = this.#options;
    if (ageNs > maxAgeNs) return -ESTALE;
    if (cookie === GENERATION_ANY) return isCookieRequired ? -EINVAL : 0;
    return cookie === this.#k.frames.generation[frame] ? 0 : -ESTALE;
  }

  #isOrderRight(i: number, head: FrameId): boolean {
    const { order, flags } = this.#entries;
    if (order[i] === ORDER_UNKNOWN || (flags[i] & MPE_EXACT_HEAD) === 0) return true;
    return order[i] === Math.log2(this.#k.folios.nrPages(head));
  }

  /** PP-67 (7 to 10). */
  #mayGo(head: FrameId, nid: Nid): number {
    const k = this.#k;
    if ((this.#flags & MPF_NO_WAIT) !== 0 && (k.frames.flags[head] & PG_LOCKED) !== 0) {
      return -EBUSY;
    }
    const verdict = mappersVerdict(k, head, nid, true);
    const isLoneCache = verdict === -ENOENT && this.#isUnmappedCache(head);
    if (verdict !== 0 && !isLoneCache) return recordRefusal(k, head, verdict);
    if (k.pm.nidOf(head) === nid) return nid;
    if ((this.#flags & MPOL_MF_MOVE_ALL) === 0 && k.folios.maybeMappedShared(head)) {
      k.failures.record(head, CAUSE_SHARED, MR_SYSCALL, k.folios.nrPages(head));
      return -EACCES;
    }
    if (!k.pm.isCapable('migrate_out', head)) return -EBUSY;
    return (this.#flags & MPF_DRYRUN) !== 0 ? nid : MAY_MOVE;
  }

  /** PP-78. */
  #isUnmappedCache(head: FrameId): boolean {
    return (this.#flags & MPF_UNMAPPED_CACHE) !== 0 && this.#k.folios.hasFileMapping(head);
  }

  /** PP-67 (11, 12), PP-76: a folio that the batch has already waits for the same result. */
  #queue(i: number): void {
    const k = this.#k;
    const head = this.#head;
    if (this.#isolated.has(head)) {
      this.#counts.dedup++;
    } else if (isolateFolio(k, head, this.#list)) {
      this.#isolated.add(head);
      this.#counts.queued++;
    } else {
      k.failures.record(head, CAUSE_NOT_ON_LRU, MR_SYSCALL, k.folios.nrPages(head));
      this.#settle(i, -EBUSY);
      return;
    }
    this.#waiting.push(i);
  }

  /** PP-75: each entry of the batch by where its page is. */
  #flush(nid: Nid): void {
    const k = this.#k;
    const list = this.#list;
    if (this.#waiting.length === 0) return;
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
    const destination = { nid, mask: this.#caller.memsAllowed, gfp };
    const mode = (this.#flags & MPF_NO_WAIT) !== 0 ? MIGRATE_ASYNC : MIGRATE_SYNC;
    const result = migratePages(k, list, destination, mode, MR_SYSCALL);
    const left = new Set(list);
    for (const i of this.#waiting) {
      const isLeft = left.has(k.frames.headOf(this.#frameMeant(i)));
      if (isLeft) this.#settle(i, result === -ENOMEM ? -ENOMEM : -EAGAIN);
      else this.#settle(i, nid);
    }
    putbackMovablePages(k, list);
    this.#isolated.clear();
    this.#waiting.length = 0;
  }

  /** The frame that the address names; its folio may have been split by the engine. */
  #frameMeant(i: number): FrameId {
    return this.#k.frames.frameOfPfn(Math.floor(this.#entries.address[i] / PAGE_SIZE));
  }

  #settle(i: number, status: number): void {
    const counts = this.#counts;
    this.#status[i] = status;
    if (status >= 0) counts.ok++;
    else if (status === -ESTALE) counts.stale++;
    else if (status === -ENOENT) counts.enoent++;
    else if (status === -EACCES) counts.eacces++;
    else if (status === -EBUSY) counts.ebusy++;
    else if (status === -EFAULT) counts.efault++;
  }
}
