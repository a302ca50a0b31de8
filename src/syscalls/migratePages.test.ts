import { describe, expect, it } from 'vitest';
import {
  accessPage,
  CAP_SYS_NICE,
  checkInvariants,
  createVdso,
  forkTask,
  mapVdso,
  remapNode,
} from '../mm/index.ts';
import { EFAULT, EINVAL, EPERM, ESRCH } from '../uapi/errno.ts';
import { migratePagesCall } from './migratePages.ts';
import { mask, TestProgram, threeNodes } from './testProgram.ts';
import { NO_NODES, type UserNodeMask } from './userMemory.ts';

function migrate(p: TestProgram, from: UserNodeMask, to: UserNodeMask, pid = 0): number {
  return migratePagesCall(p.k, p.task, pid, from, to);
}

function unprivileged(): TestProgram {
  const p = new TestProgram();
  p.task.caps = 0;
  return p;
}

describe('migrate_pages: arguments', () => {
  const unreadable: UserNodeMask = { bits: 'unreadable', maxnode: 65 };
  it.each([
    ['S-MB-01 MP-62: no such node, privileged', mask(0), mask(9), -EINVAL],
    ['S-MB-03 MP-61: empty target', mask(0), mask(), -EINVAL],
    ['S-MB-04 MP-60: maxnode 0 wraps around', mask(0), { bits: [1], maxnode: 0 }, -EINVAL],
    ['MP-60: more bits than a page holds', mask(0), { bits: [1], maxnode: 1048576 }, -EINVAL],
    ['MP-60: maxnode 1 is an empty mask', mask(0), { bits: [1], maxnode: 1 }, -EINVAL],
    ['MP-60: maxnode 2 reads node 0 only', mask(0), { bits: [1], maxnode: 2 }, -EINVAL],
    ['MP-60: the old mask cannot be read', unreadable, mask(1), -EFAULT],
    ['MP-60: the new mask cannot be read', mask(0), unreadable, -EFAULT],
    ['MP-60: a null pointer is an empty mask', NO_NODES, mask(1), 0],
  ])('%s', (_rule, from, to, ret) => {
    const p = new TestProgram();
    expect(migrate(p, from, to)).toBe(ret);
    expect(p.where()).toBe('0'.repeat(16));
  });

  it('S-MB-02 MP-62: no such node, unprivileged', () => {
    expect(migrate(unprivileged(), mask(0), mask(9))).toBe(-EPERM);
  });

  it('MP-61: order: process, rights, target nodes', () => {
    const p = new TestProgram();
    expect(migrate(p, mask(0), mask(9), 12345)).toBe(-ESRCH);
    const other = p.k.spawn(null, 0);
    const u = unprivileged();
    const foreign = u.k.spawn(null, 0);
    foreign.uid = 5;
    expect(migrate(u, mask(0), mask(9), foreign.pid)).toBe(-EPERM);
    other.mm = null;
    expect(migrate(p, mask(0), mask(1), other.pid)).toBe(-EINVAL);
  });
});

describe('migrate_pages: what moves', () => {
  it('MP-66, MP-67: everything, and the content stays', () => {
    const p = new TestProgram();
    expect(migrate(p, mask(0), mask(1))).toBe(0);
    expect(p.where()).toBe('1'.repeat(16));
    checkInvariants(p.k);
  });

  it('S-MB-07 MP-67: returns what was left behind', () => {
    const p = new TestProgram();
    p.k.folios.pin(p.frame(3), 1);
    expect(migrate(p, mask(0), mask(1))).toBe(1);
    expect(p.where()).toBe('1110111111111111');
  });

  it('S-MB-08 MP-63: shared pages stay and are no failure without CAP_SYS_NICE', () => {
    const p = new TestProgram();
    forkTask(p.k, p.task);
    p.write(4, 8);
    p.task.caps &= ~CAP_SYS_NICE;
    expect(migrate(p, mask(0), mask(1))).toBe(0);
    expect(p.where()).toBe('0000111100000000');
  });

  it('MP-63: with it they move', () => {
    const p = new TestProgram();
    forkTask(p.k, p.task);
    expect(migrate(p, mask(0), mask(1))).toBe(0);
    expect(p.where()).toBe('1'.repeat(16));
    checkInvariants(p.k);
  });

  it.each([
    ['MP-67a: the vDSO counts on 7.3', '7.3', 1],
    ['MP-67a: and is skipped on stock kernels', '6.12', 0],
  ] as const)('%s', (_rule, kernel, ret) => {
    const p = new TestProgram(threeNodes(kernel));
    const vpn = mapVdso(p.k, p.task, createVdso(p.k));
    accessPage(p.k, p.task, vpn, false);
    expect(migrate(p, mask(0), mask(1))).toBe(ret);
    expect(migrate(p, mask(1), mask(0))).toBe(0);
    checkInvariants(p.k);
  });
});

describe('migrate_pages: pairs of nodes (MP-64, MP-65)', () => {
  /** Pages on `where`, after old -> new. */
  function moved(where: string, from: number[], to: number[]): string {
    const p = new TestProgram(threeNodes(), where.length);
    [...where].forEach((nid, page) => {
      p.move([page], [Number(nid)]);
    });
    migrate(p, mask(...from), mask(...to));
    checkInvariants(p.k);
    return p.where(p.task, where.length);
  }

  it.each([
    ['S-MB-05: each moves up, the last first', '001122', [0, 1], [1, 2], '112222'],
    ['{0}->{1,2}: the first of them', '000111', [0], [1, 2], '111111'],
    ['S-MB-06 in small: what is in both stays', '012012', [0, 1, 2], [1, 2], '112112'],
    ['{0,1}->{1}', '010101', [0, 1], [1], '111111'],
    ['{0,1}->{0,1}: nothing', '010101', [0, 1], [0, 1], '010101'],
    ['{0,1}->{1,2} leaves node 2', '2012', [0, 1], [1, 2], '2122'],
  ])('%s', (_rule, where, from, to, after) => {
    expect(moved(where, from, to)).toBe(after);
  });

  it('remap goes by position and wraps', () => {
    const bits = (...nodes: number[]) => nodes.reduce((mask, nid) => mask | (1 << nid), 0);
    const from = bits(0, 1, 2, 3, 4, 5, 6, 7);
    const targets = [0, 1, 2, 6, 7].map((nid) => remapNode(nid, from, bits(3, 4, 5)));
    expect(targets).toEqual([3, 4, 5, 3, 4]);
    expect(remapNode(9, from, bits(3))).toBe(9);
  });
});
