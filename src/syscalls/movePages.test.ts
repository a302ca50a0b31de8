import { describe, expect, it } from 'vitest';
import {
  accessPage,
  CAP_SYS_NICE,
  CAUSE_EXTRA_REFERENCE,
  CAUSE_SHARED,
  checkInvariants,
  exitTask,
  forkTask,
  type Kernel,
  loadWord,
  PG_WRITEBACK,
  type Task,
} from '../mm/index.ts';
import {
  EACCES,
  EBUSY,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOMEM,
  EPERM,
  ESRCH,
} from '../uapi/errno.ts';
import { MADV_PAGEOUT, MAP_SHARED, PROT_READ } from '../uapi/mman.ts';
import { madvise, mlock, mmap, mprotect, munmap, setMempolicy } from './index.ts';
import { movePages } from './movePages.ts';
import { mask, TestProgram, threeNodes, UNTOUCHED } from './testProgram.ts';
import { BAD_ADDRESSES, BAD_INTS, UserAddresses, UserInts } from './userMemory.ts';

const MOVE = 2;
const MOVE_ALL = 4;

function events(k: Kernel): Record<string, number> {
  return Object.fromEntries(k.vmstat.snapshot());
}

function childOf(p: TestProgram): Task {
  const child = forkTask(p.k, p.task);
  if (typeof child === 'number') throw new Error('fork failed');
  return child;
}

/** An unprivileged task of another user. */
function stranger(p: TestProgram): Task {
  const task = p.k.spawn(null, 0);
  Object.assign(task, { uid: 1000, euid: 1000, suid: 1000, caps: 0 });
  return task;
}

describe('move_pages: checks before anything moves', () => {
  it.each([
    ['S-MP-01 MP-1: STRICT is no flag of this call', 1, -EINVAL],
    ['MP-1: unknown bits', 8, -EINVAL],
    ['S-MP-41 MP-1: no flags at all are MOVE', 0, 0],
  ])('%s', (_rule, flags, ret) => {
    const p = new TestProgram();
    expect(p.move([0], [1], flags).ret).toBe(ret);
    expect(p.where().startsWith(ret === 0 ? '1' : '0')).toBe(true);
  });

  it('S-MP-02 MP-2: MOVE_ALL without CAP_SYS_NICE, before the pid is looked up', () => {
    const p = new TestProgram();
    p.task.caps &= ~CAP_SYS_NICE;
    expect(p.move([0], [1], MOVE_ALL, p.task, 999999).ret).toBe(-EPERM);
  });

  it('S-MP-03 MP-4: no such process', () => {
    const p = new TestProgram();
    expect(p.move([0], [1], MOVE, p.task, 999999).ret).toBe(-ESRCH);
  });

  it('S-MP-04 MP-5: a process of another user', () => {
    const p = new TestProgram();
    expect(p.move([0], [1], MOVE, stranger(p), p.task.pid).ret).toBe(-EPERM);
  });

  it('S-MP-05 MP-7: kernel threads and zombies have no memory; strangers see -EPERM first', () => {
    const p = new TestProgram();
    const zombie = childOf(p);
    exitTask(p.k, zombie);
    expect(p.move([0], [1], MOVE, p.task, zombie.pid).ret).toBe(-EINVAL);
    expect(p.move([0], [1], MOVE, stranger(p), zombie.pid).ret).toBe(-EPERM);
  });

  it('S-MP-06 MP-9: nothing to do, pointers untouched', () => {
    const { k, task } = new TestProgram();
    expect(movePages(k, task, 0, 0, BAD_ADDRESSES, BAD_INTS, BAD_INTS, MOVE)).toBe(0);
    expect(movePages(k, task, 0, 0, BAD_ADDRESSES, null, BAD_INTS, 0)).toBe(0);
  });
});

describe('move_pages: fatal errors in the middle of the array', () => {
  it.each([
    ['S-MP-07 MP-13: node -1', [0], [-1], -ENODEV, [UNTOUCHED], '0'],
    ['MP-13: a node that is not there', [0], [9], -ENODEV, [UNTOUCHED], '0'],
    ['MP-13: beyond MAX_NUMNODES', [0], [1024], -ENODEV, [UNTOUCHED], '0'],
    [
      'S-MP-08 MP-15: settled before, untouched after',
      [0, 1],
      [0, 5],
      -ENODEV,
      [0, UNTOUCHED],
      '00',
    ],
    ['MP-15: what is queued still moves', [0, 1, 2], [1, 1, 5], -ENODEV, [1, 1, UNTOUCHED], '110'],
  ])('%s', (_rule, pages, nodes, ret, status, where) => {
    const p = new TestProgram();
    expect(p.move(pages, nodes)).toEqual({ ret, status });
    expect(p.where().slice(0, where.length)).toBe(where);
  });

  it('S-MP-09 MP-14, S-MP-10: outside of the cpuset; a node that is not there comes first', () => {
    const p = new TestProgram();
    p.task.memsAllowed = 1;
    expect(p.move([0], [1])).toEqual({ ret: -EACCES, status: [UNTOUCHED] });
    expect(p.move([0], [77]).ret).toBe(-ENODEV);
  });

  it('S-MP-28 MP-43: allowed for the target, not for the caller: no memory', () => {
    const p = new TestProgram();
    const caller = p.k.spawn(null, 0);
    caller.memsAllowed = 1;
    const result = p.move([0], [1], MOVE, caller, p.task.pid);
    expect(result).toEqual({ ret: -ENOMEM, status: [UNTOUCHED] });
  });

  it('S-MP-40 MP-12: the second pointer cannot be read', () => {
    const p = new TestProgram();
    const addresses = new UserAddresses(Float64Array.of(p.address(0), p.address(1)), 1);
    const slots = new Int32Array(3).fill(UNTOUCHED);
    const nodes = new UserInts(Int32Array.of(1, 1, 1));
    const status = new UserInts(slots);
    expect(movePages(p.k, p.task, 0, 3, addresses, nodes, status, MOVE)).toBe(-EFAULT);
    expect([...slots]).toEqual([1, UNTOUCHED, UNTOUCHED]);
    expect(p.where().slice(0, 3)).toBe('100');
  });

  it('MP-40: the page has moved although its status cannot be written', () => {
    const p = new TestProgram();
    const addresses = new UserAddresses(Float64Array.of(p.address(0)));
    const nodes = new UserInts(Int32Array.of(1));
    expect(movePages(p.k, p.task, 0, 1, addresses, nodes, BAD_INTS, MOVE)).toBe(-EFAULT);
    expect(p.where()[0]).toBe('1');
  });
});

describe('move_pages: what becomes of each page', () => {
  it('S-MP-11 MP-34, MP-35, MP-55: all of them, counted, with their content', () => {
    const p = new TestProgram();
    const before = events(p.k);
    const rss = p.task.mm!.rssAnon;
    const all = Array.from({ length: 16 }, (_, page) => page);
    const result = p.move(
      all,
      all.map(() => 1),
    );
    expect(result).toEqual({ ret: 0, status: all.map(() => 1) });
    const after = events(p.k);
    expect(after.pgmigrate_success - before.pgmigrate_success).toBe(16);
    expect(after.nr_isolated_anon).toBe(0);
    expect(p.task.mm!.rssAnon).toBe(rss);
    for (const page of all) expect(loadWord(p.k, p.task, p.vpn(page))).toBe(1000 + page);
    checkInvariants(p.k);
  });

  it('S-MP-12 MP-22: a page that was never touched', () => {
    const p = new TestProgram(threeNodes(), 0);
    p.write(2, 3);
    p.write(4, 5);
    expect(p.move([2, 3, 4], [1, 1, 1])).toEqual({ ret: 0, status: [1, -ENOENT, 1] });
  });

  it('S-MP-13 MP-23: the zero page', () => {
    const p = new TestProgram(threeNodes(), 0);
    p.write(2, 3);
    accessPage(p.k, p.task, p.vpn(3), false);
    p.write(4, 5);
    expect(p.move([2, 3, 4], [1, 1, 1])).toEqual({ ret: 0, status: [1, -EFAULT, 1] });
  });

  it('S-MP-14 MP-20: no mapping at all', () => {
    const p = new TestProgram();
    munmap(p.k, p.task, p.address(1), 4096);
    expect(p.move([0, 1, 2], [1, 1, 1])).toEqual({ ret: 0, status: [1, -EFAULT, 1] });
  });

  it('S-MP-15 MP-21, S-MP-31 MP-51: raw frames of a device file', () => {
    const p = new TestProgram();
    const device = p.k.newFile('/dev/mem', 'devmem', 16);
    const address = mmap(p.k, p.task, 0, 4096, PROT_READ, MAP_SHARED, device, 0);
    accessPage(p.k, p.task, address / 4096, false);
    const page = (address - p.area) / 4096;
    expect(p.move([page], [1])).toEqual({ ret: 0, status: [-EFAULT] });
    expect(p.move([page], null)).toEqual({ ret: 0, status: [-ENOENT] });
  });

  it('S-MP-16 MP-22: swapped out', () => {
    const p = new TestProgram();
    expect(madvise(p.k, p.task, p.address(0), 4096, MADV_PAGEOUT)).toBe(0);
    expect(p.where()[0]).toBe('-');
    expect(p.move([0], [1])).toEqual({ ret: 0, status: [-ENOENT] });
  });

  it('S-MP-17 S-MP-18 MP-26 OV-35: shared with a child: MOVE refuses, MOVE_ALL moves', () => {
    const p = new TestProgram();
    const child = childOf(p);
    expect(p.move([0], [1], MOVE)).toEqual({ ret: 0, status: [-EACCES] });
    expect(p.k.failures.pages[CAUSE_SHARED]).toBe(1);
    expect(p.move([0], [1], MOVE_ALL)).toEqual({ ret: 0, status: [1] });
    expect(p.where()[0] + p.where(child)[0]).toBe('11');
    expect(p.k.folios.mapcount(p.frame(0))).toBe(2);
    expect(p.k.folios.isAnonExclusive(p.frame(0))).toBe(false);
    checkInvariants(p.k);
  });

  it('S-MP-19 MP-31: a small file page mapped twice by one process counts as shared', () => {
    const p = new TestProgram();
    const file = p.k.newFile('/tmp/f', 'tmpfs', 1);
    const [first, second] = [0, 0].map(() => {
      const address = mmap(p.k, p.task, 0, 4096, PROT_READ, MAP_SHARED, file, 0);
      accessPage(p.k, p.task, address / 4096, false);
      return (address - p.area) / 4096;
    });
    expect(p.move([first], [1])).toEqual({ ret: 0, status: [-EACCES] });
    expect(p.move([second], [1], MOVE_ALL)).toEqual({ ret: 0, status: [1] });
  });

  it('MP-25: already there, nothing is moved', () => {
    const p = new TestProgram();
    expect(p.move([0, 1], [0, 1])).toEqual({ ret: 0, status: [0, 1] });
    expect(events(p.k).pgmigrate_success).toBe(1);
  });

  it('S-MP-34 MP-16: any address inside the page', () => {
    const p = new TestProgram();
    const addresses = new UserAddresses(Float64Array.of(p.address(0) + 123));
    const slots = new Int32Array(1);
    const nodes = new UserInts(Int32Array.of(1));
    movePages(p.k, p.task, 0, 1, addresses, nodes, new UserInts(slots), MOVE);
    expect(slots[0]).toBe(1);
  });

  it('S-MP-35 MP-30: PROT_NONE pages are present', () => {
    const p = new TestProgram();
    mprotect(p.k, p.task, p.area, 4096, 0);
    expect(p.move([0], null).status).toEqual([0]);
    expect(p.move([0], [1]).status).toEqual([1]);
    mprotect(p.k, p.task, p.area, 4096, PROT_READ);
    expect(loadWord(p.k, p.task, p.vpn(0))).toBe(1000);
  });

  it('S-MP-36 OV-30: locked pages move and stay locked', () => {
    const p = new TestProgram();
    mlock(p.k, p.task, p.area, 16 * 4096);
    const locked = events(p.k).nr_mlock;
    expect(p.move([0, 1], [1, 1]).status).toEqual([1, 1]);
    expect(events(p.k).nr_mlock).toBe(locked);
    checkInvariants(p.k);
  });

  it('S-MP-37 MP-43: the policy of the target is not asked', () => {
    const p = new TestProgram();
    setMempolicy(p.k, p.task, 2, mask(0));
    expect(p.move([0], [1]).status).toEqual([1]);
  });

  it('MP-45: a movable-only node is a target like any other', () => {
    const p = new TestProgram();
    expect(p.move([0], [2]).status).toEqual([2]);
  });

  it('S-MP-29 MC-17: a page under writeback is waited for', () => {
    const p = new TestProgram();
    p.k.lru.drainAll();
    p.k.frames.set(p.frame(0), PG_WRITEBACK);
    expect(p.move([0], [1])).toEqual({ ret: 0, status: [1] });
  });
});

describe('move_pages: batches and positive returns', () => {
  it.each([
    ['S-MP-22 MP-36: the same page twice', [0, 0], [1, -EBUSY]],
    ['S-MP-23 MP-36: the third time it is there', [0, 0, 0], [1, -EBUSY, 1]],
    ['MP-36: another one between', [0, 1, 0, 1], [1, 1, -EBUSY, 1]],
  ])('%s', (_rule, pages, status) => {
    const p = new TestProgram();
    const nodes = pages.map(() => 1);
    expect(p.move(pages, nodes)).toEqual({ ret: 0, status });
  });

  it.each([
    ['S-MP-24 MP-37, MP-38: a pinned page, no status written', [0, 1, 2], [1, 1, 1], 1, '101'],
    ['S-MP-25 MP-37: later entries are not tried', [0, 1, 5, 6], [1, 1, 0, 0], 3, '10'],
  ])('%s', (_rule, pages, nodes, ret, where) => {
    const p = new TestProgram();
    p.k.folios.pin(p.frame(1), 1);
    expect(p.move(pages, nodes)).toEqual({ ret, status: pages.map(() => UNTOUCHED) });
    expect(p.where().slice(0, where.length)).toBe(where);
    expect(events(p.k).pgmigrate_fail).toBe(1);
  });

  it('S-MP-26 MP-37: an entry that is settled does not count as untried', () => {
    const p = new TestProgram(threeNodes(), 2);
    p.write(3, 4);
    p.k.folios.pin(p.frame(1), 1);
    const status = [UNTOUCHED, UNTOUCHED, -ENOENT, UNTOUCHED];
    expect(p.move([0, 1, 2, 3], [1, 1, 1, 1])).toEqual({ ret: 2, status });
    expect(p.where().slice(0, 4)).toBe('10-0');
  });

  it('MP-38: a plain extra reference has the same effect, with its own cause', () => {
    const p = new TestProgram();
    p.k.folios.get(p.frame(1));
    expect(p.move([0, 1], [1, 1]).ret).toBe(1);
    expect(p.k.failures.lastCauseOf(p.frame(1))).toBe(CAUSE_EXTRA_REFERENCE);
  });

  it('S-MP-27 MP-39, MP-44: a full node: -ENOMEM, statuses unwritten, nobody is killed', () => {
    const p = new TestProgram(threeNodes('7.3', 0));
    const filler = p.k.spawn(null, 0);
    setMempolicy(p.k, filler, 2, mask(1));
    const address = mmap(p.k, filler, 0, 40000 * 4096, 3, 0x22, null, 0);
    let page = 0;
    while ((accessPage(p.k, filler, address / 4096 + page, true) & 8) === 0) page++;
    expect(p.move([0], [1])).toEqual({ ret: -ENOMEM, status: [UNTOUCHED] });
    expect(filler.exited).toBe(false);
  });
});

describe('move_pages: huge pages', () => {
  function hugeProgram(): { p: TestProgram; first: number } {
    const p = new TestProgram();
    const address = p.map(512);
    madvise(p.k, p.task, address, 512 * 4096, 14);
    accessPage(p.k, p.task, address / 4096, true);
    return { p, first: (address - p.area) / 4096 };
  }

  it('S-MP-20 MP-29: one address moves the whole folio', () => {
    const { p, first } = hugeProgram();
    expect(p.move([first + 5], [1])).toEqual({ ret: 0, status: [1] });
    expect(p.k.pm.nidOf(p.frame(first + 511))).toBe(1);
    const { thp_migration_success, pgmigrate_success } = events(p.k);
    expect({ thp_migration_success, pgmigrate_success }).toEqual({
      thp_migration_success: 1,
      pgmigrate_success: 512,
    });
  });

  it('S-MP-21 MP-36: all 512 addresses', () => {
    const { p, first } = hugeProgram();
    const pages = Array.from({ length: 512 }, (_, n) => first + n);
    const { ret, status } = p.move(
      pages,
      pages.map(() => 1),
    );
    expect(ret).toBe(0);
    expect(status.slice(0, 3)).toEqual([1, -EBUSY, 1]);
    expect(new Set(status.slice(2))).toEqual(new Set([1]));
  });
});

describe('move_pages: asking', () => {
  it('S-MP-30 MP-51 MP-52: written, zero page, untouched, unmapped; nothing is faulted in', () => {
    const p = new TestProgram(threeNodes(), 1);
    accessPage(p.k, p.task, p.vpn(1), false);
    munmap(p.k, p.task, p.address(3), 4096);
    const status = [0, -EFAULT, -ENOENT, -EFAULT];
    expect(p.move([0, 1, 2, 3], null)).toEqual({ ret: 0, status });
    expect(p.where().slice(0, 4)).toBe('0z--');
  });

  it('MP-51: 6.1: holes of anonymous memory are -EFAULT, swapped pages -ENOENT', () => {
    const p = new TestProgram(threeNodes('6.1'), 2);
    madvise(p.k, p.task, p.address(1), 4096, MADV_PAGEOUT);
    expect(p.move([0, 1, 2], null).status).toEqual([0, -ENOENT, -EFAULT]);
    expect(p.move([0, 1, 2], [1, 1, 1]).status).toEqual([1, -ENOENT, -EFAULT]);
  });

  it('S-MP-33 MP-50: statuses cannot be written; the chunk before was', () => {
    const p = new TestProgram();
    const pages = Array.from({ length: 20 }, (_, n) => p.address(n % 16));
    const addresses = new UserAddresses(Float64Array.from(pages));
    const slots = new Int32Array(20).fill(UNTOUCHED);
    const status = new UserInts(slots, 16);
    expect(movePages(p.k, p.task, 0, 20, addresses, null, status, 0)).toBe(-EFAULT);
    expect([slots[15], slots[16]]).toEqual([0, UNTOUCHED]);
    const unreadable = new UserAddresses(Float64Array.from(pages), 17);
    expect(movePages(p.k, p.task, 0, 20, unreadable, null, new UserInts(slots), 0)).toBe(-EFAULT);
  });
});
