/** migrate_pages from node to node: which pair first, and where it ends. MP-64..MP-67. */
import { describe, expect, it } from 'vitest';
import { ENOMEM } from '../uapi/errno.ts';
import { MPOL_MF_MOVE, MPOL_MF_MOVE_ALL } from '../uapi/mempolicy.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { PG_LRU } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { doMigratePages, remapNode } from './migrateNodes.ts';
import { munmapRange } from './mmap.ts';
import { bootNodes, fillNode, migrate, TestProgram } from './testProgram.ts';

const NODES = 4;

/** A page on each of four nodes. */
function boot() {
  const zones = [{ zone: ZONE_NORMAL, pages: 1024 }];
  const nodes = Array.from({ length: NODES }, (_, nid) => ({ cpus: nid === 0 ? [0] : [], zones }));
  const k = bootNodes(nodes);
  k.sysctl.thp_enabled = 'never';
  const p = new TestProgram(k);
  const a = p.mapWritten(NODES);
  for (let nid = 1; nid < NODES; nid++) expect(migrate(p, a + nid, 1, nid)).toBe(0);
  const where = () => [0, 1, 2, 3].map((i) => p.nid(a + i));
  expect(where()).toEqual([0, 1, 2, 3]);
  k.lru.drainAll();
  return { p, k, a, where };
}

const mask = (...nodes: number[]) => nodes.reduce((bits, nid) => bits | (1 << nid), 0);
const go = (p: TestProgram, from: number, to: number, flags = MPOL_MF_MOVE_ALL) =>
  doMigratePages(p.k, p.task.mm!, from, to, flags, -1);

describe('pairs (MP-64, MP-65)', () => {
  it.each([
    ['one to another', mask(0), mask(1), [1, 1, 2, 3]],
    ['to itself', mask(2), mask(2), [0, 1, 2, 3]],
    ['the same set', mask(0, 1), mask(0, 1), [0, 1, 2, 3]],
    [
      'up by one: a node is emptied before it is filled',
      mask(0, 1, 2),
      mask(1, 2, 3),
      [1, 2, 3, 3],
    ],
    ['down by one', mask(1, 2, 3), mask(0, 1, 2), [0, 0, 1, 2]],
    ['to fewer: what is in both stays', mask(0, 1, 2), mask(1, 2), [1, 1, 2, 3]],
    ['to fewer, by turns', mask(0, 1, 2), mask(3), [3, 3, 3, 3]],
    ['to more: the first ones', mask(0, 3), mask(1, 2, 3), [1, 1, 2, 3]],
    ['from none', 0, mask(1), [0, 1, 2, 3]],
    ['across', mask(0, 3), mask(1, 2), [1, 1, 2, 2]],
  ])('%s', (_what, from, to, expected) => {
    const { p, where } = boot();
    expect([go(p, from, to), where()]).toEqual([0, expected]);
    checkInvariants(p.k);
  });

  it('a node outside the first set is its own destination', () => {
    expect([0, 1, 2, 3].map((nid) => remapNode(nid, mask(1, 2), mask(0, 3)))).toEqual([0, 0, 3, 3]);
    expect([0, 1, 2].map((nid) => remapNode(nid, mask(0, 1, 2), mask(1, 3)))).toEqual([1, 3, 1]);
  });
});

describe('the end (MP-66, MP-67)', () => {
  it('no memory on a node: -ENOMEM, and the pairs after it are not tried', () => {
    const { p, k, where } = boot();
    const taken = fillNode(k, 1, 0);
    expect([go(p, mask(0, 2), mask(1, 3)), where()]).toEqual([-ENOMEM, [0, 1, 2, 3]]);
    for (const frame of taken) k.putFolio(frame);
    expect([go(p, mask(0, 2), mask(1, 3)), where()]).toEqual([0, [1, 1, 3, 3]]);
    checkInvariants(k);
  });

  it('what stays is counted over all pairs, and back on its list', () => {
    const { p, k, a, where } = boot();
    for (const i of [0, 2]) k.folios.get(p.head(a + i));
    expect([go(p, mask(0, 1, 2), mask(1, 2, 3)), where()]).toEqual([2, [0, 2, 2, 3]]);
    k.lru.drainAll();
    expect([0, 2].map((i) => p.has(a + i, PG_LRU))).toEqual([true, true]);
    for (const i of [0, 2]) k.putFolio(p.head(a + i));
    checkInvariants(k);
  });

  it('what cannot be isolated is counted, too', () => {
    const { p, k, a, where } = boot();
    k.lru.isolate(p.head(a));
    expect([go(p, mask(0), mask(1)), where()]).toEqual([1, [0, 1, 2, 3]]);
  });

  it('MP-63: pages of others, too, stay without MOVE_ALL and are not counted', () => {
    const { p, where } = boot();
    p.fork();
    expect([go(p, mask(0), mask(1), MPOL_MF_MOVE), where()]).toEqual([0, [0, 1, 2, 3]]);
    expect([go(p, mask(0), mask(1)), where()]).toEqual([0, [1, 1, 2, 3]]);
  });

  it('a process without any area: nothing', () => {
    const { p } = boot();
    for (const { start, end } of [...p.task.mm!.vmas]) munmapRange(p.k, p.task.mm!, start, end);
    expect([p.task.mm!.vmas.length, go(p, mask(0), mask(1))]).toEqual([0, 0]);
  });

  it('LRU batches are in use again afterwards', () => {
    const { p, k } = boot();
    go(p, mask(0), mask(1));
    const a = p.mapWritten(1);
    expect(p.has(a, PG_LRU)).toBe(false);
    k.lru.drainAll();
    expect(p.has(a, PG_LRU)).toBe(true);
  });
});
