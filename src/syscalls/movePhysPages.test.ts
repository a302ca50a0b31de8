import { describe, expect, it } from 'vitest';
import {
  accessPage,
  allocPages,
  attachTask,
  CAP_SYS_ADMIN,
  CAP_SYS_NICE,
  CAUSE_NOT_IN_CPUSET,
  CAUSE_SHARED,
  checkInvariants,
  createCpuset,
  loadWord,
  rootCpuset,
  type Task,
  VM_IO,
  writeCpusetMems,
} from '../mm/index.ts';
import { EACCES, EFAULT, EINVAL, ENODEV, ENOENT, ENOMEM, EPERM } from '../uapi/errno.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { MADV_PAGEOUT, MAP_SHARED, PROT_READ } from '../uapi/mman.ts';
import { madvise, mlock, mmap, munmap } from './index.ts';
import { RFC_V1, RFC_V3 } from './movePhysPages.ts';
import { PhysicalProgram } from './physicalProgram.ts';
import { threeNodes, UNTOUCHED, wordOf } from './testProgram.ts';

const MOVE_ALL = 4;

function stranger(p: PhysicalProgram, caps = 0): Task {
  const task = p.k.spawn(null, 0);
  Object.assign(task, { uid: 1000, euid: 1000, suid: 1000, caps });
  return task;
}

/** A cpuset of its own for `task` with these nodes. */
function confine(p: PhysicalProgram, task: Task, mems: number): void {
  const root = rootCpuset(p.k, false);
  const cpuset = createCpuset(root);
  writeCpusetMems(p.k, cpuset, mems);
  attachTask(p.k, task, cpuset);
}

describe('move_phys_pages: who may call', () => {
  it('S-PP-01 v3 asks for CAP_SYS_ADMIN even to look', () => {
    const p = new PhysicalProgram();
    const nice = stranger(p, CAP_SYS_NICE);
    expect(p.rfc([p.physical(0)], null, 0, nice)).toEqual({ ret: -EPERM, status: [UNTOUCHED] });
    expect(p.rfc([p.physical(0)], null, 0, stranger(p, CAP_SYS_ADMIN)).status).toEqual([0]);
  });

  it('S-PP-02 PP-5 v1: anybody moves pages of one owner; ALL needs CAP_SYS_NICE', () => {
    const p = new PhysicalProgram();
    const nobody = stranger(p);
    expect(p.rfc([p.physical(0)], [1], 2, nobody, RFC_V1)).toEqual({ ret: 0, status: [1] });
    expect(p.rfc([p.physical(1)], [1], MOVE_ALL, nobody, RFC_V1).ret).toBe(-EPERM);
    const nice = stranger(p, CAP_SYS_NICE);
    expect(p.rfc([p.physical(1)], [1], MOVE_ALL, nice, RFC_V1).status).toEqual([1]);
    expect(loadWord(p.k, p.task, p.vpn(0))).toBe(wordOf(0));
  });

  it('A3: with no permission model at all even shared pages are anybody’s', () => {
    const p = new PhysicalProgram();
    p.child();
    const open = { permission: 'none', isExactRmap: false } as const;
    expect(p.rfc([p.physical(0)], [1], MOVE_ALL, stranger(p), open).status).toEqual([1]);
  });

  it('S-PP-03 PP-4 bad flags come before missing rights', () => {
    const p = new PhysicalProgram();
    expect(p.rfc([p.physical(0)], [1], 1, stranger(p)).ret).toBe(-EINVAL);
  });

  it('PP-6, PP-7: nothing to do; a node that is not there is fatal after what was queued', () => {
    const p = new PhysicalProgram();
    expect(p.rfc([], [])).toEqual({ ret: 0, status: [] });
    const addresses = [p.physical(0), p.physical(1)];
    expect(p.rfc(addresses, [1, 9])).toEqual({ ret: -ENODEV, status: [1, UNTOUCHED] });
  });
});

describe('move_phys_pages: what a frame yields', () => {
  it('PP-3, PP-19, PP-26: exclusive pages move, with their content, from any byte in them', () => {
    const p = new PhysicalProgram();
    const addresses = [p.physical(0) + 123, p.physical(1)];
    expect(p.rfc(addresses, [1, 2])).toEqual({ ret: 0, status: [1, 2] });
    expect(p.where().slice(0, 3)).toBe('120');
    expect(loadWord(p.k, p.task, p.vpn(0))).toBe(wordOf(0));
    checkInvariants(p.k);
  });

  it('PP-16: already there', () => {
    const p = new PhysicalProgram();
    expect(p.rfc([p.physical(0)], [0])).toEqual({ ret: 0, status: [0] });
  });

  it('S-PP-04 PP-13: page cache that nobody maps', () => {
    const p = new PhysicalProgram();
    const file = p.k.newFile('/tmp/f', 'tmpfs', 1);
    const address = mmap(p.k, p.task, 0, 4096, PROT_READ, MAP_SHARED, file, 0);
    accessPage(p.k, p.task, address / 4096, false);
    const physical = p.physical((address - p.area) / 4096);
    munmap(p.k, p.task, address, 4096);
    expect(p.rfc([physical], [1]).status).toEqual([-ENOENT]);
  });

  it('S-PP-06 PP-2, PP-10, PP-12: holes, free frames, kernel memory', () => {
    const p = new PhysicalProgram();
    const kernel = allocPages(p.k.pm, 0, GFP_KERNEL, 0, -1);
    const free = p.physical(0);
    munmap(p.k, p.task, p.area, 4096);
    p.k.lru.drainAll();
    const addresses = [0, 2 ** 45, free, p.physicalOf(kernel)];
    expect(p.rfc(addresses, [1, 1, 1, 1])).toEqual({
      ret: 0,
      status: addresses.map(() => -ENOENT),
    });
  });

  it('S-PP-07 PP-30, PP-31: asking tells the node of any online frame', () => {
    const p = new PhysicalProgram();
    const kernel = allocPages(p.k.pm, 0, GFP_KERNEL, 1, -1);
    const first = p.hugePage();
    const addresses = [p.physicalOf(kernel), p.physical(first + 3), 2 ** 45];
    expect(p.rfc(addresses, null)).toEqual({ ret: 0, status: [1, 0, -ENOENT] });
  });

  it('S-PP-08 PP-11, PP-28: a tail is no page; the head takes the whole folio', () => {
    const p = new PhysicalProgram();
    const first = p.hugePage();
    const addresses = [p.physical(first + 7), p.physical(first)];
    expect(p.rfc(addresses, [1, 1])).toEqual({ ret: 0, status: [-ENOENT, 1] });
    expect(p.k.pm.nidOf(p.frame(first + 511))).toBe(1);
  });

  it('PP-12, PP-28: a folio that the call has isolated already is not on an LRU list', () => {
    const p = new PhysicalProgram();
    const address = p.physical(0);
    expect(p.rfc([address, address + 256], [1, 1])).toEqual({ ret: 0, status: [1, -ENOENT] });
    expect(p.k.pm.nidOf(p.frame(0))).toBe(1);
  });

  it('S-PP-09 PP-12: hugetlb pages are on no LRU list', () => {
    const p = new PhysicalProgram();
    p.k.hugetlb.resize(4, 0);
    const address = p.map(512, 0x40022);
    accessPage(p.k, p.task, address / 4096, true);
    const page = (address - p.area) / 4096;
    expect(p.frame(page)).toBeGreaterThan(0);
    expect(p.rfc([p.physical(page)], [1]).status).toEqual([-ENOENT]);
  });

  it('PP-13: only in the swap cache, or swapped out: nobody maps it', () => {
    const p = new PhysicalProgram();
    const physical = p.physical(0);
    madvise(p.k, p.task, p.area, 4096, MADV_PAGEOUT);
    expect(p.rfc([physical], [1]).status).toEqual([-ENOENT]);
  });

  it('A.3: locked pages move', () => {
    const p = new PhysicalProgram();
    mlock(p.k, p.task, p.area, 4096);
    expect(p.rfc([p.physical(0)], [1]).status).toEqual([1]);
  });

  it('S-PP-25 PP-26: a pinned page makes the return positive, no status is written', () => {
    const p = new PhysicalProgram();
    p.k.folios.pin(p.frame(1), 1);
    const addresses = [0, 1, 2].map((page) => p.physical(page));
    const status = addresses.map(() => UNTOUCHED);
    expect(p.rfc(addresses, [1, 1, 1])).toEqual({ ret: 1, status });
    expect(p.where().slice(0, 3)).toBe('101');
  });

  it('PP-27: the caller’s cpuset bounds where the new page may come from', () => {
    const p = new PhysicalProgram();
    p.daemon.memsAllowed = 1;
    expect(p.rfc([p.physical(0)], [1])).toEqual({ ret: -ENOMEM, status: [UNTOUCHED] });
  });
});

describe('move_phys_pages: the mappers decide', () => {
  it('S-PP-10 PP-14: the cpuset of the owner forbids the node: a status, not an error', () => {
    const p = new PhysicalProgram();
    confine(p, p.task, 1);
    expect(p.rfc([p.physical(0)], [1])).toEqual({ ret: 0, status: [-EACCES] });
    expect(p.k.failures.pages[CAUSE_NOT_IN_CPUSET]).toBe(1);
  });

  it('S-PP-11 PP-20, PP-49: every mapper must allow it', () => {
    const p = new PhysicalProgram();
    confine(p, p.child(), 1);
    expect(p.rfc([p.physical(0)], [1], MOVE_ALL).status).toEqual([-EACCES]);
  });

  it('S-PP-12 PP-17: shared pages need MOVE_ALL; the record tells the cause (PP-23)', () => {
    const p = new PhysicalProgram();
    p.child();
    expect(p.rfc([p.physical(0)], [1]).status).toEqual([-EACCES]);
    expect(p.k.failures.pages[CAUSE_SHARED]).toBe(1);
    expect(p.rfc([p.physical(0)], [1], MOVE_ALL).status).toEqual([1]);
    checkInvariants(p.k);
  });

  it('PP-14a: an area that cannot be migrated', () => {
    const p = new PhysicalProgram();
    // A driver mapped ordinary pages for itself (VM_IO).
    p.task.mm!.findVma(p.vpn(0))!.flags |= VM_IO;
    expect(p.rfc([p.physical(0)], [1]).status).toEqual([-EFAULT]);
  });

  it('PP-21: a child that has copied still counts as a mapper of the posted walk', () => {
    const p = new PhysicalProgram();
    const child = p.child();
    p.write(0, 1, child);
    confine(p, child, 1);
    expect(p.rfc([p.physical(0)], [1], MOVE_ALL).status).toEqual([-EACCES]);
    const exact = { ...RFC_V3, isExactRmap: true };
    expect(p.rfc([p.physical(0)], [1], MOVE_ALL, p.daemon, exact).status).toEqual([1]);
  });

  it('PP-24: memory policy is not asked', () => {
    const p = new PhysicalProgram(threeNodes());
    expect(p.rfc([p.physical(0)], [2]).status).toEqual([2]);
  });
});
