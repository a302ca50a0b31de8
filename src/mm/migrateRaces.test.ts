/** What others do between the unmap and the move of a migration: MC-35, MC-48, MC-90..MC-94. */
import { describe, expect, it } from 'vitest';
import { MREMAP_FIXED, MREMAP_MAYMOVE, PROT_EXEC, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { NR_MLOCK } from '../uapi/vmstat.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_RETRY, FAULT_WAIT, handleFault, waitOnMigration } from './fault.ts';
import { cloneThread, exitTask } from './fork.ts';
import { PG_MLOCKED, PG_UNEVICTABLE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import type { MigrationOp } from './migrate.ts';
import { applyLockFlags } from './mlockRange.ts';
import { munmapRange } from './mmap.ts';
import { mprotectRange } from './mprotect.ts';
import { mremapRange } from './mremap.ts';
import { PTE_KIND_MIGRATION, PTE_W, PTEB_EXCLUSIVE, PTEB_WRITE, pteIsKind } from './pageTable.ts';
import { bootNodes, isolate, migration, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';

interface Race {
  readonly p: TestProgram;
  readonly a: number;
  readonly op: MigrationOp;
  readonly list: number[];
  readonly source: number;
}

/** `pages` anonymous pages (or one huge one) unmapped for a migration from node 0 to node 1. */
function race(pages = 1, thp = false, file?: 'tmpfs' | 'ext4'): Race {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes([
    { cpus: [0, 1], zones },
    { cpus: [], zones },
  ]);
  k.sysctl.thp_enabled = thp ? 'always' : 'never';
  const p = new TestProgram(k);
  const options = file === undefined ? {} : { file: k.newFile('f', file, pages), shared: true };
  const a = p.mapWritten(pages, options);
  const list = isolate(p, a, pages);
  const source = list[0];
  const op = migration(k, list, 1);
  op.step();
  checkInvariants(k);
  return { p, a, op, list, source };
}

function finish({ p, op, list }: Race): void {
  op.finish();
  putbackMovablePages(p.k, list);
  checkInvariants(p.k);
  p.k.lru.drainAll();
  checkInvariants(p.k);
}

describe('an access during the migration (MC-35, MC-48)', () => {
  it('S-MC-17: a store waits, then goes to the new frame', () => {
    const r = race();
    expect(handleFault(r.p.k, r.p.task, r.a, true)).toBe(FAULT_WAIT);
    expect(pteIsKind(r.p.entry(r.a).word, PTE_KIND_MIGRATION)).toBe(true);
    waitOnMigration(r.p.k, r.p.task.mm!, r.a);
    expect(r.op.isDone).toBe(true);
    r.p.store(r.a, 99);
    expect([r.p.nid(r.a), r.p.load(r.a)]).toEqual([1, 99]);
    finish(r);
  });

  it('a thread of the same process waits too, on a huge page as well', () => {
    const r = race(512, true);
    const other = new TestProgram(r.p.k, cloneThread(r.p.k, r.p.task));
    expect(handleFault(other.k, other.task, r.a + 100, false) & FAULT_WAIT).toBe(FAULT_WAIT);
    expect(other.load(r.a + 100)).toBe(101);
    finish(r);
  });

  it('MC-90: a fault that finds the cached page locked waits instead of mapping it', () => {
    const r = race(1, false, 'tmpfs');
    const other = new TestProgram(r.p.k);
    const file = r.p.task.mm!.findVma(r.a)!.file!;
    const b = other.map(1, { file, shared: true });
    expect(handleFault(other.k, other.task, b, false)).toBe(FAULT_WAIT | FAULT_RETRY);
    expect(other.load(b)).toBe(1);
    expect([other.frame(b), other.nid(b)]).toEqual([r.p.frame(r.a), 1]);
    finish(r);
  });
});

describe('fork, munmap, mprotect, mremap, exit during the migration (MC-35, MC-91)', () => {
  it.each([
    { thp: false, pages: 1 },
    { thp: true, pages: 512 },
  ])('S-MC-18: fork makes both entries read kind; both map the new frame (huge: $thp)', (row) => {
    const r = race(row.pages, row.thp);
    const child = r.p.fork();
    checkInvariants(r.p.k);
    for (const p of [r.p, child]) {
      expect(p.entry(r.a).byte & (PTEB_WRITE | PTEB_EXCLUSIVE)).toBe(0);
    }
    finish(r);
    expect(child.frame(r.a)).toBe(r.p.frame(r.a));
    expect(r.p.nid(r.a)).toBe(1);
    expect(r.p.k.folios.isAnonExclusive(r.p.frame(r.a))).toBe(false);
    r.p.store(r.a, 77);
    expect([r.p.load(r.a), child.load(r.a)]).toEqual([77, 1]);
    checkInvariants(r.p.k);
  });

  it('fork leaves entries of shared mappings as they are (OV-31f)', () => {
    const r = race(1, false, 'tmpfs');
    r.p.fork();
    expect(r.p.entry(r.a).byte & PTEB_WRITE).toBe(PTEB_WRITE);
    finish(r);
    expect(r.p.entry(r.a).word & PTE_W).toBe(PTE_W);
  });

  it('S-MC-19: munmap drops the entry and its rss; the new page has no user and is freed', () => {
    const r = race(2);
    munmapRange(r.p.k, r.p.task.mm!, r.a, r.a + 1);
    expect(r.p.task.mm!.rssAnon).toBe(1);
    checkInvariants(r.p.k);
    finish(r);
    expect(r.op.result).toBe(0);
    expect(vmstat(r.p.k, 'pgmigrate_success')).toBe(2);
    expect(vmstat(r.p.k, 'nr_anon_pages')).toBe(1);
  });

  it('munmap of a part of a huge page splits its entry; the rest is small', () => {
    const r = race(512, true);
    munmapRange(r.p.k, r.p.task.mm!, r.a, r.a + 100);
    expect(r.p.task.mm!.rssAnon).toBe(412);
    finish(r);
    expect([r.p.load(r.a + 100), r.p.nid(r.a + 511)]).toEqual([101, 1]);
    expect(r.p.k.folios.mapcount(r.p.head(r.a + 200))).toBe(412);
  });

  it.each([
    { what: 'anonymous', file: undefined, kept: PTEB_EXCLUSIVE },
    { what: 'file', file: 'tmpfs' as const, kept: 0 },
  ])('mprotect without write: $what entries lose the write kind', ({ file, kept }) => {
    const r = race(1, false, file);
    mprotectRange(r.p.k, r.p.task.mm!, r.a, r.a + 1, PROT_READ);
    expect(r.p.entry(r.a).byte & (PTEB_WRITE | PTEB_EXCLUSIVE)).toBe(kept);
    finish(r);
    expect(r.p.entry(r.a).word & PTE_W).toBe(0);
    expect(r.p.k.folios.isAnonExclusive(r.p.frame(r.a))).toBe(kept !== 0);
  });

  it.each([
    { what: 'a page', thp: false, pages: 1 },
    { what: 'a huge page', thp: true, pages: 512 },
  ])('mprotect that keeps write: $what is read-exclusive, and written to by a fault', (row) => {
    const r = race(row.pages, row.thp);
    const rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
    mprotectRange(r.p.k, r.p.task.mm!, r.a, r.a + row.pages, rwx);
    expect(r.p.entry(r.a).byte & (PTEB_WRITE | PTEB_EXCLUSIVE)).toBe(PTEB_EXCLUSIVE);
    finish(r);
    const frame = r.p.frame(r.a);
    expect([r.p.entry(r.a).word & PTE_W, r.p.k.folios.isAnonExclusive(frame)]).toEqual([0, true]);
    r.p.store(r.a, 9);
    expect([r.p.frame(r.a), r.p.load(r.a)]).toEqual([frame, 9]);
    checkInvariants(r.p.k);
  });

  it('mprotect to what the area has already changes nothing', () => {
    const r = race(1);
    const before = r.p.entry(r.a);
    mprotectRange(r.p.k, r.p.task.mm!, r.a, r.a + 1, PROT_READ | PROT_WRITE);
    expect([r.p.entry(r.a), before.byte & PTEB_WRITE]).toEqual([before, PTEB_WRITE]);
    finish(r);
    expect(r.p.entry(r.a).word & PTE_W).toBe(PTE_W);
  });

  it.each([
    { thp: false, pages: 4 },
    { thp: true, pages: 512 },
  ])('mremap takes the entries along; rmap finds them at the new place (huge: $thp)', (row) => {
    const r = race(row.pages, row.thp);
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    const to = 0x300000;
    const { pages } = row;
    expect(mremapRange(r.p.k, r.p.task, r.a, pages, pages, flags, to)).toBe(to);
    checkInvariants(r.p.k);
    finish(r);
    expect([r.p.nid(to), r.p.load(to + pages - 1)]).toEqual([1, pages]);
  });

  it('MC-91: exit tears the tables down; a file page stays in the cache on the new node', () => {
    for (const file of [undefined, 'tmpfs' as const]) {
      const r = race(1, false, file);
      exitTask(r.p.k, r.p.task);
      checkInvariants(r.p.k);
      finish(r);
      expect(vmstat(r.p.k, 'nr_anon_pages')).toBe(0);
      if (file !== undefined) {
        const page = r.p.k.files.find((f) => f?.name === 'f')!.frameAt(0);
        expect(r.p.k.pm.nidOf(page)).toBe(1);
      }
    }
  });
});

describe('others who want the folio (MC-90, MC-92)', () => {
  it('a second migration cannot isolate it', () => {
    const r = race();
    expect(isolateFolio(r.p.k, r.source, [])).toBe(false);
    finish(r);
  });

  it('reclaim leaves it alone', () => {
    const r = race(1, false, 'ext4');
    const { hooks } = r.p.k.pm;
    hooks.inReclaim = true;
    hooks.directReclaim(0, 8, 0, 1);
    hooks.inReclaim = false;
    finish(r);
    expect([r.op.result, r.p.load(r.a)]).toEqual([0, 1]);
  });

  it.each([
    { before: false, during: true },
    { before: true, during: false },
  ])('MC-92: locked before: $before, during: $during; the mark follows the area', (row) => {
    const r0 = race();
    const { p, a } = r0;
    finish(r0);
    const lock = (on: boolean) => applyLockFlags(p.k, p.task.mm!, a, a + 1, on ? VM_LOCKED : 0);
    lock(row.before);
    const list = isolate(p, a, 1);
    const op = migration(p.k, list, 0);
    op.step();
    lock(row.during);
    op.finish();
    p.k.lru.drainAll();
    expect([p.has(a, PG_MLOCKED), p.has(a, PG_UNEVICTABLE)]).toEqual([row.during, row.during]);
    expect(p.k.vmstat.zoneItem(0, NR_MLOCK)).toBe(row.during ? 1 : 0);
    checkInvariants(p.k);
  });

  it('MC-92: a locked area unmaps it, a forked one keeps it, and the migration fails', () => {
    const r0 = race();
    const { p, a } = r0;
    finish(r0);
    applyLockFlags(p.k, p.task.mm!, a, a + 1, VM_LOCKED);
    const child = p.fork();
    const source = p.head(a);
    const list = isolate(p, a, 1);
    const op = migration(p.k, list, 0);
    op.step();
    munmapRange(p.k, p.task.mm!, a, a + 1);
    p.k.folios.get(source);
    op.finish();
    putbackMovablePages(p.k, list);
    p.k.putFolio(source);
    p.k.lru.drainAll();
    expect(op.result).toBe(1);
    expect([child.head(a), child.has(a, PG_MLOCKED)]).toEqual([source, false]);
    checkInvariants(p.k);
  });

  it('MC-92, OV-29: unlocked meanwhile, and the page stays: it is not mlocked any more', () => {
    const r = race();
    const { p, a } = r;
    finish(r);
    applyLockFlags(p.k, p.task.mm!, a, a + 1, VM_LOCKED);
    const list = isolate(p, a, 1);
    const [source] = list;
    const op = migration(p.k, list, 0);
    op.step();
    p.k.folios.get(source);
    applyLockFlags(p.k, p.task.mm!, a, a + 1, 0);
    op.finish();
    expect([op.result, p.has(a, PG_MLOCKED)]).toEqual([1, false]);
    p.k.putFolio(source);
    putbackMovablePages(p.k, list);
    expect(p.k.vmstat.zoneItem(1, NR_MLOCK)).toBe(0);
    checkInvariants(p.k);
  });

  it('MC-94: address and content stay, the frame changes', () => {
    const r = race();
    finish(r);
    expect(r.p.frame(r.a)).not.toBe(r.source);
    expect(r.p.load(r.a)).toBe(1);
  });
});

describe('pgfault (mm_account_fault)', () => {
  it('a wait for a migration entry is a fault, a wait for a lock counts at its end', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
    const nodes = [
      { cpus: [0], zones },
      { cpus: [], zones },
    ];
    const p = new TestProgram(bootNodes(nodes));
    const a = p.mapWritten(1);
    const op = migration(p.k, isolate(p, a, 1), 1);
    op.step();
    const before = vmstat(p.k, 'pgfault');
    expect(p.load(a)).toBe(1);
    expect([op.isDone, vmstat(p.k, 'pgfault') - before]).toEqual([true, 1]);
    const file = p.k.newFile('f', 'tmpfs', 1);
    const b = p.mapWritten(1, { file, shared: true });
    const other = p.map(1, { file, shared: true });
    const second = migration(p.k, isolate(p, b, 1), 1);
    second.step();
    const now = vmstat(p.k, 'pgfault');
    expect(p.load(other)).toBe(1);
    expect([second.isDone, vmstat(p.k, 'pgfault') - now]).toEqual([true, 1]);
  });
});
