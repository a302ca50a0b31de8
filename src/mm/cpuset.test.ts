import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../hw/index.ts';
import { EACCES, EBUSY, EINVAL, ENOSPC } from '../uapi/errno.ts';
import { MPOL_BIND, MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES } from '../uapi/mempolicy.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { attachTask, type Cpuset, createCpuset, rootCpuset, writeCpusetMems } from './cpuset.ts';
import { accessPage } from './fault.ts';
import { cloneThread } from './fork.ts';
import { checkInvariants } from './invariants.ts';
import { Kernel } from './kernel.ts';
import { Mempolicy, makePolicy } from './mempolicy.ts';
import { mmapRegion } from './mmap.ts';
import { pageAt } from './pageWalk.ts';
import { plainMachine } from './plainMachine.ts';
import type { Task } from './task.ts';

interface Setup {
  readonly k: Kernel;
  readonly root: Cpuset;
  readonly group: Cpuset;
  readonly task: Task;
  readonly start: number;
}

/** Three nodes, a task with 8 pages on node 0, in a group with `mems`. */
function setup(mems: number, legacy = false, kernel: KernelVersion = '7.3'): Setup {
  const zone = { zone: ZONE_NORMAL, pages: 32768 } as const;
  const nodes = [[0], [], []].map((cpus) => ({ cpus, zones: [zone] }));
  const k = new Kernel({ ...plainMachine(nodes), kernel }, { seed: 1, trackContent: true });
  const root = rootCpuset(k, legacy);
  const group = createCpuset(root);
  const task = k.spawn(null, 0);
  const prot = PROT_READ | PROT_WRITE;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const request = { addr: 0, pages: 8, prot, flags, file: null, pgoff: 0 };
  const start = mmapRegion(k, task.mm!, request);
  for (let page = 0; page < 8; page++) accessPage(k, task, start + page, true);
  expect(writeCpusetMems(k, group, mems)).toBe(0);
  return { k, root, group, task, start };
}

function where({ k, task, start }: Setup): string {
  const pages = Array.from({ length: 8 }, (_, n) => pageAt(k, task.mm!, start + n));
  return pages.map((page) => k.pm.nidOf(page)).join('');
}

describe('cpuset.mems on cgroup v2', () => {
  it('S-MB-20 MP-101: pages follow, pinned ones stay behind without an error', () => {
    const s = setup(0b001);
    attachTask(s.k, s.task, s.group);
    s.k.folios.pin(pageAt(s.k, s.task.mm!, s.start + 3), 1);
    expect(writeCpusetMems(s.k, s.group, 0b010)).toBe(0);
    expect(where(s)).toBe('11101111');
    expect(s.task.memsAllowed).toBe(0b010);
  });

  it('S-MB-21 MP-104: what is on a node of the new set stays', () => {
    const s = setup(0b011);
    attachTask(s.k, s.task, s.group);
    writeCpusetMems(s.k, s.group, 0b010);
    expect(where(s)).toBe('11111111');
    writeCpusetMems(s.k, s.group, 0b110);
    expect(where(s)).toBe('11111111');
    checkInvariants(s.k);
  });

  it('MP-102: entering moves the pages, but not for a thread that is no leader', () => {
    const s = setup(0b010);
    const thread = cloneThread(s.k, s.task);
    attachTask(s.k, thread, s.group);
    expect(where(s)).toBe('00000000');
    expect(thread.memsAllowed).toBe(0b010);
    attachTask(s.k, s.task, s.group);
    expect(where(s)).toBe('11111111');
  });

  it('MP-102: entering a group with the same nodes does nothing', () => {
    const s = setup(0b111);
    const policy = new Mempolicy(MPOL_BIND, 0, 1, 7);
    s.task.policy = policy;
    attachTask(s.k, s.task, s.group);
    expect(s.task.policy).toBe(policy);
  });

  it('MP-106, MP-106a: no nodes of its own: the parent’s; a node that cannot exist', () => {
    const s = setup(0b001);
    expect(writeCpusetMems(s.k, s.group, 0)).toBe(0);
    expect(s.group.effectiveMems).toBe(0b111);
    expect(writeCpusetMems(s.k, s.group, 1 << 9)).toBe(-EINVAL);
    const child = createCpuset(s.group);
    writeCpusetMems(s.k, s.group, 0b100);
    expect(child.effectiveMems).toBe(0b100);
  });

  it.each<[KernelVersion, number]>([
    ['7.3', 0],
    ['6.12', -ENOSPC],
  ])('MP-106: cleared with tasks in it or below, on %s', (kernel, answer) => {
    const s = setup(0b001, false, kernel);
    const child = createCpuset(s.group);
    expect(attachTask(s.k, s.task, child)).toBe(0);
    expect(writeCpusetMems(s.k, s.group, 0)).toBe(answer);
    expect(s.group.effectiveMems).toBe(answer === 0 ? 0b111 : 0b001);
    expect(s.task.memsAllowed).toBe(s.group.effectiveMems);
  });

  it.each([
    ['plain: by position', 0, 0b100],
    ['STATIC: all new nodes when none is left', MPOL_F_STATIC_NODES, 0b101],
    ['RELATIVE: folded', MPOL_F_RELATIVE_NODES, 0b100],
  ])('MP-105: policies are rebound: %s', (_rule, flags, nodes) => {
    const s = setup(0b011);
    attachTask(s.k, s.task, s.group);
    const policy = makePolicy(MPOL_BIND, flags, 0b010, 0b011) as Mempolicy;
    s.task.policy = policy;
    s.task.mm!.findVma(s.start)!.policy = policy;
    writeCpusetMems(s.k, s.group, 0b101);
    expect(s.task.policy.nodes).toBe(nodes);
    expect(s.task.mm!.findVma(s.start)!.policy!.nodes).toBe(nodes);
  });
});

describe('cpuset.mems on cgroup v1', () => {
  it('S-MB-22 MP-100: without memory_migrate policies are rebound and nothing moves', () => {
    const s = setup(0b001, true);
    attachTask(s.k, s.task, s.group);
    writeCpusetMems(s.k, s.group, 0b010);
    expect(where(s)).toBe('00000000');
    expect(s.task.memsAllowed).toBe(0b010);
    s.group.memoryMigrate = true;
    writeCpusetMems(s.k, s.group, 0b100);
    expect(where(s)).toBe('00000000');
    s.group.oldMems = 0b001;
    writeCpusetMems(s.k, s.group, 0b010);
    expect(where(s)).toBe('11111111');
  });

  it('needs nodes before a task can enter, and keeps them while it is in', () => {
    const s = setup(0, true);
    expect(attachTask(s.k, s.task, s.group)).toBe(-ENOSPC);
    writeCpusetMems(s.k, s.group, 0b001);
    attachTask(s.k, s.task, s.group);
    expect(writeCpusetMems(s.k, s.group, 0)).toBe(-ENOSPC);
  });

  it('nodes within those of the root and of the cpuset above, and around those below', () => {
    const s = setup(0b011, true);
    const child = createCpuset(s.group);
    expect(writeCpusetMems(s.k, child, 0b1000)).toBe(-EINVAL);
    expect(writeCpusetMems(s.k, child, 0b100)).toBe(-EACCES);
    expect(writeCpusetMems(s.k, child, 0b010)).toBe(0);
    expect(writeCpusetMems(s.k, s.group, 0b001)).toBe(-EBUSY);
    expect(writeCpusetMems(s.k, s.group, 0b110)).toBe(0);
  });
});
