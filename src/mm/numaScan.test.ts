/** The scanner of NUMA balancing: when and what it marks (HS-90..HS-92). */
import { describe, expect, it } from 'vitest';
import { MPOL_BIND, MPOL_F_NUMA_BALANCING } from '../uapi/mempolicy.ts';
import { MADV_HUGEPAGE, PROT_READ } from '../uapi/mman.ts';
import { FAULT_HINT } from './fault.ts';
import { syncFile } from './fileWrite.ts';
import { cloneThread } from './fork.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { type Mempolicy, makePolicy } from './mempolicy.ts';
import { taskNumaWork } from './numaScan.ts';
import { boot, isHint, MS, pagesOn, scan } from './numaTestProgram.ts';
import { PTE_A, PTE_D, PTE_FAST, PTE_W } from './pageTable.ts';
import { fillNode, migrate, type TestProgram, vmstat } from './testProgram.ts';

describe('the scanner: when (HS-90)', () => {
  it('off in mode 0; first after the delay, then once a period', () => {
    const p = boot({ mode: 0 });
    pagesOn(p, 2, 4);
    expect(scan(p)).toBe(0);
    p.k.sysctl.numa_balancing = 1;
    p.k.sysctl.numa_balancing_scan_delay_ms = 1000;
    expect(taskNumaWork(p.k, p.task)).toBe(0);
    p.k.nowNs += 1000 * MS;
    expect(taskNumaWork(p.k, p.task)).toBe(4);
    p.k.nowNs += 999 * MS;
    expect(taskNumaWork(p.k, p.task)).toBe(0);
    expect([vmstat(p.k, 'numa_pte_updates'), p.task.mm!.numaScanSeq]).toEqual([4, 1]);
  });

  it('scan_size at a time, going on where it stopped', () => {
    const p = boot();
    p.k.sysctl.numa_balancing_scan_size_mb = 2;
    const a = p.mapWritten(1024, { addr: 0x100000 });
    migrate(p, a, 1024, 2);
    expect([scan(p), isHint(p, a), isHint(p, a + 512)]).toEqual([512, true, false]);
    expect([scan(p), isHint(p, a + 512), p.task.mm!.numaScanSeq]).toEqual([512, true, 0]);
    p.load(a);
    scan(p);
    expect(p.task.mm!.numaScanSeq).toBe(1);
  });

  it('small areas are scanned like others', () => {
    const p = boot();
    const a = pagesOn(p, 2, 1);
    expect([scan(p), isHint(p, a)]).toEqual([1, true]);
  });
});

describe('the scanner: what (HS-91, HS-92)', () => {
  const skipped: readonly {
    what: string;
    make: (p: TestProgram) => number;
    marked: number;
  }[] = [
    { what: 'remote pages are marked', make: (p) => pagesOn(p, 1, 1), marked: 1 },
    {
      what: 'local pages of a process with one thread are not',
      make: (p) => pagesOn(p, 0, 1),
      marked: 0,
    },
    {
      what: 'local pages of a process with two threads are',
      make: (p) => {
        cloneThread(p.k, p.task);
        return pagesOn(p, 0, 1);
      },
      marked: 1,
    },
    {
      what: 'S-HS-25: a pinned page is not',
      make: (p) => {
        const a = pagesOn(p, 2, 1);
        p.k.folios.pin(p.head(a), 1);
        return a;
      },
      marked: 0,
    },
    {
      what: 'a page shared by fork is not',
      make: (p) => {
        const a = pagesOn(p, 2, 1);
        p.fork();
        return a;
      },
      marked: 0,
    },
    {
      what: 'the zero page is not',
      make: (p) => {
        const a = p.map(1);
        p.load(a);
        return a;
      },
      marked: 0,
    },
    {
      what: 'inaccessible areas are not',
      make: (p) => p.map(1, { prot: 0 }),
      marked: 0,
    },
    {
      what: 'read-only file areas are not',
      make: (p) => {
        const a = p.map(1, { file: p.k.newFile('e', 'ext4', 1), prot: PROT_READ });
        p.load(a);
        migrate(p, a, 1, 2);
        return a;
      },
      marked: 0,
    },
    {
      what: 'clean pages of writable file areas are',
      make: (p) => {
        const file = p.k.newFile('e', 'ext4', 1);
        const a = p.mapWritten(1, { file, shared: true });
        migrate(p, a, 1, 2);
        syncFile(p.k, file);
        return a;
      },
      marked: 1,
    },
    {
      what: 'dirty file pages are not',
      make: (p) => {
        const a = p.mapWritten(1, { file: p.k.newFile('e', 'ext4', 1), shared: true });
        migrate(p, a, 1, 2);
        return a;
      },
      marked: 0,
    },
    {
      what: 'shmem without a shared policy is not (vma_policy_mof)',
      make: (p) => {
        const a = p.mapWritten(1, { file: p.k.newFile('t', 'tmpfs', 1), shared: true });
        migrate(p, a, 1, 2);
        return a;
      },
      marked: 0,
    },
    {
      what: 'a policy that does not allow migration on fault: not',
      make: (p) => {
        p.task.setPolicy(makePolicy(MPOL_BIND, 0, 0b100, -1) as Mempolicy);
        return p.mapWritten(1);
      },
      marked: 0,
    },
    {
      what: 'BIND with MPOL_F_NUMA_BALANCING does',
      make: (p) => {
        const of = makePolicy(MPOL_BIND, MPOL_F_NUMA_BALANCING, 0b100, -1) as Mempolicy;
        p.task.setPolicy(of);
        return p.mapWritten(1);
      },
      marked: 1,
    },
  ];
  it.each(skipped)('$what', ({ make, marked }) => {
    const p = boot();
    const a = make(p);
    expect(scan(p)).toBe(marked);
    if (p.task.mm!.pteIndex(a) >= 0 && p.task.mm!.findVma(a)!.isAccessible()) {
      expect(isHint(p, a)).toBe(marked === 1);
    }
    checkInvariants(p.k);
  });

  it('in tiering-only mode top-tier pages are left alone, slow ones get the time (TI-27)', () => {
    const p = boot({ mode: 2 });
    const fast = pagesOn(p, 1, 1);
    const slow = pagesOn(p, 2, 1);
    expect(scan(p)).toBe(1);
    expect([isHint(p, fast), isHint(p, slow)]).toEqual([false, true]);
    expect(p.k.frames.lastCpupid[p.head(slow)]).toBe((p.k.nowNs / MS) & 0xfff);
  });

  it('a huge page is one update of 512; a part of it splits the mapping', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512);
    migrate(p, a, 512, 2);
    expect(scan(p)).toBe(512);
    expect([vmstat(p.k, 'numa_huge_pte_updates'), isHint(p, a)]).toEqual([1, true]);
    madviseRange(p.k, p.task, a, a + 512, MADV_HUGEPAGE);
    expect(p.load(a + 5)).toBe(6);
    expect(isHint(p, a)).toBe(false);
    checkInvariants(p.k);
  });

  it('marking and the fault keep young, dirty and the write permission', () => {
    const p = boot();
    const a = pagesOn(p, 1, 1);
    scan(p);
    fillNode(p.k, 0, 0); // nothing can move
    expect(p.access(a, false)).toBe(FAULT_HINT);
    expect(p.entry(a).word & 0xf).toBe(PTE_FAST | PTE_A | PTE_D | PTE_W);
    checkInvariants(p.k);
  });
});
