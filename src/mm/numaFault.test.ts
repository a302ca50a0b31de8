/** TI-20..TI-27, TI-95, TI-96, HS-90..HS-93: scanning, hint faults and promotion. */
import { describe, expect, it } from 'vitest';
import {
  MPOL_BIND,
  MPOL_F_NUMA_BALANCING,
  MPOL_INTERLEAVE,
  MPOL_PREFERRED,
} from '../uapi/mempolicy.ts';
import { MADV_HUGEPAGE, PROT_EXEC, PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { CAUSE_DIRTY_FILE, CAUSE_SHARED, CAUSE_WATERMARK } from './failureLog.ts';
import { FAULT_HINT, FAULT_MIGRATED } from './fault.ts';
import { syncFile } from './fileWrite.ts';
import { cloneThread } from './fork.ts';
import { PG_DIRTY } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { type Mempolicy, makePolicy } from './mempolicy.ts';
import { PromotionState, setNumaBalancing } from './numaFault.ts';
import { taskNumaWork } from './numaScan.ts';
import { PTE_A, PTE_D, PTE_FAST, PTE_KIND_PROTNONE, PTE_W, pteIsKind } from './pageTable.ts';
import { bootNodes, fillNode, migrate, TestProgram, vmstat } from './testProgram.ts';

const MS = 1_000_000;

interface Options {
  readonly mode?: number;
  /** Pages of the fast nodes 0 and 1 and of the slow node 2. */
  readonly pages?: number;
  readonly thp?: boolean;
}

/** N0 and N1 with CPUs, N2 slow without. The task runs on N0, time is 10 s. */
function boot(options: Options = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: options.pages ?? 4096 }];
  const k = bootNodes([
    { cpus: [0, 1], zones },
    { cpus: [2], zones },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
  ]);
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  k.sysctl.numa_balancing = options.mode ?? 1;
  k.sysctl.numa_balancing_scan_delay_ms = 0;
  k.nowNs = 10_000 * MS;
  return new TestProgram(k);
}

/** Pages written on node 0 and migrated to `nid`. */
function pagesOn(p: TestProgram, nid: number, n: number): number {
  const a = p.mapWritten(n);
  if (nid !== 0) expect(migrate(p, a, n, nid)).toBe(0);
  p.k.lru.drainAll();
  return a;
}

function scan(p: TestProgram): number {
  p.k.nowNs += 2000 * MS;
  return taskNumaWork(p.k, p.task);
}

const isHint = (p: TestProgram, vpn: number): boolean =>
  pteIsKind(p.entry(vpn).word, PTE_KIND_PROTNONE);

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

describe('hint faults (TI-21, TI-22)', () => {
  it('mode 1: a private page follows its task; counters', () => {
    const p = boot();
    const a = pagesOn(p, 1, 2);
    scan(p);
    expect(p.access(a, true)).toBe(FAULT_HINT | FAULT_MIGRATED);
    expect([p.nid(a), p.nid(a + 1), p.load(a)]).toEqual([0, 1, 1]);
    const names = ['numa_hint_faults', 'numa_hint_faults_local', 'numa_pages_migrated'];
    expect(names.map((name) => vmstat(p.k, name))).toEqual([1, 0, 1]);
    p.k.lru.drainAll();
    checkInvariants(p.k);
  });

  it('a page that is local is counted local and stays', () => {
    const p = boot();
    cloneThread(p.k, p.task);
    const a = pagesOn(p, 0, 1);
    scan(p);
    expect(p.access(a, false)).toBe(FAULT_HINT);
    expect(vmstat(p.k, 'numa_hint_faults_local')).toBe(1);
  });

  const policies: readonly {
    what: string;
    mode: number;
    flags: number;
    nodes: number;
    nid: number;
  }[] = [
    { what: 'BIND without the flag: stays', mode: MPOL_BIND, flags: 0, nodes: 0b011, nid: 1 },
    {
      what: "BIND with it: to the CPU's node",
      mode: MPOL_BIND,
      flags: MPOL_F_NUMA_BALANCING,
      nodes: 0b011,
      nid: 0,
    },
    {
      what: "BIND with it, CPU's node not in the mask: stays",
      mode: MPOL_BIND,
      flags: MPOL_F_NUMA_BALANCING,
      nodes: 0b110,
      nid: 1,
    },
    { what: 'INTERLEAVE: stays', mode: MPOL_INTERLEAVE, flags: 0, nodes: 0b011, nid: 1 },
    { what: 'PREFERRED: stays', mode: MPOL_PREFERRED, flags: 0, nodes: 0b001, nid: 1 },
  ];
  it.each(policies)('$what', ({ mode, flags, nodes, nid }) => {
    const p = boot();
    const a = pagesOn(p, 1, 1);
    scan(p); // under the default policy: the entry is marked
    p.task.setPolicy(makePolicy(mode, flags, nodes, -1) as Mempolicy);
    p.load(a);
    expect(p.nid(a)).toBe(nid);
  });

  it('two-stage filter: after another node used the page last, one fault is not enough', () => {
    const p = boot();
    const a = pagesOn(p, 2, 1);
    const other = new TestProgram(p.k, cloneThread(p.k, p.task));
    p.k.placeTask(other.task, 2);
    p.task.numaPreferredNid = 0;
    p.task.mm!.numaScanSeq = 10;
    p.k.frames.lastCpupid[p.head(a)] = (2 << 8) | (other.task.pid & 0xff); // used from node 1
    scan(p);
    expect(p.access(a, false)).toBe(FAULT_HINT);
    scan(p);
    expect(p.access(a, false)).toBe(FAULT_HINT | FAULT_MIGRATED);
    expect(p.nid(a)).toBe(0);
  });

  it('TI-24: a slow page without a last user is not for mode 1', () => {
    const p = boot();
    const a = pagesOn(p, 2, 1);
    p.k.frames.lastCpupid[p.head(a)] = 0xffff;
    scan(p);
    expect(p.access(a, false)).toBe(FAULT_HINT);
    scan(p);
    expect(p.access(a, false)).toBe(FAULT_HINT | FAULT_MIGRATED);
  });

  it('a huge page migrates whole, or not at all (TI-21)', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512);
    migrate(p, a, 512, 1);
    scan(p);
    expect(p.access(a + 9, true) & FAULT_MIGRATED).toBe(FAULT_MIGRATED);
    expect([p.nid(a), vmstat(p.k, 'numa_pages_migrated')]).toEqual([0, 512]);
    checkInvariants(p.k);
  });
});

describe('the entry after a hint fault', () => {
  it('migrated: accessible but read-only, so a store faults again', () => {
    const p = boot();
    const a = pagesOn(p, 1, 1);
    scan(p);
    const faults = vmstat(p.k, 'pgfault');
    p.load(a);
    expect([p.nid(a), p.entry(a).word & PTE_W]).toEqual([0, 0]);
    expect(p.k.folios.isAnonExclusive(p.frame(a))).toBe(true);
    p.store(a, 5);
    expect([vmstat(p.k, 'pgfault') - faults, vmstat(p.k, 'pgreuse')]).toEqual([2, 1]);
  });

  it('not migrated: all hints in the same folio go with one fault', () => {
    const p = boot();
    p.k.sysctl.mthpAlways = 1 << 4;
    const a = p.mapWritten(16, { addr: 0x100000 });
    migrate(p, a, 16, 1);
    expect(scan(p)).toBe(16);
    fillNode(p.k, 0, 0);
    p.load(a + 5);
    expect([0, 5, 15].map((i) => p.entry(a + i).word & (PTE_FAST | PTE_W))).toEqual(
      new Array(3).fill(PTE_FAST | PTE_W),
    );
    expect(vmstat(p.k, 'numa_hint_faults')).toBe(1);
    checkInvariants(p.k);
  });
});

describe('preparation (TI-23)', () => {
  it('S-TI-15: an executable page that two processes map stays', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.map(1, { file, prot: PROT_READ | PROT_EXEC | 2, shared: true });
    p.load(a);
    migrate(p, a, 1, 1);
    scan(p);
    const other = new TestProgram(p.k);
    other.load(other.map(1, { file, prot: PROT_READ | PROT_EXEC, shared: true }));
    expect(p.access(a, false)).toBe(FAULT_HINT);
    expect(p.k.failures.lastCauseOf(p.head(a))).toBe(CAUSE_SHARED);
  });

  it('a file page that became dirty stays', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.mapWritten(1, { file, shared: true });
    migrate(p, a, 1, 1);
    syncFile(p.k, file);
    scan(p);
    p.k.frames.set(p.head(a), PG_DIRTY);
    expect(p.access(a, false)).toBe(FAULT_HINT);
    expect(p.k.failures.lastCauseOf(p.head(a))).toBe(CAUSE_DIRTY_FILE);
    p.k.frames.clear(p.head(a), PG_DIRTY);
  });

  it.each([
    { mode: 1, woken: 0 },
    { mode: 2, woken: 1 },
  ])(
    'S-TI-14: destination below its high mark: not moved; mode $mode wakes kswapd: $woken',
    (row) => {
      const p = boot({ mode: row.mode });
      const a = pagesOn(p, row.mode === 2 ? 2 : 1, 1);
      scan(p);
      fillNode(p.k, 0, 10);
      p.k.kswapdWoken = 0;
      expect(p.access(a, false)).toBe(FAULT_HINT);
      expect(p.k.failures.lastCauseOf(p.head(a))).toBe(CAUSE_WATERMARK);
      expect(p.k.kswapdWoken & 1).toBe(row.woken);
    },
  );
});

describe('promotion in tiering mode (TI-24, TI-26, TI-95)', () => {
  it('S-TI-10: plenty of room on the fast node: at once, whatever the latency', () => {
    const p = boot({ mode: 2, pages: 32768 * 10 });
    const a = pagesOn(p, 2, 1);
    scan(p);
    p.k.nowNs += 3900 * MS;
    expect(p.access(a, false)).toBe(FAULT_HINT | FAULT_MIGRATED);
    const names = ['pgpromote_success', 'pgpromote_candidate_nrl', 'pgpromote_candidate'];
    expect(names.map((name) => vmstat(p.k, name))).toEqual([1, 1, 0]);
    expect(p.k.vmstat.nodeItem(0, 41)).toBe(1); // charged to the fast node (OV-47)
  });

  it.each([
    { latencyMs: 999, promoted: 1, candidate: 1 },
    { latencyMs: 1000, promoted: 0, candidate: 0 },
    { latencyMs: 1500, promoted: 0, candidate: 0 },
  ])('S-TI-11, TI-96: little room: latency $latencyMs ms: promoted $promoted', (row) => {
    const p = boot({ mode: 2 });
    const a = pagesOn(p, 2, 1);
    scan(p);
    p.k.nowNs += row.latencyMs * MS;
    p.load(a);
    expect(p.nid(a)).toBe(row.promoted === 1 ? 0 : 2);
    expect(vmstat(p.k, 'pgpromote_candidate')).toBe(row.candidate);
    expect(vmstat(p.k, 'pgpromote_success')).toBe(row.promoted);
  });

  it('S-TI-12, TI-26: the rate used up: not promoted, but counted; a second later again', () => {
    const p = boot({ mode: 2 });
    p.k.sysctl.numa_balancing_promote_rate_limit_MBps = 1; // 256 pages a second
    const a = pagesOn(p, 2, 600);
    scan(p);
    for (let i = 0; i < 400; i++) p.load(a + i);
    // The first candidate opens the window and is its base.
    expect([vmstat(p.k, 'pgpromote_candidate'), vmstat(p.k, 'pgpromote_success')]).toEqual([
      400, 256,
    ]);
    p.k.nowNs += 900 * MS;
    p.load(a + 400);
    expect(p.nid(a + 400)).toBe(2);
    scan(p);
    for (let i = 256; i < 400; i++) p.load(a + i); // marked anew: hot again
    expect(vmstat(p.k, 'pgpromote_success')).toBe(256 + 144);
  });

  it('MC-44: crossing tiers resets the field: the first scan time is of the new place', () => {
    const p = boot({ mode: 2 });
    const a = pagesOn(p, 2, 1);
    scan(p);
    p.load(a);
    expect([p.nid(a), p.k.frames.lastCpupid[p.head(a)]]).toEqual([0, 0xffff]);
  });
});

describe('the threshold (TI-25, TI-96)', () => {
  const RATE = 25_600; // 100 MB/s

  it('S-TI-13, TI-103: 2 M candidates in a minute: 1000 -> 875; 1 M: back; bounds', () => {
    const state = new PromotionState();
    let now = 60_001;
    let candidates = 2_000_000;
    state.adjust(0, now, RATE, 1000, candidates);
    expect(state.thresholdMs[0]).toBe(875);
    state.adjust(0, now + 60_000, RATE, 1000, candidates + 5_000_000);
    expect(state.thresholdMs[0]).toBe(875); // not more than 60 s later
    now += 60_001;
    candidates += 1_000_000;
    state.adjust(0, now, RATE, 1000, candidates);
    expect(state.thresholdMs[0]).toBe(1000);
    for (let n = 0; n < 20; n++) {
      now += 60_001;
      candidates += 2_000_000;
      state.adjust(0, now, RATE, 1000, candidates);
    }
    expect(state.thresholdMs[0]).toBe(125);
    for (let n = 0; n < 40; n++) {
      now += 60_001;
      state.adjust(0, now, RATE, 1000, candidates);
    }
    expect(state.thresholdMs[0]).toBe(2000);
  });

  it('between 0.9 and 1.1 of the reference it stays', () => {
    const state = new PromotionState();
    state.adjust(0, 60_001, RATE, 1000, 1_536_000);
    expect(state.thresholdMs[0]).toBe(1000);
  });

  it('TI-20: switching tiering on forgets it', () => {
    const p = boot({ mode: 1 });
    p.k.promotion.thresholdMs[0] = 375;
    setNumaBalancing(p.k, 3);
    expect([p.k.promotion.thresholdMs[0], p.k.sysctl.numa_balancing]).toEqual([0, 3]);
    p.k.promotion.thresholdMs[0] = 375;
    setNumaBalancing(p.k, 2);
    expect(p.k.promotion.thresholdMs[0]).toBe(375);
  });
});
