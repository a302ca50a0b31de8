/** The pools of huge pages: size, surplus, who may take which. MP-91, MP-110, MP-111, PM-70. */
import { describe, expect, it } from 'vitest';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { PG_HEAD, PG_HUGETLB, PG_HWPOISON } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import type { Kernel } from './kernel.ts';
import { bootNodes, fillNode, vmstat } from './testProgram.ts';

/** Node 0: NORMAL; node 1: MOVABLE; node 2: NORMAL, three huge pages at most. */
function boot(): Kernel {
  return bootNodes([
    { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
    { cpus: [1], zones: [{ zone: ZONE_MOVABLE, pages: 8192 }] },
    { cpus: [2], zones: [{ zone: ZONE_NORMAL, pages: 2048 }] },
  ]);
}

/** Pages of nodes 0, 1, 2: all, free, surplus. */
function state({ hugetlb }: Kernel): number[][] {
  const nids = [0, 1, 2];
  return [
    nids.map((nid) => hugetlb.nrHuge[nid]),
    nids.map((nid) => hugetlb.freeOf(nid)),
    nids.map((nid) => hugetlb.surplus[nid]),
  ];
}

const NONE = [0, 0, 0];

describe('nr_hugepages (set_max_huge_pages)', () => {
  it('of one node, up and down; memory comes from the node and returns', () => {
    const k = boot();
    const free = vmstat(k, 'nr_free_pages');
    k.hugetlb.resize(3, 1);
    k.hugetlb.resize(1, 0);
    expect(state(k)).toEqual([[1, 3, 0], [1, 3, 0], NONE]);
    expect(free - vmstat(k, 'nr_free_pages')).toBe(4 * 512);
    k.hugetlb.resize(1, 1);
    expect(state(k)).toEqual([[1, 1, 0], [1, 1, 0], NONE]);
    k.hugetlb.resize(0, -1);
    expect([state(k), vmstat(k, 'nr_free_pages')]).toEqual([[NONE, NONE, NONE], free]);
    checkInvariants(k);
  });

  it('of all: nodes take turns; those of a mask', () => {
    const k = boot();
    k.hugetlb.resize(5, -1);
    expect(state(k)[0]).toEqual([2, 2, 1]);
    k.hugetlb.resize(7, -1, 0b010);
    expect(state(k)[0]).toEqual([2, 4, 1]);
    k.hugetlb.resize(6, -1, 0b100);
    expect(state(k)[0]).toEqual([2, 4, 0]);
    // They take turns to give, too: 0, 1, 0.
    k.hugetlb.resize(3, -1);
    expect(state(k)[0]).toEqual([0, 3, 0]);
    // And who was next to get one still is: 1, 2, 0.
    k.hugetlb.resize(6, -1);
    expect(state(k)[0]).toEqual([1, 4, 1]);
  });

  it('no more than there is room for; the turn goes to the others', () => {
    const k = boot();
    fillNode(k, 2, 0);
    k.hugetlb.resize(4, -1);
    expect(state(k)[0]).toEqual([2, 2, 0]);
    k.hugetlb.resize(2, 2);
    expect(state(k)[0]).toEqual([2, 2, 0]);
  });

  it('below what is in use or promised: surplus, and gone when freed', () => {
    const k = boot();
    k.hugetlb.resize(3, 0);
    const used = k.hugetlb.take(0, -1, false);
    expect(k.hugetlb.promise(1)).toBe(true);
    k.hugetlb.resize(0, 0);
    expect(state(k)).toEqual([
      [2, 0, 0],
      [1, 0, 0],
      [2, 0, 0],
    ]);
    k.putFolio(used);
    expect(state(k)).toEqual([
      [1, 0, 0],
      [1, 0, 0],
      [1, 0, 0],
    ]);
    k.hugetlb.release(1);
    expect(state(k)).toEqual([NONE, NONE, NONE]);
    checkInvariants(k);
  });

  it('up again: surplus pages are persistent before new ones are made', () => {
    const k = boot();
    k.hugetlb.resize(1, 0);
    const used = k.hugetlb.take(0, -1, false);
    k.hugetlb.resize(0, 0);
    expect(state(k)).toEqual([[1, 0, 0], NONE, [1, 0, 0]]);
    k.hugetlb.resize(1, 0);
    expect(state(k)).toEqual([[1, 0, 0], NONE, NONE]);
    k.putFolio(used);
    expect(state(k)).toEqual([[1, 0, 0], [1, 0, 0], NONE]);
  });
});

describe('taking pages', () => {
  it('from the node asked for, then the others of its list, within the mask', () => {
    const k = boot();
    for (const nid of [0, 1, 2]) k.hugetlb.resize(1, nid);
    const nodes = [1, 1, 1].map((nid) => k.pm.nidOf(k.hugetlb.take(nid, -1, false)));
    expect([nodes[0], [...nodes].sort()]).toEqual([1, [0, 1, 2]]);
    expect(k.hugetlb.take(1, -1, false)).toBe(-1);
    const other = boot();
    other.hugetlb.resize(2, 0);
    expect(other.hugetlb.take(1, 0b110, false)).toBe(-1);
    expect(other.pm.nidOf(other.hugetlb.take(1, 0b011, false))).toBe(0);
  });

  it('the last one freed is given out first; it is a page of one reference, in use', () => {
    const k = boot();
    k.hugetlb.resize(2, 0);
    const [a, b] = [k.hugetlb.take(0, -1, false), k.hugetlb.take(0, -1, false)];
    k.putFolio(b);
    k.putFolio(a);
    expect([k.hugetlb.take(0, -1, false), k.hugetlb.take(0, -1, false)]).toEqual([a, b]);
    expect([k.frames.refcount[a], k.frames.flags[a] & (PG_HEAD | PG_HUGETLB)]).toEqual([
      1,
      PG_HEAD | PG_HUGETLB,
    ]);
  });

  it('PP-61: no frame of a page that changes hands keeps its generation', () => {
    const k = boot();
    k.hugetlb.resize(1, 0);
    const head = k.hugetlb.take(0, -1, false);
    const generations = () => [head, head + 511].map((frame) => k.frames.generation[frame]!);
    const taken = generations();
    k.putFolio(head);
    const free = generations();
    expect(k.hugetlb.take(0, -1, false)).toBe(head);
    for (const i of [0, 1]) expect(new Set([taken[i], free[i], generations()[i]]).size).toBe(3);
  });

  it('what is promised is for who has the promise', () => {
    const k = boot();
    k.hugetlb.resize(1, 0);
    expect(k.hugetlb.promise(1)).toBe(true);
    expect([k.hugetlb.available, k.hugetlb.take(0, -1, false)]).toEqual([0, -1]);
    expect(k.hugetlb.take(0, -1, true)).toBeGreaterThanOrEqual(0);
    expect([k.hugetlb.reserved, k.hugetlb.promise(1)]).toEqual([0, false]);
  });

  it('none with an error; none of ZONE_MOVABLE for a long-term pin (PM-16)', () => {
    const k = boot();
    k.hugetlb.resize(2, 0);
    const bad = k.hugetlb.take(0, -1, false);
    k.putFolio(bad);
    k.frames.set(bad, PG_HWPOISON);
    const good = k.hugetlb.take(0, -1, false);
    expect([good >= 0, good === bad, k.hugetlb.take(0, -1, false)]).toEqual([true, false, -1]);
    k.hugetlb.resize(1, 1);
    k.pm.hooks.memallocPin = true;
    expect(k.hugetlb.take(1, -1, false)).toBe(-1);
    k.pm.hooks.memallocPin = false;
    expect(k.pm.nidOf(k.hugetlb.take(1, -1, false))).toBe(1);
  });

  it('beyond the pool: surplus pages, as many as overcommit allows', () => {
    const k = boot();
    k.hugetlb.overcommit = 1;
    const page = k.hugetlb.take(2, -1, false);
    expect([state(k), k.hugetlb.take(2, -1, false)]).toEqual([[[0, 0, 1], NONE, [0, 0, 1]], -1]);
    k.putFolio(page);
    expect(state(k)).toEqual([NONE, NONE, NONE]);
    checkInvariants(k);
  });
});

describe('migration (MP-110, MP-111)', () => {
  const exact = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;

  it('a free page of the pool, else a new one that is there for the migration only', () => {
    const k = boot();
    k.hugetlb.resize(1, 1);
    const pooled = k.hugetlb.takeForMigration(1, -1, exact, true);
    expect(state(k)).toEqual([[0, 1, 0], NONE, NONE]);
    const fresh = k.hugetlb.takeForMigration(1, -1, exact, true);
    expect([k.pm.nidOf(fresh), state(k)[0]]).toEqual([1, [0, 2, 0]]);
    k.putFolio(fresh);
    expect(state(k)).toEqual([[0, 1, 0], NONE, NONE]);
    k.putFolio(pooled);
    expect(state(k)).toEqual([[0, 1, 0], [0, 1, 0], NONE]);
    checkInvariants(k);
  });

  it('exactly one node: neither pages of others nor their memory', () => {
    const k = boot();
    k.hugetlb.resize(1, 0);
    fillNode(k, 2, 0);
    expect(k.hugetlb.takeForMigration(2, -1, exact, true)).toBe(-1);
    const page = k.hugetlb.takeForMigration(2, -1, GFP_HIGHUSER_MOVABLE, true);
    expect([page >= 0, k.pm.nidOf(page)]).toEqual([true, 0]);
  });

  it('a surplus page that moves is surplus at its new node', () => {
    const k = boot();
    k.hugetlb.overcommit = 1;
    const src = k.hugetlb.take(0, -1, false);
    const dst = k.hugetlb.takeForMigration(1, -1, exact, true);
    k.hugetlb.exchange(src, dst);
    k.putFolio(src);
    expect(state(k)).toEqual([[0, 1, 0], NONE, [0, 1, 0]]);
    k.putFolio(dst);
    expect(state(k)).toEqual([NONE, NONE, NONE]);
  });
});

describe('leaving the pool (PM-70)', () => {
  it('free pages go; used and promised ones do not', () => {
    const k = boot();
    k.hugetlb.resize(3, 0);
    const used = k.hugetlb.take(0, -1, false);
    const free = k.hugetlb.take(0, -1, false);
    k.putFolio(free);
    expect([k.hugetlb.dissolveFree(used), k.hugetlb.dissolveFree(free)]).toEqual([false, true]);
    expect([state(k)[0], k.frames.has(free, PG_HUGETLB), k.pm.isFree(free)]).toEqual([
      [2, 0, 0],
      false,
      true,
    ]);
    // It has left already.
    expect(k.hugetlb.dissolveFree(free)).toBe(true);
    k.hugetlb.promise(1);
    const last = k.hugetlb.take(0, -1, true);
    k.hugetlb.promise(0);
    k.putFolio(last);
    k.hugetlb.promise(1);
    expect([k.hugetlb.dissolveFree(last), k.hugetlb.isFree(last)]).toEqual([false, true]);
    checkInvariants(k);
  });

  it('a free surplus page goes with its mark', () => {
    const k = boot();
    k.hugetlb.overcommit = 1;
    expect(k.hugetlb.promise(1)).toBe(true);
    expect(state(k)[2]).toEqual([1, 0, 0]);
    k.hugetlb.reserved = 0;
    const start = k.pm.zones.find((zone) => zone.nid === 0 && zone.isPopulated)!.presentRanges[0];
    expect(k.hugetlb.dissolveFreeRange(start.start, start.end)).toBe(-1);
    expect(state(k)).toEqual([NONE, NONE, NONE]);
  });

  it('a range: the first page that has to stay, or -1', () => {
    const k = boot();
    k.hugetlb.resize(2, 0);
    k.hugetlb.promise(1);
    const { start, end } = k.pm.zones.find((zone) => zone.nid === 0 && zone.isPopulated)!
      .presentRanges[0];
    const stays = k.hugetlb.dissolveFreeRange(start, end);
    expect([stays >= start, k.hugetlb.isFree(stays), state(k)[0]]).toEqual([true, true, [1, 0, 0]]);
    k.hugetlb.release(1);
    expect([k.hugetlb.dissolveFreeRange(start, end), state(k)[0]]).toEqual([-1, NONE]);
  });

  it('replaced by a fresh page of the same node, or not at all', () => {
    const k = boot();
    k.hugetlb.resize(1, 2);
    const old = k.hugetlb.take(2, -1, false);
    k.putFolio(old);
    expect(k.hugetlb.replaceFree(old)).toBe(true);
    expect([state(k)[1], k.frames.has(old, PG_HUGETLB)]).toEqual([[0, 0, 1], false]);
    const fresh = k.hugetlb.take(2, -1, false);
    expect([fresh === old, k.pm.nidOf(fresh)]).toEqual([false, 2]);
    k.putFolio(fresh);
    fillNode(k, 2, 0);
    expect([k.hugetlb.replaceFree(fresh), k.hugetlb.isFree(fresh)]).toEqual([false, true]);
  });
});
