/** Hint faults and what a migration for them needs: TI-21..TI-23. */
import { describe, expect, it } from 'vitest';
import {
  MPOL_BIND,
  MPOL_F_NUMA_BALANCING,
  MPOL_INTERLEAVE,
  MPOL_PREFERRED,
} from '../uapi/mempolicy.ts';
import { PROT_EXEC, PROT_READ } from '../uapi/mman.ts';
import { CAUSE_DIRTY_FILE, CAUSE_NO_MEMORY, CAUSE_SHARED, CAUSE_WATERMARK } from './failureLog.ts';
import { FAULT_HINT, FAULT_MIGRATED } from './fault.ts';
import { syncFile } from './fileWrite.ts';
import { cloneThread } from './fork.ts';
import { PG_DIRTY } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { type Mempolicy, makePolicy } from './mempolicy.ts';
import { boot, pagesOn, scan } from './numaTestProgram.ts';
import { PTE_FAST, PTE_W } from './pageTable.ts';
import { fillNode, migrate, TestProgram, vmstat } from './testProgram.ts';

describe('hint faults (TI-21, TI-22)', () => {
  it('HS-93, HS-94: mode 1: a private page follows its task; counters', () => {
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

  it('MP-43, OV-62: the destination is allocated within the cpuset of the task that faults', () => {
    for (const [mems, nid, failed] of [
      [0b110, 1, 1],
      [0b111, 0, 0],
    ] as const) {
      const p = boot();
      const a = pagesOn(p, 1, 1);
      p.task.memsAllowed = mems;
      scan(p);
      const moved = nid === 0 ? FAULT_MIGRATED : 0;
      expect(p.access(a, true)).toBe(FAULT_HINT | moved);
      expect([p.nid(a), p.k.failures.pages[CAUSE_NO_MEMORY]]).toEqual([nid, failed]);
      p.k.lru.drainAll();
      checkInvariants(p.k);
    }
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
      what: "MP-95: BIND with it: to the CPU's node",
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
