/**
 * LRU lists: five per node, and the per-cpu batches in front of them (mm/swap.c, mm/vmscan.c).
 * OV-24, OV-24b, OV-26, OV-27, MC-5, MC-62. Links are frame ids in the frame table.
 * A list's head is its most recently added end.
 *
 * Not modelled: memcg lruvecs, multi-generation LRU.
 */
import { assert } from '../base/assert.ts';
import type { FrameId, Nid } from '../base/units.ts';
import {
  NR_ISOLATED_ANON,
  NR_LRU_BASE,
  NR_UNEVICTABLE,
  NR_ZONE_LRU_BASE,
  vmEvent,
} from '../uapi/vmstat.ts';
import type { Folios } from './folio.ts';
import {
  type FrameTable,
  PG_ACTIVE,
  PG_IDLE,
  PG_LAZYFREE_BATCH,
  PG_LRU,
  PG_LRU_BATCH,
  PG_MLOCKED,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
} from './frameTable.ts';
import type { PhysicalMemory } from './physicalMemory.ts';

export const LRU_INACTIVE_ANON = 0;
export const LRU_ACTIVE_ANON = 1;
export const LRU_INACTIVE_FILE = 2;
export const LRU_ACTIVE_FILE = 3;
export const LRU_UNEVICTABLE = 4;
export const NR_LRU_LISTS = 5;

/** Folios a per-cpu batch holds (PAGEVEC_SIZE). */
const BATCH_SIZE = 31;

const PGLAZYFREE = vmEvent('pglazyfree');
const UNEVICTABLE_PGS_CULLED = vmEvent('unevictable_pgs_culled');
const UNEVICTABLE_PGS_RESCUED = vmEvent('unevictable_pgs_rescued');

/** Neighbours on a list, by their ends; warmest -1 = none. */
export interface Run {
  warmest: FrameId;
  coldest: FrameId;
}

export class Lru {
  readonly #pm: PhysicalMemory;
  readonly #frames: FrameTable;
  readonly #folios: Folios;
  /** nid * 5 + list -> first and last frame, -1 = empty. */
  readonly head: Int32Array;
  readonly tail: Int32Array;
  /** Per-cpu lru-add batch: cpu * 31 + i. */
  readonly #batch: Int32Array;
  readonly #batched: Int32Array;
  readonly #lazyfree: FrameId[] = [];
  /** Callers of lru_cache_disable that have not enabled it again. */
  disabledBy = 0;
  /** Drops a reference and frees at zero; given by the kernel (which also knows hugetlb, swap). */
  putFolio: (head: FrameId) => void = () => assert(false, 'Lru.putFolio is not wired');
  /** mapping_unevictable: the folio's file never lets its pages go (ramfs, secretmem). */
  mappingUnevictable: (head: FrameId) => boolean = () => false;

  /** Private fields, for saved states (src/state). */
  static privateFields(lru: Lru): object {
    return {
      pm: lru.#pm,
      frames: lru.#frames,
      folios: lru.#folios,
      batch: lru.#batch,
      batched: lru.#batched,
      lazyfree: lru.#lazyfree,
    };
  }

  constructor(pm: PhysicalMemory, folios: Folios, nrCpus: number) {
    this.#pm = pm;
    this.#frames = pm.frames;
    this.#folios = folios;
    this.head = new Int32Array(pm.nodes.length * NR_LRU_LISTS).fill(-1);
    this.tail = new Int32Array(pm.nodes.length * NR_LRU_LISTS).fill(-1);
    this.#batch = new Int32Array(nrCpus * BATCH_SIZE);
    this.#batched = new Int32Array(nrCpus);
  }

  /** Which list a folio's flags select. */
  listOf(head: FrameId): number {
    const flags = this.#frames.flags[head];
    if ((flags & PG_UNEVICTABLE) !== 0) return LRU_UNEVICTABLE;
    const base = (flags & PG_SWAPBACKED) !== 0 ? LRU_INACTIVE_ANON : LRU_INACTIVE_FILE;
    return (flags & PG_ACTIVE) !== 0 ? base + 1 : base;
  }

  /** Base pages on a list of a node. */
  size(nid: Nid, list: number): number {
    return this.#pm.vmstat.nodeItem(nid, NR_LRU_BASE + list);
  }

  /** Queues a fresh folio on the cpu's batch, which takes a reference (folio_add_lru). */
  addBatched(cpu: number, head: FrameId): void {
    const f = this.#frames;
    assert((f.flags[head] & (PG_LRU | PG_LRU_BATCH)) === 0, 'folio is on an LRU or batch already');
    f.refcount[head]++;
    f.flags[head] |= PG_LRU_BATCH;
    this.#batch[cpu * BATCH_SIZE + this.#batched[cpu]++] = head;
    const full = this.#batched[cpu] === BATCH_SIZE;
    if (full || this.disabled || this.#folios.isLarge(head)) this.drainCpu(cpu);
  }

  /** Moves one cpu's batch to the lists (lru_add_drain_cpu). */
  drainCpu(cpu: number): void {
    const n = this.#batched[cpu];
    this.#batched[cpu] = 0;
    for (let i = 0; i < n; i++) {
      const head = this.#batch[cpu * BATCH_SIZE + i];
      this.#frames.flags[head] &= ~PG_LRU_BATCH;
      if (this.#frames.refcount[head] > 1) this.lruAdd(head);
      this.putFolio(head);
    }
    this.#drainLazyfree();
  }

  /** Batches hold nothing while a SYNC caller works (MP-11, MC-8). */
  get disabled(): boolean {
    return this.disabledBy > 0;
  }

  /** lru_cache_disable and _enable: calls count. */
  setDisabled(disabled: boolean): void {
    if (disabled) this.drainAll();
    this.disabledBy += disabled ? 1 : -1;
    assert(this.disabledBy >= 0, 'lru_cache_enable without lru_cache_disable');
  }

  /** lru_add_drain_all. */
  drainAll(): void {
    for (let cpu = 0; cpu < this.#batched.length; cpu++) this.drainCpu(cpu);
  }

  /** Puts a folio on the list its flags select, at the head; sets PG_LRU. */
  add(head: FrameId): void {
    const f = this.#frames;
    const nid = this.#pm.nidOf(head);
    const list = nid * NR_LRU_LISTS + this.listOf(head);
    const first = this.head[list];
    f.lruPrev[head] = -1;
    f.lruNext[head] = first;
    if (first >= 0) f.lruPrev[first] = head;
    else this.tail[list] = head;
    this.head[list] = head;
    f.flags[head] |= PG_LRU;
    this.#account(head, nid, list - nid * NR_LRU_LISTS, this.#folios.nrPages(head));
  }

  /** Takes a folio off its list and clears PG_LRU. Preconditions: PG_LRU is set. */
  remove(head: FrameId): void {
    const f = this.#frames;
    const nid = this.#pm.nidOf(head);
    const list = nid * NR_LRU_LISTS + this.listOf(head);
    const next = f.lruNext[head];
    const prev = f.lruPrev[head];
    if (prev >= 0) f.lruNext[prev] = next;
    else this.head[list] = next;
    if (next >= 0) f.lruPrev[next] = prev;
    else this.tail[list] = prev;
    f.flags[head] &= ~PG_LRU;
    this.#account(head, nid, list - nid * NR_LRU_LISTS, -this.#folios.nrPages(head));
  }

  /**
   * Takes a run off a list and puts it before `aside`, as isolate_lru_folios does with folios that
   * it skips. They keep PG_LRU and stay counted: spliceAside must follow at once.
   */
  setAside(nid: Nid, list: number, run: Run, aside: Run): void {
    const f = this.#frames;
    const at = nid * NR_LRU_LISTS + list;
    const next = f.lruNext[run.coldest];
    const prev = f.lruPrev[run.warmest];
    if (prev >= 0) f.lruNext[prev] = next;
    else this.head[at] = next;
    if (next >= 0) f.lruPrev[next] = prev;
    else this.tail[at] = prev;
    // A run set aside later was warmer.
    f.lruNext[run.coldest] = aside.warmest;
    if (aside.warmest >= 0) f.lruPrev[aside.warmest] = run.coldest;
    else aside.coldest = run.coldest;
    f.lruPrev[run.warmest] = -1;
    aside.warmest = run.warmest;
  }

  /** Puts what was set aside at the head of its list. */
  spliceAside(nid: Nid, list: number, aside: Run): void {
    if (aside.warmest < 0) return;
    const f = this.#frames;
    const at = nid * NR_LRU_LISTS + list;
    const first = this.head[at];
    f.lruNext[aside.coldest] = first;
    if (first >= 0) f.lruPrev[first] = aside.coldest;
    else this.tail[at] = aside.coldest;
    this.head[at] = aside.warmest;
    aside.warmest = -1;
  }

  /** MC-5 (folio_isolate_lru): false if PG_LRU is clear. Takes a reference; not NR_ISOLATED. */
  isolate(head: FrameId): boolean {
    if ((this.#frames.flags[head] & PG_LRU) === 0) return false;
    this.#frames.refcount[head]++;
    this.remove(head);
    return true;
  }

  /** NR_ISOLATED_ANON or _FILE += the folio's pages * sign (OV-27). */
  countIsolated(head: FrameId, sign: number): void {
    const item = NR_ISOLATED_ANON + (this.#folios.isFileLru(head) ? 1 : 0);
    this.#pm.vmstat.modNode(this.#pm.nidOf(head), item, sign * this.#folios.nrPages(head));
  }

  /**
   * folio_putback_lru: an isolated folio goes back by way of the cpu's batch, which takes over the
   * isolation reference; until it is drained the folio cannot be isolated again (MC-62, OV-24b).
   */
  putback(cpu: number, head: FrameId): void {
    this.addBatched(cpu, head);
    this.putFolio(head);
  }

  /** move_folios_to_lru: reclaim puts its folios straight back on their lists. */
  putbackDirect(head: FrameId): void {
    if (this.#frames.refcount[head] > 1) this.lruAdd(head);
    this.putFolio(head);
  }

  /** lru_add: whether the folio is evictable is decided again, then it goes on its list. */
  lruAdd(head: FrameId): void {
    const f = this.#frames;
    const was = (f.flags[head] & PG_UNEVICTABLE) !== 0;
    const mlocked = (f.flags[head] & PG_MLOCKED) !== 0;
    const fileBacked = (f.flags[head] & PG_SWAPBACKED) === 0;
    if (mlocked || (fileBacked && this.mappingUnevictable(head))) {
      f.flags[head] = (f.flags[head] | PG_UNEVICTABLE) & ~PG_ACTIVE;
      if (!was) this.#pm.vmstat.count(UNEVICTABLE_PGS_CULLED, this.#folios.nrPages(head));
    } else if (was) {
      f.flags[head] &= ~PG_UNEVICTABLE;
      this.#pm.vmstat.count(UNEVICTABLE_PGS_RESCUED, this.#folios.nrPages(head));
    }
    this.add(head);
  }

  /** folio_mark_accessed: unreferenced -> referenced -> active. HS-8. */
  markAccessed(head: FrameId): void {
    const f = this.#frames;
    f.flags[head] &= ~PG_IDLE;
    const flags = f.flags[head];
    if ((flags & PG_REFERENCED) === 0) f.flags[head] |= PG_REFERENCED;
    else if ((flags & (PG_ACTIVE | PG_UNEVICTABLE)) === 0) this.activate(head);
  }

  activate(head: FrameId): void {
    const f = this.#frames;
    if ((f.flags[head] & PG_LRU) === 0) {
      f.flags[head] |= PG_ACTIVE;
    } else {
      this.remove(head);
      f.flags[head] |= PG_ACTIVE;
      this.add(head);
    }
    f.flags[head] &= ~PG_REFERENCED;
    this.#pm.vmstat.count(PGACTIVATE, this.#folios.nrPages(head));
  }

  /** MADV_COLD: an active folio becomes inactive, unreferenced (folio_deactivate). */
  deactivate(head: FrameId): void {
    const f = this.#frames;
    if ((f.flags[head] & (PG_LRU | PG_ACTIVE | PG_UNEVICTABLE)) !== (PG_LRU | PG_ACTIVE)) return;
    this.remove(head);
    f.flags[head] &= ~(PG_ACTIVE | PG_REFERENCED);
    this.add(head);
    this.#pm.vmstat.count(PGDEACTIVATE, this.#folios.nrPages(head));
  }

  /** MADV_FREE: queued; becomes lazyfree at the next drain (OV-24b). Takes a reference. */
  markLazyfree(head: FrameId): void {
    const f = this.#frames;
    if ((f.flags[head] & PG_LAZYFREE_BATCH) !== 0) return;
    f.refcount[head]++;
    f.flags[head] |= PG_LAZYFREE_BATCH;
    this.#lazyfree.push(head);
  }

  /** The node's list changes because flags change: call around a change of PG_UNEVICTABLE. */
  relist(head: FrameId, change: () => void): void {
    const listed = (this.#frames.flags[head] & PG_LRU) !== 0;
    if (listed) this.remove(head);
    change();
    if (listed) this.add(head);
  }

  #drainLazyfree(): void {
    const f = this.#frames;
    for (const head of this.#lazyfree) {
      f.flags[head] &= ~PG_LAZYFREE_BATCH;
      const flags = f.flags[head];
      const eligible =
        (flags & PG_LRU) !== 0 &&
        (flags & PG_SWAPBACKED) !== 0 &&
        (flags & (PG_SWAPCACHE | PG_UNEVICTABLE)) === 0;
      if (eligible) {
        this.remove(head);
        f.flags[head] &= ~(PG_ACTIVE | PG_REFERENCED | PG_SWAPBACKED);
        this.add(head);
        this.#pm.vmstat.count(PGLAZYFREE, this.#folios.nrPages(head));
      }
      this.putFolio(head);
    }
    this.#lazyfree.length = 0;
  }

  #account(head: FrameId, nid: Nid, list: number, pages: number): void {
    const vmstat = this.#pm.vmstat;
    vmstat.modNode(nid, NR_LRU_BASE + list, pages);
    vmstat.modZone(this.#pm.zoneOf(head).id, NR_ZONE_LRU_BASE + list, pages);
  }
}

const PGACTIVATE = vmEvent('pgactivate');
const PGDEACTIVATE = vmEvent('pgdeactivate');

/** The unevictable gauge's column equals the list number: checked where the names are defined. */
assert(NR_UNEVICTABLE === NR_LRU_BASE + LRU_UNEVICTABLE, 'LRU gauges are in list order');
