/**
 * The pool of 2 MiB hugetlb pages (mm/hugetlb.c: struct hstate): pages set aside per node, pages
 * promised to mappings, and surplus pages beyond what was asked for. MP-91, MP-110, MP-111.
 *
 * A pool page is a folio of order 9 with PG_HUGETLB; `private_` of its head holds HPAGE_*. Free
 * ones have no reference. A temporary page stands in for a missing one during a migration: it does
 * not come back to the pool, unless the migration makes it a real one.
 * Not modelled: other sizes, vmemmap optimisation, hugetlb cgroups, subpools (min/max of mounts).
 */
import { assert } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Nid } from '../base/units.ts';
import {
  __GFP_COMP,
  __GFP_NOWARN,
  __GFP_RETRY_MAYFAIL,
  __GFP_THISNODE,
  GFP_HIGHUSER_MOVABLE,
} from '../uapi/gfp.ts';
import { NR_HUGETLB, vmEvent } from '../uapi/vmstat.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import { bumpGenerations } from './allocFastpath.ts';
import { PG_HEAD, PG_HUGETLB, PG_HWPOISON } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { allocPages, freePages } from './pageAlloc.ts';

/** May be isolated: set once it is mapped, taken while it is on a migration's list (MC-6). */
export const HPAGE_MIGRATABLE = 1;
export const HPAGE_TEMPORARY = 2;
/** Given to a mapping, counted in NR_HUGETLB. */
const HPAGE_IN_USE = 4;

const HTLB_BUDDY_PGALLOC = vmEvent('htlb_buddy_alloc_success');
const HTLB_BUDDY_PGALLOC_FAIL = vmEvent('htlb_buddy_alloc_fail');

const NODES_MAX = 32;

export class HugetlbPool {
  readonly #k: Kernel;
  /** Free pages of each node; the last is given out first. */
  readonly #free: FrameId[][] = Array.from({ length: NODES_MAX }, () => []);
  /** All pages by node, temporary ones included; of these, surplus ones. */
  readonly nrHuge: Int32Array = new Int32Array(NODES_MAX);
  readonly surplus: Int32Array = new Int32Array(NODES_MAX);
  /** Pages promised to mappings and not yet faulted in. */
  reserved = 0;
  /** vm.nr_overcommit_hugepages: most surplus pages. */
  overcommit = 0;
  /** The node whose turn it is to give or get a page (next_nid_to_alloc, next_nid_to_free). */
  nextToAlloc: Nid = 0;
  nextToFree: Nid = 0;

  /** Private fields, for saved states (src/state). */
  static privateFields(pool: HugetlbPool): object {
    return {
      k: pool.#k,
      free: pool.#free,
    };
  }

  constructor(k: Kernel) {
    this.#k = k;
  }

  get total(): number {
    return sum(this.nrHuge);
  }

  get totalSurplus(): number {
    return sum(this.surplus);
  }

  freeOf(nid: Nid): number {
    return this.#free[nid].length;
  }

  get totalFree(): number {
    return this.#free.reduce((pages, list) => pages + list.length, 0);
  }

  /** available_huge_pages: free and promised to nobody. */
  get available(): number {
    return this.totalFree - this.reserved;
  }

  /**
   * set_max_huge_pages: the number of persistent pages of one node, or of all (nid -1), of which
   * those in `mask` give and take (nr_hugepages_mempolicy); by default those that memory falls back
   * to: a device memory node has to be named (DM-101).
   */
  resize(pages: number, nid: Nid, mask = -1): void {
    const allowed = mask === -1 ? this.#k.pm.capable.fallback : mask;
    const nodes = nid < 0 ? this.#nodes().filter((one) => (allowed & (1 << one)) !== 0) : [nid];
    const others = nid < 0 ? 0 : this.#persistent() - (this.nrHuge[nid] - this.surplus[nid]);
    const wanted = pages + others;
    while (wanted > this.#persistent() && this.#adjustSurplus(nodes, -1));
    while (wanted > this.#persistent() && this.#growOnce(nodes));
    const used = this.reserved + this.total - this.totalFree;
    const least = Math.max(wanted, used);
    while (this.#persistent() > least && this.#shrinkOnce(nodes));
    while (this.#persistent() > wanted && this.#adjustSurplus(nodes, 1));
  }

  /**
   * hugetlb_acct_memory: promises `pages` more, with surplus pages if the free ones do not suffice.
   * False: -ENOMEM, nothing is promised.
   */
  promise(pages: number): boolean {
    const missing = this.reserved + pages - this.totalFree;
    for (let n = 0; n < missing; n++) {
      const head = this.#allocSurplus(this.#k.pm.currentNid, -1);
      if (head < 0) {
        this.#returnSurplus(n);
        return false;
      }
      this.#k.frames.refcount[head] = 0;
      this.#free[this.#k.pm.nidOf(head)].push(head);
    }
    this.reserved += pages;
    return true;
  }

  /** Promises that are not needed any more; surplus pages that were made for them go. */
  release(pages: number): void {
    this.reserved -= pages;
    assert(this.reserved >= 0, 'hugetlb reservations drop below zero');
    this.#returnSurplus(pages);
  }

  /**
   * A page for a mapping, with one reference: from the pool by the nodes of a policy, else a
   * surplus page. `isPromised` uses up a promise. -1: none.
   */
  take(nid: Nid, mask: number, isPromised: boolean): FrameId {
    let head = isPromised || this.available > 0 ? this.#dequeue(nid, mask, false) : -1;
    if (head >= 0 && isPromised) this.reserved--;
    if (head < 0) head = this.#allocSurplus(nid, mask);
    if (head >= 0) this.#countUse(head, 1);
    return head;
  }

  /** alloc_hugetlb_folio_nodemask: the destination of a migration; temporary if made for it. */
  takeForMigration(nid: Nid, mask: number, gfp: number, mayFallBack: boolean): FrameId {
    const exact = (gfp & __GFP_THISNODE) !== 0;
    let head = this.available > 0 ? this.#dequeue(nid, mask, exact) : -1;
    if (head < 0) {
      const here = exact || !mayFallBack ? __GFP_THISNODE : 0;
      head = this.#allocFresh(nid, mask, here);
      if (head >= 0) this.#k.frames.private_[head] |= HPAGE_TEMPORARY;
    }
    if (head >= 0) this.#countUse(head, 1);
    return head;
  }

  /** move_hugetlb_state: the page that came with the migration stays, the other one goes. */
  exchange(src: FrameId, dst: FrameId): void {
    const { private_ } = this.#k.frames;
    if ((private_[dst] & HPAGE_TEMPORARY) === 0) return;
    private_[src] |= HPAGE_TEMPORARY;
    private_[dst] &= ~HPAGE_TEMPORARY;
    const [from, to] = [this.#k.pm.nidOf(src), this.#k.pm.nidOf(dst)];
    if (from === to || this.surplus[from] === 0) return;
    this.surplus[from]--;
    this.surplus[to]++;
  }

  /** free_huge_folio: the last reference is gone. */
  free(head: FrameId): void {
    const f = this.#k.frames;
    const nid = this.#k.pm.nidOf(head);
    assert(this.#k.folios.mapcount(head) === 0, 'hugetlb page freed while mapped', head);
    this.#countUse(head, -1);
    const isTemporary = (f.private_[head] & HPAGE_TEMPORARY) !== 0;
    f.private_[head] = 0;
    f.mapping[head] = 0;
    f.flags[head] &= PG_HEAD | PG_HUGETLB | PG_HWPOISON;
    if (isTemporary) this.#toBuddy(head);
    else if (this.surplus[nid] > 0) {
      this.surplus[nid]--;
      this.#toBuddy(head);
    } else {
      this.#free[nid].push(head);
      this.#changeContent(head);
    }
  }

  /** PP-61: a page of the pool changes hands without the buddy allocator. */
  #changeContent(head: FrameId): void {
    bumpGenerations(this.#k.frames, head, head + HPAGE_PMD_NR);
  }

  /**
   * dissolve_free_hugetlb_folio: a free page of the pool becomes ordinary free memory. False if it
   * is in use or promised. A page that left the pool already needs nothing.
   */
  dissolveFree(head: FrameId): boolean {
    if (!this.#k.folios.isHugetlb(head)) return true;
    const nid = this.#k.pm.nidOf(head);
    const list = this.#free[nid];
    const at = list.indexOf(head);
    if (at < 0 || this.available === 0) return false;
    list.splice(at, 1);
    if (this.surplus[nid] > 0) this.surplus[nid]--;
    this.#toBuddy(head);
    return true;
  }

  /**
   * dissolve_free_hugetlb_folios: free pool pages in [start, end), whole huge pages. Returns -1, or
   * the head of a page that stays, free but promised to a mapping: -EBUSY, PM-70.
   */
  dissolveFreeRange(start: FrameId, end: FrameId): FrameId {
    for (let head = start; head < end; head += HPAGE_PMD_NR) {
      if (this.isFree(head) && !this.dissolveFree(head)) return head;
    }
    return -1;
  }

  /**
   * alloc_and_dissolve_hugetlb_folio: a fresh page of the same node takes the place of a free one
   * of the pool, which becomes free memory. False: -ENOMEM.
   */
  replaceFree(head: FrameId): boolean {
    const nid = this.#k.pm.nidOf(head);
    const fresh = this.#allocFresh(nid, -1, __GFP_THISNODE);
    if (fresh < 0) return false;
    this.#k.frames.refcount[fresh] = 0;
    const list = this.#free[nid];
    list[list.indexOf(head)] = fresh;
    this.#toBuddy(head);
    return true;
  }

  /** Whether a page of the pool is free, given to no mapping. */
  isFree(head: FrameId): boolean {
    return this.#k.folios.isHugetlb(head) && this.#k.frames.refcount[head] === 0;
  }

  #nodes(): Nid[] {
    const { nodes, nodesWithMemory } = this.#k.pm;
    return nodes.map((node) => node.nid).filter((nid) => (nodesWithMemory & (1 << nid)) !== 0);
  }

  #persistent(): number {
    return this.total - this.totalSurplus;
  }

  /** alloc_pool_huge_folio. */
  #growOnce(nodes: readonly Nid[]): boolean {
    return this.#takeTurns(nodes, 'nextToAlloc', (nid) => {
      const head = this.#allocFresh(nid, -1, __GFP_THISNODE);
      if (head < 0) return false;
      this.#k.frames.refcount[head] = 0;
      this.#free[nid].push(head);
      return true;
    });
  }

  /** remove_pool_hugetlb_folio. */
  #shrinkOnce(nodes: readonly Nid[]): boolean {
    return this.#takeTurns(nodes, 'nextToFree', (nid) => {
      const head = this.#free[nid].pop();
      if (head === undefined) return false;
      this.#toBuddy(head);
      return true;
    });
  }

  /** adjust_pool_surplus: pages change between persistent (-1) and surplus (+1). */
  #adjustSurplus(nodes: readonly Nid[], delta: number): boolean {
    return this.#takeTurns(nodes, delta < 0 ? 'nextToAlloc' : 'nextToFree', (nid) => {
      const may = delta < 0 ? this.surplus[nid] > 0 : this.surplus[nid] < this.nrHuge[nid];
      if (may) this.surplus[nid] += delta;
      return may;
    });
  }

  /**
   * for_each_node_mask_to_alloc, for_each_node_mask_to_free: each of `nodes` once, from the one
   * whose turn it is, until one does what is wanted. False: none did.
   */
  #takeTurns(
    nodes: readonly Nid[],
    whose: 'nextToAlloc' | 'nextToFree',
    tryNode: (nid: Nid) => boolean,
  ): boolean {
    const from = Math.max(
      nodes.findIndex((nid) => nid >= this[whose]),
      0,
    );
    for (let n = 0; n < nodes.length; n++) {
      const at = (from + n) % nodes.length;
      this[whose] = nodes[(at + 1) % nodes.length];
      if (tryNode(nodes[at])) return true;
    }
    return false;
  }

  /** dequeue_hugetlb_folio_nodemask. A long-term pin takes no page that may not stay. */
  #dequeue(nid: Nid, mask: number, exact: boolean): FrameId {
    const order = exact ? [nid] : this.#k.pm.nodes[nid].fallbackOrder;
    for (const candidate of order) {
      if ((mask & (1 << candidate)) === 0) continue;
      const list = this.#free[candidate];
      for (let i = list.length - 1; i >= 0; i--) {
        const head = list[i];
        if (this.#k.frames.has(head, PG_HWPOISON) || !this.#mayStay(head)) continue;
        list.splice(i, 1);
        this.#k.frames.refcount[head] = 1;
        this.#changeContent(head);
        return head;
      }
    }
    return -1;
  }

  #mayStay(head: FrameId): boolean {
    return !this.#k.pm.hooks.memallocPin || this.#k.pm.zoneOf(head).type !== ZONE_MOVABLE;
  }

  #allocSurplus(nid: Nid, mask: number): FrameId {
    if (this.totalSurplus >= this.overcommit) return -1;
    const head = this.#allocFresh(nid, mask, 0);
    if (head >= 0) this.surplus[this.#k.pm.nidOf(head)]++;
    return head;
  }

  /** return_unused_surplus_pages. */
  #returnSurplus(pages: number): void {
    for (let n = 0; n < pages; n++) {
      const nid = this.surplus.findIndex((count, at) => count > 0 && this.#free[at].length > 0);
      if (nid < 0 || this.totalFree <= this.reserved) return;
      this.surplus[nid]--;
      this.#toBuddy(this.#free[nid].pop()!);
    }
  }

  /** alloc_buddy_hugetlb_folio: a page with one reference, counted in the pool. */
  #allocFresh(nid: Nid, mask: number, flags: number): FrameId {
    const k = this.#k;
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NOWARN | __GFP_RETRY_MAYFAIL | flags;
    const head = allocPages(k.pm, HPAGE_PMD_ORDER, gfp, nid, mask);
    k.vmstat.count(head < 0 ? HTLB_BUDDY_PGALLOC_FAIL : HTLB_BUDDY_PGALLOC, 1);
    if (head < 0) return -1;
    k.folios.initLarge(head, false);
    k.frames.set(head, PG_HUGETLB);
    k.frames.private_[head] = 0;
    this.nrHuge[k.pm.nidOf(head)]++;
    return head;
  }

  #toBuddy(head: FrameId): void {
    const k = this.#k;
    this.nrHuge[k.pm.nidOf(head)]--;
    k.frames.flags[head] &= PG_HEAD;
    k.frames.refcount[head + 1] = 0;
    k.frames.private_[head + 1] = 0;
    k.frames.indexLow[head + 1] = 0;
    freePages(k.pm, head, HPAGE_PMD_ORDER);
  }

  #countUse(head: FrameId, sign: number): void {
    const k = this.#k;
    const isCounted = (k.frames.private_[head] & HPAGE_IN_USE) !== 0;
    if (isCounted === sign > 0) return;
    k.frames.private_[head] ^= HPAGE_IN_USE;
    k.vmstat.modNode(k.pm.nidOf(head), NR_HUGETLB, sign * HPAGE_PMD_NR);
  }
}

function sum(column: Int32Array): number {
  return column.reduce((total, count) => total + count, 0);
}
