/**
 * What the kernel's own tests of the test driver assert of userfaultfd, and of its benchmark, which
 * checks that migrations succeed (selftests.test.ts has the other rows).
 */
import { describe, expect, it } from 'vitest';
import { madviseRange, storeWord, userfaultRegister, VM_UFFD_MISSING } from '../mm/index.ts';
import { EBUSY, EFAULT } from '../uapi/errno.ts';
import { MADV_HUGEPAGE } from '../uapi/mman.ts';
import { DeviceBench, numbers } from './deviceBench.ts';

describe('hmm-tests: userfaultfd, and the benchmark', () => {
  it('userfaultfd_read: the device waits for missing pages; their reader fills them', () => {
    const b = new DeviceBench();
    const start = b.map(8);
    userfaultRegister(b.k, b.task.mm!, start, start + 8, VM_UFFD_MISSING);
    const filled: number[] = [];
    const { ret, faults, words } = b.mirror.read(b.task, start, 8, (vpn) => {
      filled.push(vpn - start);
      storeWord(b.k, b.task, vpn, 100 + vpn - start);
    });
    expect([ret, faults]).toEqual([0, 1]);
    expect(filled).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(words).toEqual(filled.map((n) => 100 + n));
    expect(b.end()).toEqual([]);
  });

  it('DM-14: with the lock held nobody can fill them: EFAULT; nobody answers: EBUSY', () => {
    const b = new DeviceBench();
    const start = b.map(2);
    userfaultRegister(b.k, b.task.mm!, start, start + 2, VM_UFFD_MISSING);
    expect(b.mirror.read(b.task, start, 2).ret).toBe(-EFAULT);
    expect(b.mirror.read(b.task, start, 2, () => {}).ret).toBe(-EBUSY);
    expect(b.task.mm!.rssAnon).toBe(0);
    b.store(start, 2);
    expect(b.mirror.read(b.task, start, 2).words).toEqual([1, 2]);
    expect(b.end()).toEqual([]);
  });

  it.each([
    [128, false],
    [512, true],
    [2048, true],
    [4096, false],
  ])('benchmark_thp_migration: %i pages, huge %s: there and back, all of them', (nr, isHuge) => {
    const b = new DeviceBench();
    const start = Math.ceil(b.map(nr + 512) / 512) * 512;
    if (isHuge) madviseRange(b.k, b.task, start, start + nr, MADV_HUGEPAGE);
    b.store(start, nr);
    expect(b.mirror.migrateToDevice(b.task, start, nr)).toMatchObject({ ret: 0, cpages: nr });
    expect(b.mirror.migrateToSystem(b.task, start, nr)).toMatchObject({ ret: 0 });
    expect([b.onDevice(start, nr), b.loads(start, nr)]).toEqual([0, numbers(nr)]);
    expect(b.end()).toEqual([]);
  });
});
