import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, ENOENT, EOPNOTSUPP } from '../uapi/errno.ts';
import {
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_F_STATIC_NODES,
  MPOL_INTERLEAVE,
  MPOL_LOCAL,
  MPOL_PREFERRED,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../uapi/mempolicy.ts';
import { getMempolicy } from './getMempolicy.ts';
import { mbind } from './mbind.ts';
import { setMempolicy } from './setMempolicy.ts';
import { setMempolicyHomeNode } from './setMempolicyHomeNode.ts';
import { mask, PAGES, TestProgram, threeNodes } from './testProgram.ts';
import { NO_NODES } from './userMemory.ts';

const NODE = 1;
const ADDR = 2;
const MEMS_ALLOWED = 4;

describe('set_mempolicy (MP-94)', () => {
  it.each([
    ['BIND: the nearest', MPOL_BIND, mask(1, 2), '1111'],
    ['PREFERRED: the lowest', MPOL_PREFERRED, mask(1, 2), '1111'],
    ['LOCAL', MPOL_LOCAL, NO_NODES, '0000'],
    ['INTERLEAVE: in turn', MPOL_INTERLEAVE, mask(0, 1), '0101'],
    ['DEFAULT', MPOL_DEFAULT, NO_NODES, '0000'],
  ])('%s', (_rule, mode, nodes, where) => {
    const p = new TestProgram(threeNodes(), 0);
    // The page table takes its turn too: have it first.
    p.write(8, 9);
    expect(setMempolicy(p.k, p.task, mode, nodes)).toBe(0);
    p.write(0, 4);
    expect(p.where(p.task, 4)).toBe(where);
  });

  it('an error leaves the policy alone, and no call moves a page', () => {
    const p = new TestProgram();
    setMempolicy(p.k, p.task, MPOL_BIND, mask(1));
    expect(setMempolicy(p.k, p.task, MPOL_BIND, NO_NODES)).toBe(-EINVAL);
    expect(setMempolicy(p.k, p.task, MPOL_BIND, { bits: 'unreadable', maxnode: 65 })).toBe(-EFAULT);
    expect(p.task.policy?.nodes).toBe(2);
    expect(p.where()).toBe('0'.repeat(16));
  });
});

describe('get_mempolicy: checks (MP-95a)', () => {
  it.each([
    ['a mask too short for the nodes there are', 1, 0, 0, -EINVAL],
    ['unknown flags', 65, 0, 8, -EINVAL],
    ['MEMS_ALLOWED with another flag', 65, 0, MEMS_ALLOWED | NODE, -EINVAL],
    ['an address without ADDR', 65, 0x1000, 0, -EINVAL],
    ['an address without mapping', 65, 0x1000, ADDR, -EFAULT],
    ['NODE without an interleaving policy', null, 0, NODE, -EINVAL],
  ])('%s', (_rule, maxnode, address, flags, ret) => {
    const p = new TestProgram();
    expect(getMempolicy(p.k, p.task, maxnode, address, flags)).toBe(ret);
  });
});

describe('get_mempolicy: answers (MP-95b)', () => {
  it('the policy of the task, DEFAULT without one; the nodes allowed', () => {
    const p = new TestProgram();
    expect(getMempolicy(p.k, p.task, 65, 0, 0)).toEqual({ mode: MPOL_DEFAULT, nodes: 0 });
    setMempolicy(p.k, p.task, MPOL_BIND, mask(1, 2));
    expect(getMempolicy(p.k, p.task, 65, 0, 0)).toEqual({ mode: MPOL_BIND, nodes: 6 });
    expect(getMempolicy(p.k, p.task, 65, 0, MEMS_ALLOWED)).toEqual({ mode: 0, nodes: 7 });
  });

  it('by address: the area, and no fall-back to the task', () => {
    const p = new TestProgram();
    setMempolicy(p.k, p.task, MPOL_BIND, mask(1));
    mbind(p.k, p.task, p.area, 4096, MPOL_INTERLEAVE, mask(1, 2), 0);
    const at = (page: number) => getMempolicy(p.k, p.task, 65, p.address(page), ADDR);
    expect(at(0)).toEqual({ mode: MPOL_INTERLEAVE, nodes: 6 });
    expect(at(1)).toEqual({ mode: MPOL_DEFAULT, nodes: 0 });
  });

  it('STATIC_NODES shows the mask as it was given', () => {
    const p = new TestProgram();
    p.task.memsAllowed = 0b011;
    const mode = MPOL_BIND | MPOL_F_STATIC_NODES;
    setMempolicy(p.k, p.task, mode, mask(1, 2));
    expect(getMempolicy(p.k, p.task, 65, 0, 0)).toEqual({ mode, nodes: 6 });
  });

  it('the node that interleaving takes next', () => {
    const p = new TestProgram();
    setMempolicy(p.k, p.task, MPOL_INTERLEAVE, mask(1, 2));
    expect(getMempolicy(p.k, p.task, null, 0, NODE)).toEqual({ mode: 1, nodes: 6 });
    p.k.setInterleaveWeight(1, 2);
    setMempolicy(p.k, p.task, MPOL_WEIGHTED_INTERLEAVE, mask(1, 2));
    p.task.ilPrev = 1;
    p.task.ilWeight = 1;
    expect(getMempolicy(p.k, p.task, null, 0, NODE)).toEqual({ mode: 1, nodes: 6 });
  });

  it('the node of an address reads the page in: zero page, swapped page', () => {
    const p = new TestProgram(threeNodes(), 2);
    p.move([1], [1]);
    const at = (page: number) => getMempolicy(p.k, p.task, null, p.address(page), NODE | ADDR);
    expect(at(1)).toEqual({ mode: 1, nodes: 0 });
    expect(at(5)).toEqual({ mode: p.k.pm.nidOf(p.k.zeroFrame), nodes: 0 });
    expect(p.where(p.task, 6)).toBe('01---z');
  });
});

describe('set_mempolicy_home_node (MP-93, MP-93a)', () => {
  function home(p: TestProgram, node: number, flags = 0, start = p.area, len = PAGES * 4096) {
    return setMempolicyHomeNode(p.k, p.task, start, len, node, flags);
  }

  it.each([
    ['flags', 1, 1, 0, -EINVAL],
    ['alignment', 1, 0, 1, -EINVAL],
    ['a node that is not there', 9, 0, 0, -EINVAL],
    ['no policy in the range', 1, 0, 0, -ENOENT],
  ])('%s', (_rule, node, flags, offset, ret) => {
    const p = new TestProgram();
    expect(home(p, node, flags, p.area + offset)).toBe(ret);
  });

  it('an empty range succeeds, another kind of policy does not', () => {
    const p = new TestProgram();
    expect(home(p, 1, 0, p.area, 0)).toBe(0);
    mbind(p.k, p.task, p.area, PAGES * 4096, MPOL_INTERLEAVE, mask(1, 2), 0);
    expect(home(p, 1)).toBe(-EOPNOTSUPP);
  });

  it('areas without a policy are passed over', () => {
    const p = new TestProgram();
    mbind(p.k, p.task, p.address(4), 4096, MPOL_BIND, mask(1, 2), 0);
    expect(home(p, 2)).toBe(0);
    expect(p.task.mm!.findVma(p.vpn(4))!.policy!.homeNode).toBe(2);
  });

  it.each([
    ['BIND {1,2} home 2', MPOL_BIND, mask(1, 2), 2],
    ['PREFERRED_MANY {0,1} home 1', MPOL_PREFERRED_MANY, mask(0, 1), 1],
  ])('faults search from there: %s', (_rule, mode, nodes, node) => {
    const p = new TestProgram(threeNodes(), 0);
    mbind(p.k, p.task, p.area, PAGES * 4096, mode, nodes, 0);
    expect(home(p, node)).toBe(0);
    p.write(0, PAGES);
    expect(p.where()).toBe(String(node).repeat(16));
  });
});
