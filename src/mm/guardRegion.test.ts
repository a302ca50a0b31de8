/** Guard regions, as tools/testing/selftests/mm/guard-regions.c asserts them. OV section 6. */
import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, ENOMEM } from '../uapi/errno.ts';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_WIPEONFORK,
} from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { accessPage, FAULT_SIGSEGV } from './fault.ts';
import { pinUserPages } from './gup.ts';
import { newHugetlbFile } from './hugetlb.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { applyLockFlags } from './mlockRange.ts';
import { munmapRange } from './mmap.ts';
import { mremapRange } from './mremap.ts';
import { bootNodes, fillNode, TestProgram } from './testProgram.ts';
import { VM_IO, VM_LOCKED, VM_MIXEDMAP, VM_PFNMAP } from './vma.ts';

const HUGE = 512 * 1024;

function boot(kernel: '7.3' | '6.12' = '7.3'): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 16384 }];
  const sysctl = { sysctl: { thp_enabled: 'madvise' as const } };
  return new TestProgram(bootNodes([{ cpus: [0], zones }], { swapPages: 64, kernel, sysctl }));
}

function advise(p: TestProgram, vpn: number, nr: number, advice: number): number {
  return madviseRange(p.k, p.task, vpn, vpn + nr, advice);
}

/** Which of `nr` pages may not be read: "-xx-". */
function guards(p: TestProgram, vpn: number, nr: number): string {
  const one = (at: number) => (accessPage(p.k, p.task, at, false) & FAULT_SIGSEGV ? 'x' : '-');
  return Array.from({ length: nr }, (_, n) => one(vpn + n)).join('');
}

describe('guard regions', () => {
  it('what was there is gone, accesses are SIGSEGV; once removed, zeroes', () => {
    const p = boot();
    const a = p.mapWritten(4);
    expect(advise(p, a + 1, 2, MADV_GUARD_INSTALL)).toBe(0);
    expect([guards(p, a, 4), p.task.mm!.rssAnon]).toEqual(['-xx-', 2]);
    expect(accessPage(p.k, p.task, a + 1, true) & FAULT_SIGSEGV).toBe(FAULT_SIGSEGV);
    expect(advise(p, a + 1, 2, MADV_GUARD_INSTALL)).toBe(0);
    expect(advise(p, a, 2, MADV_GUARD_REMOVE)).toBe(0);
    expect([guards(p, a, 4), p.load(a), p.load(a + 1)]).toEqual(['--x-', 1, 0]);
    checkInvariants(p.k);
  });

  it('of a file: its pages stay in the cache and come back', () => {
    const p = boot();
    const file = p.k.newFile('f', 'ext4', 4);
    const a = p.mapWritten(4, { file, shared: true });
    expect(advise(p, a, 4, MADV_GUARD_INSTALL)).toBe(0);
    expect([guards(p, a, 4), file.frameAt(2) >= 0]).toEqual(['xxxx', true]);
    expect(advise(p, a, 4, MADV_GUARD_REMOVE)).toBe(0);
    expect([p.load(a), p.load(a + 3)]).toEqual([1, 4]);
    checkInvariants(p.k);
  });

  it('a huge page is split around them', () => {
    const p = boot();
    const a = p.map(512, { addr: HUGE });
    advise(p, a, 512, MADV_HUGEPAGE);
    p.store(a, 7);
    expect(advise(p, a + 8, 8, MADV_GUARD_INSTALL)).toBe(0);
    expect([guards(p, a + 6, 4), p.load(a), p.task.mm!.rssAnon]).toEqual(['--xx', 7, 504]);
    expect(advise(p, a, 512, MADV_COLLAPSE)).toBeLessThan(0);
    expect(guards(p, a + 6, 4)).toBe('--xx');
    checkInvariants(p.k);
  });

  it.each([
    ['DONTNEED', MADV_DONTNEED],
    ['FREE', MADV_FREE],
    ['COLD', MADV_COLD],
    ['PAGEOUT', MADV_PAGEOUT],
  ])('stay through MADV_%s', (_name, advice) => {
    const p = boot();
    const a = p.mapWritten(3);
    advise(p, a + 1, 1, MADV_GUARD_INSTALL);
    expect([advise(p, a, 3, advice), guards(p, a, 3)]).toEqual([0, '-x-']);
    checkInvariants(p.k);
  });

  it('go with munmap, with mremap to the new place, along fork to the child', () => {
    const p = boot();
    const a = p.map(4);
    advise(p, a + 1, 1, MADV_GUARD_INSTALL);
    expect(guards(p.fork(), a, 4)).toBe('-x--');
    const b = mremapRange(p.k, p.task, a, 4, 4, 3, HUGE);
    expect([b, guards(p, HUGE, 4)]).toEqual([HUGE, '-x--']);
    munmapRange(p.k, p.task.mm!, HUGE, HUGE + 4);
    expect(guards(p, p.map(4, { addr: HUGE }), 4)).toBe('----');
    checkInvariants(p.k);
  });

  it('are not for a child whose memory is wiped', () => {
    const p = boot();
    const a = p.map(2);
    advise(p, a, 1, MADV_GUARD_INSTALL);
    advise(p, a, 2, MADV_WIPEONFORK);
    expect([guards(p.fork(), a, 2), guards(p, a, 2)]).toEqual(['--', 'x-']);
  });

  it('nobody pins them or faults them in: -EFAULT', () => {
    const p = boot();
    const a = p.map(2);
    advise(p, a, 1, MADV_GUARD_INSTALL);
    const errnos = [MADV_POPULATE_READ, MADV_POPULATE_WRITE].map((one) => advise(p, a, 2, one));
    expect([...errnos, pinUserPages(p.k, p.task, a, 1, 0, [])]).toEqual([
      -EFAULT,
      -EFAULT,
      -EFAULT,
    ]);
  });

  it('-EINVAL in locked areas, which may lose them; -ENOMEM for holes, the rest is done', () => {
    const p = boot();
    const a = p.map(6);
    const mm = p.task.mm!;
    advise(p, a, 1, MADV_GUARD_INSTALL);
    applyLockFlags(p.k, mm, a, a + 6, VM_LOCKED);
    expect(advise(p, a + 1, 1, MADV_GUARD_INSTALL)).toBe(-EINVAL);
    expect([advise(p, a, 1, MADV_GUARD_REMOVE), guards(p, a, 2)]).toEqual([0, '--']);
    applyLockFlags(p.k, mm, a, a + 6, 0);
    munmapRange(p.k, mm, a + 2, a + 3);
    expect([advise(p, a + 1, 3, MADV_GUARD_INSTALL), guards(p, a, 5)]).toEqual([-ENOMEM, '-xxx-']);
    checkInvariants(p.k);
  });

  it('-EINVAL for areas of devices and of hugetlb pages, there and back', () => {
    const p = boot();
    const both = (a: number) =>
      [MADV_GUARD_INSTALL, MADV_GUARD_REMOVE].map((one) => advise(p, a, 1, one));
    const device = p.map(2);
    for (const flag of [VM_PFNMAP, VM_MIXEDMAP, VM_IO]) {
      p.task.mm!.findVma(device)!.flags |= flag;
      expect(both(device)).toEqual([-EINVAL, -EINVAL]);
      p.task.mm!.findVma(device)!.flags &= ~flag;
    }
    expect(both(device)).toEqual([0, 0]);
    p.k.hugetlb.resize(1, 0);
    const file = newHugetlbFile(p.k, p.task, 512, false)!;
    const a = p.map(512, { file, addr: HUGE });
    expect(both(a)).toEqual([-EINVAL, -EINVAL]);
  });

  it('-ENOMEM where no page table can be had, what came before is done', () => {
    const p = boot();
    const [first, second] = [p.map(1, { addr: HUGE + 511 }), p.map(1, { addr: HUGE + 512 })];
    expect(second).toBe(first + 1);
    accessPage(p.k, p.task, first, false);
    p.k.swap.allocate(64);
    fillNode(p.k, 0, 0);
    expect(advise(p, first, 2, MADV_GUARD_INSTALL)).toBe(-ENOMEM);
    expect(guards(p, first, 1)).toBe('x');
  });

  it('areas with and without are one again', () => {
    const p = boot();
    const a = p.map(4);
    advise(p, a + 1, 1, MADV_GUARD_INSTALL);
    const areas = p.task.mm!.vmas.length;
    munmapRange(p.k, p.task.mm!, a + 2, a + 3);
    p.map(1, { addr: a + 2 });
    expect([p.task.mm!.vmas.length, guards(p.fork(), a, 4)]).toEqual([areas, '-x--']);
  });

  it('Linux 6.12 knows no such advice', () => {
    const p = boot('6.12');
    const a = p.map(1);
    expect([MADV_GUARD_INSTALL, MADV_GUARD_REMOVE].map((one) => advise(p, a, 1, one))).toEqual([
      -EINVAL,
      -EINVAL,
    ]);
  });
});
