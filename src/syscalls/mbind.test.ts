import { describe, expect, it } from 'vitest';
import {
  accessPage,
  checkInvariants,
  forkTask,
  PTE_KIND_MIGRATION,
  pteOther,
} from '../mm/index.ts';
import { EFAULT, EINVAL, EIO, EPERM } from '../uapi/errno.ts';
import {
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
  MPOL_INTERLEAVE,
  MPOL_LOCAL,
  MPOL_PREFERRED,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../uapi/mempolicy.ts';
import { MAP_ANONYMOUS, MAP_SHARED } from '../uapi/mman.ts';
import { madvise, munmap } from './index.ts';
import { mbind } from './mbind.ts';
import { mask, PAGES, TestProgram, threeNodes } from './testProgram.ts';
import { NO_NODES, type UserNodeMask } from './userMemory.ts';

const STRICT = 1;
const MOVE = 2;
const MOVE_ALL = 4;
const LENGTH = PAGES * 4096;

function bind(p: TestProgram, mode: number, nodes: UserNodeMask, flags: number, len = LENGTH) {
  return mbind(p.k, p.task, p.area, len, mode, nodes, flags);
}

/** Nodes of the policy of the area's first page, -1 without one. */
function policyNodes(p: TestProgram): number {
  return p.task.mm!.findVma(p.vpn(0))!.policy?.nodes ?? -1;
}

describe('mbind: arguments in the order of their checks', () => {
  it.each([
    ['MP-70: unknown mode', 99, mask(1), 0, -EINVAL],
    [
      'MP-70: both mode flags',
      MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES,
      mask(1),
      0,
      -EINVAL,
    ],
    [
      'MP-70: balancing with INTERLEAVE',
      MPOL_INTERLEAVE | MPOL_F_NUMA_BALANCING,
      mask(1),
      0,
      -EINVAL,
    ],
    ['MP-70: balancing with BIND', MPOL_BIND | MPOL_F_NUMA_BALANCING, mask(1), 0, 0],
    ['MP-71: mask', MPOL_BIND, { bits: 'unreadable', maxnode: 65 }, 0, -EFAULT],
    ['MP-72: flags', MPOL_BIND, mask(1), 8, -EINVAL],
    ['MP-74: DEFAULT with nodes', MPOL_DEFAULT, mask(1), 0, -EINVAL],
    ['MP-74: LOCAL with nodes', MPOL_LOCAL, mask(1), 0, -EINVAL],
    ['MP-74: PREFERRED without nodes is LOCAL', MPOL_PREFERRED, NO_NODES, 0, 0],
    ['MP-74: BIND without nodes', MPOL_BIND, NO_NODES, 0, -EINVAL],
    ['MP-74: PREFERRED_MANY without nodes', MPOL_PREFERRED_MANY, NO_NODES, 0, -EINVAL],
    ['MP-75: nodes without memory only', MPOL_BIND, mask(9), 0, -EINVAL],
  ] as const)('%s', (_rule, mode, nodes, flags, ret) => {
    expect(bind(new TestProgram(), mode, nodes as UserNodeMask, flags)).toBe(ret);
  });

  it('MP-70: 6.1 has no weighted interleave and balances with BIND only', () => {
    const old = new TestProgram(threeNodes('6.1'));
    expect(bind(old, MPOL_WEIGHTED_INTERLEAVE, mask(0, 1), 0)).toBe(-EINVAL);
    const many = MPOL_PREFERRED_MANY | MPOL_F_NUMA_BALANCING;
    expect(bind(old, many, mask(1), 0)).toBe(-EINVAL);
    expect(bind(new TestProgram(), many, mask(1), 0)).toBe(0);
  });

  it('S-MB-17 MP-72, MP-73: rights before alignment, alignment before length', () => {
    const p = new TestProgram();
    const unaligned = p.area + 1;
    p.task.caps = 0;
    expect(mbind(p.k, p.task, unaligned, 0, MPOL_BIND, mask(1), MOVE_ALL)).toBe(-EPERM);
    expect(mbind(p.k, p.task, unaligned, 0, MPOL_BIND, mask(1), 0)).toBe(-EINVAL);
  });

  it('S-MB-18 MP-73: length 0 succeeds with any mask; overflow does not', () => {
    const p = new TestProgram();
    expect(bind(p, MPOL_BIND, NO_NODES, 0, 0)).toBe(0);
    expect(bind(p, MPOL_BIND, mask(1), 0, 2 ** 64 - 4096)).toBe(-EINVAL);
  });

  it('S-MB-15 MP-76: a hole, and nothing is applied', () => {
    const p = new TestProgram();
    munmap(p.k, p.task, p.address(5), 4096);
    expect(bind(p, MPOL_BIND, mask(1), MOVE)).toBe(-EFAULT);
    expect(policyNodes(p)).toBe(-1);
    expect(p.where()).toBe('00000-0000000000');
  });

  it('S-MB-16 MP-76: DEFAULT tolerates holes, but not a range without any mapping', () => {
    const p = new TestProgram();
    munmap(p.k, p.task, p.address(5), 4096);
    expect(bind(p, MPOL_DEFAULT, NO_NODES, 0)).toBe(0);
    expect(mbind(p.k, p.task, 0x10000, 4096, MPOL_DEFAULT, NO_NODES, 0)).toBe(-EFAULT);
  });
});

describe('mbind: table C.2', () => {
  it.each([
    ['no flags: policy only', 0, 0, true, '0'],
    ['S-MB-09 STRICT: -EIO and no policy', STRICT, -EIO, false, '0'],
    ['S-MB-10 MOVE', MOVE, 0, true, '1'],
    ['MOVE and STRICT', MOVE | STRICT, 0, true, '1'],
  ])('misplaced pages: %s', (_row, flags, ret, applied, where) => {
    const p = new TestProgram();
    expect(bind(p, MPOL_BIND, mask(1), flags)).toBe(ret);
    expect(policyNodes(p)).toBe(applied ? 2 : -1);
    expect(p.where()).toBe(where.repeat(16));
    checkInvariants(p.k);
  });

  it('STRICT where all is well', () => {
    const p = new TestProgram();
    expect(bind(p, MPOL_BIND, mask(0), STRICT)).toBe(0);
    expect(policyNodes(p)).toBe(1);
  });

  it.each([
    ['S-MB-11 MP-82: MOVE hides the failure', MOVE, 0],
    ['S-MB-12 MP-82: STRICT tells it', MOVE | STRICT, -EIO],
  ])('a pinned page: %s', (_row, flags, ret) => {
    const p = new TestProgram();
    p.k.folios.pin(p.frame(4), 1);
    expect(bind(p, MPOL_BIND, mask(1), flags)).toBe(ret);
    expect(p.where()).toBe('1111011111111111');
    expect(policyNodes(p)).toBe(2);
  });

  it.each([
    ['S-MB-13 MOVE and STRICT: left alone, no failure', MOVE | STRICT, '0'],
    ['MOVE_ALL', MOVE_ALL | STRICT, '1'],
  ])('shared pages: %s', (_row, flags, where) => {
    const p = new TestProgram();
    forkTask(p.k, p.task);
    expect(bind(p, MPOL_BIND, mask(1), flags)).toBe(0);
    expect(p.where()).toBe(where.repeat(16));
    checkInvariants(p.k);
  });

  it('S-MB-14 MP-82: a full node is -EIO, never -ENOMEM', () => {
    const p = new TestProgram(threeNodes('7.3', 0));
    const filler = p.k.spawn(null, 2);
    const address = p.map(40000);
    void filler;
    mbind(p.k, p.task, address, 40000 * 4096, MPOL_BIND, mask(1), 0);
    let page = 0;
    while ((accessPage(p.k, p.task, address / 4096 + page, true) & 8) === 0) page++;
    expect(bind(p, MPOL_BIND, mask(1), MOVE | STRICT)).toBe(-EIO);
    expect(policyNodes(p)).toBe(2);
  });

  it('S-MB-19 MP-85: a migration entry counts as failure', () => {
    const p = new TestProgram();
    const i = p.task.mm!.pteIndex(p.vpn(0));
    const word = p.k.ptes.words[i];
    p.k.ptes.words[i] = pteOther(PTE_KIND_MIGRATION, p.frame(0));
    expect(bind(p, MPOL_BIND, mask(0), STRICT)).toBe(-EIO);
    p.k.ptes.words[i] = word;
  });

  it('MP-83: 6.1 moves nothing when STRICT meets a page it cannot isolate', () => {
    for (const [kernel, where] of [
      ['6.1', '0000'],
      ['7.3', '0111'],
    ] as const) {
      const p = new TestProgram(threeNodes(kernel), 4);
      p.k.lru.drainAll();
      p.k.lru.isolate(p.frame(0));
      expect(bind(p, MPOL_BIND, mask(1), MOVE | STRICT)).toBe(-EIO);
      expect(p.where(p.task, 4)).toBe(where);
    }
  });
});

describe('mbind: where pages go (MP-80, MP-90)', () => {
  it.each([
    ['BIND: the nearest of the mask', MPOL_BIND, mask(1, 2), '1'.repeat(16)],
    ['PREFERRED', MPOL_PREFERRED, mask(2), '2'.repeat(16)],
    ['PREFERRED_MANY', MPOL_PREFERRED_MANY, mask(1, 2), '1'.repeat(16)],
    ['on a node of the mask nothing moves', MPOL_BIND, mask(0, 1), '0'.repeat(16)],
  ])('%s', (_rule, mode, nodes, where) => {
    const p = new TestProgram();
    expect(bind(p, mode, nodes, MOVE | STRICT)).toBe(0);
    expect(p.where()).toBe(where);
  });

  it.each([
    ['INTERLEAVE', MPOL_INTERLEAVE],
    ['WEIGHTED_INTERLEAVE', MPOL_WEIGHTED_INTERLEAVE],
  ])('%s places pages as fresh faults would be placed', (_rule, mode) => {
    const moved = new TestProgram();
    moved.k.setInterleaveWeight(1, 3);
    expect(bind(moved, mode, mask(1, 2), MOVE)).toBe(0);
    const fresh = new TestProgram(threeNodes(), 0);
    fresh.k.setInterleaveWeight(1, 3);
    bind(fresh, mode, mask(1, 2), 0);
    fresh.write(0, PAGES);
    expect(moved.where()).toBe(fresh.where());
    expect(new Set(moved.where())).toEqual(new Set(['1', '2']));
  });

  it('MP-80: DEFAULT and LOCAL put everything on the own node, again and again', () => {
    const p = new TestProgram();
    p.move([0, 1], [1, 1]);
    expect(bind(p, MPOL_DEFAULT, NO_NODES, MOVE)).toBe(0);
    expect(p.where()).toBe('0'.repeat(16));
    expect(bind(p, MPOL_LOCAL, NO_NODES, MOVE)).toBe(0);
    const moves = new Map(p.k.vmstat.snapshot()).get('pgmigrate_success');
    expect(moves).toBe(2 + 16 + 16);
  });
});

describe('mbind: areas and their policies', () => {
  it('splits at the ends and merges what is equal again', () => {
    const p = new TestProgram();
    const count = () => p.task.mm!.vmas.length;
    const whole = count();
    mbind(p.k, p.task, p.address(4), 4 * 4096, MPOL_BIND, mask(1), 0);
    expect(count()).toBe(whole + 2);
    mbind(p.k, p.task, p.address(8), 4 * 4096, MPOL_BIND, mask(1), 0);
    expect(count()).toBe(whole + 2);
    bind(p, MPOL_DEFAULT, NO_NODES, 0);
    expect(count()).toBe(whole);
    checkInvariants(p.k);
  });

  it('MP-86a: part of a huge page moves all of it; the policy covers the part', () => {
    const p = new TestProgram();
    const address = p.map(512);
    madvise(p.k, p.task, address, 512 * 4096, 14);
    accessPage(p.k, p.task, address / 4096, true);
    expect(mbind(p.k, p.task, address, 10 * 4096, MPOL_BIND, mask(1), MOVE | STRICT)).toBe(0);
    const first = (address - p.area) / 4096;
    expect(p.k.pm.nidOf(p.frame(first + 400))).toBe(1);
    expect(p.k.folios.isThp(p.k.frames.headOf(p.frame(first)))).toBe(true);
    expect(p.task.mm!.findVma(address / 4096 + 10)!.policy).toBeNull();
    checkInvariants(p.k);
  });

  it('OV-31: the policy of shared memory belongs to the object', () => {
    const p = new TestProgram();
    const shared = p.map(8, MAP_SHARED | MAP_ANONYMOUS);
    const child = forkTask(p.k, p.task);
    if (typeof child === 'number') throw new Error('fork failed');
    mbind(p.k, p.task, shared + 2 * 4096, 2 * 4096, MPOL_BIND, mask(1), 0);
    mbind(p.k, p.task, shared + 3 * 4096, 2 * 4096, MPOL_BIND, mask(2), 0);
    const first = (shared - p.area) / 4096;
    p.write(first, first + 8, child);
    const nodes = Array.from({ length: 8 }, (_, n) => p.k.pm.nidOf(p.frame(first + n, child)));
    expect(nodes.join('')).toBe('00122000');
    mbind(p.k, p.task, shared, 8 * 4096, MPOL_DEFAULT, NO_NODES, 0);
    expect(p.task.mm!.findVma(shared / 4096)!.file!.sharedPolicy).toEqual([]);
  });
});
