/** What a pass of offlining does with folios of each kind: PM-70, PM-71. */
import { describe, expect, it } from 'vitest';
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { EBUSY } from '../uapi/errno.ts';
import { MPOL_BIND } from '../uapi/mempolicy.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { CAUSE_HUGETLB_PROMISED, CAUSE_NOT_ON_LRU } from './failureLog.ts';
import { PG_HWPOISON, PG_LRU } from './frameTable.ts';
import { newHugetlbFile } from './hugetlb.ts';
import { HPAGE_MIGRATABLE } from './hugetlbPool.ts';
import { checkInvariants } from './invariants.ts';
import type { Kernel } from './kernel.ts';
import { MEM_OFFLINE, MEM_ONLINE } from './memoryBlocks.ts';
import { Mempolicy } from './mempolicy.ts';
import { OfflineOp } from './offlinePages.ts';
import { writeBlockState } from './onlinePages.ts';
import { bootNodes, TestProgram, vmstat } from './testProgram.ts';

const BLOCK = 1024;
const HUGE = 512 * 1024;

/** Node 0 with CPUs: NORMAL. Node 1: MOVABLE, two blocks of two pageblocks. */
function boot(options: { thp?: boolean; mthp?: number } = {}): TestProgram {
  const k = bootNodes(
    [
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 8 * BLOCK }] },
      { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 2 * BLOCK }] },
    ],
    { memoryBlockPages: BLOCK },
  );
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  k.sysctl.mthpAlways = options.mthp ?? 0;
  const p = new TestProgram(k);
  p.task.setPolicy(new Mempolicy(MPOL_BIND, 0, 2, 2));
  return p;
}

const blockOf = (p: TestProgram, vpn: Vpn) => p.k.pm.memoryBlocks.blockOf(p.frame(vpn));

function begun(k: Kernel, block: number): OfflineOp {
  const answer = writeBlockState(k, block, 'offline');
  if (!(answer instanceof OfflineOp)) throw new Error(`offline answered ${answer}`);
  return answer;
}

/** Passes until it is over. */
function finish(op: OfflineOp, passes = 6): number | null {
  while (op.passes < passes) if (op.step()) return op.result;
  return null;
}

describe('large folios', () => {
  it('2 MiB go whole, in one pass', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: HUGE });
    const op = begun(p.k, blockOf(p, a));
    expect([finish(op), op.passes]).toEqual([0, 2]);
    expect([p.nid(a), p.k.folios.isLarge(p.head(a)), p.load(a + 511)]).toEqual([0, true, 512]);
    expect([vmstat(p.k, 'thp_migration_success'), vmstat(p.k, 'pgmigrate_success')]).toEqual([
      1, 512,
    ]);
    checkInvariants(p.k);
  });

  it('each of several, small ones between them', () => {
    const p = boot({ mthp: 1 << 4 });
    const a = p.mapWritten(32, { addr: HUGE });
    p.k.sysctl.mthpAlways = 0;
    const b = p.mapWritten(3);
    p.k.sysctl.mthpAlways = 1 << 2;
    const c = p.mapWritten(8, { addr: 2 * HUGE });
    const op = begun(p.k, blockOf(p, a));
    expect([finish(op), op.passes]).toEqual([0, 2]);
    const vpns = [a, a + 31, b, b + 2, c, c + 7];
    expect(vpns.map((vpn) => p.nid(vpn))).toEqual([0, 0, 0, 0, 0, 0]);
    expect(vpns.map((vpn) => p.k.folios.nrPages(p.head(vpn)))).toEqual([16, 16, 1, 1, 4, 4]);
    expect(vmstat(p.k, 'pgmigrate_success')).toBe(32 + 3 + 8);
    checkInvariants(p.k);
  });

  it('one with an error in it is left alone; the others of the pass go', () => {
    const p = boot({ mthp: 1 << 2 });
    const a = p.mapWritten(8, { addr: HUGE });
    p.k.frames.set(p.frame(a + 3), PG_HWPOISON);
    const op = begun(p.k, blockOf(p, a));
    expect(finish(op, 3)).toBeNull();
    expect([p.nid(a), p.nid(a + 4), vmstat(p.k, 'pgmigrate_success')]).toEqual([1, 0, 4]);
    expect([p.has(a, PG_LRU), vmstat(p.k, 'pgmigrate_fail')]).toEqual([true, 0]);
  });

  it('a small one with an error that is still on a list is taken off it', () => {
    const p = boot();
    const a = p.mapWritten(2);
    p.k.lru.drainAll();
    p.k.frames.set(p.frame(a), PG_HWPOISON);
    const op = begun(p.k, blockOf(p, a));
    op.step();
    expect([p.has(a, PG_LRU), p.nid(a), p.nid(a + 1)]).toEqual([false, 1, 0]);
  });
});

describe('what cannot be isolated', () => {
  it('is recorded, in base pages, and tried again', () => {
    const p = boot({ mthp: 1 << 2 });
    const a = p.mapWritten(8, { addr: HUGE });
    p.k.lru.drainAll();
    const held = p.head(a + 4);
    const op = begun(p.k, blockOf(p, a));
    p.k.lru.isolate(held);
    const before = p.k.failures.pages[CAUSE_NOT_ON_LRU];
    expect(op.step()).toBe(false);
    expect(p.k.failures.lastCauseOf(held)).toBe(CAUSE_NOT_ON_LRU);
    expect(p.k.failures.pages[CAUSE_NOT_ON_LRU] - before).toBe(4);
    expect([p.nid(a), p.nid(a + 4)]).toEqual([0, 1]);
    p.k.lru.putback(0, held);
    p.k.lru.drainAll();
    expect([finish(op), p.nid(a + 4)]).toEqual([0, 0]);
    checkInvariants(p.k);
  });
});

describe('hugetlb pages', () => {
  function hugetlb(pages: number, pool: number) {
    const p = boot();
    const { k } = p;
    k.hugetlb.resize(pool, 1);
    const file = newHugetlbFile(k, p.task, pages * HPAGE_PMD_NR, true)!;
    const a = p.map(pages * HPAGE_PMD_NR, { file, shared: true, addr: HUGE });
    return { p, k, a, file };
  }

  it('in use: migrated; free: dissolved', () => {
    const { p, k, a } = hugetlb(1, 2);
    p.store(a + 5, 7);
    const block = blockOf(p, a);
    expect([p.nid(a), k.hugetlb.freeOf(1)]).toEqual([1, 1]);
    expect(finish(begun(k, block))).toBe(0);
    expect([p.nid(a), p.load(a + 5), k.pm.memoryBlocks.state[block]]).toEqual([0, 7, MEM_OFFLINE]);
    expect([k.hugetlb.freeOf(1), k.hugetlb.nrHuge[0]]).toEqual([0, 1]);
    checkInvariants(k);
  });

  it('one that is on its way already is none of this pass', () => {
    const { p, k, a } = hugetlb(1, 1);
    p.store(a, 7);
    const head = p.head(a);
    const op = begun(k, blockOf(p, a));
    k.frames.private_[head] &= ~HPAGE_MIGRATABLE;
    // Nothing to migrate is found, and the memory is not free: the pass begins again.
    expect([op.step(), op.step(), p.frame(a)]).toEqual([false, false, head]);
    k.frames.private_[head] |= HPAGE_MIGRATABLE;
    expect([finish(op), p.nid(a)]).toEqual([0, 0]);
  });

  it('free, but promised to a mapping: -EBUSY, and the block stays', () => {
    const { p, k, a } = hugetlb(2, 2);
    p.store(a, 7);
    const block = blockOf(p, a);
    const free = k.hugetlb.freeOf(1);
    const op = begun(k, block);
    expect(finish(op)).toBe(-EBUSY);
    expect([k.pm.memoryBlocks.state[block], k.hugetlb.freeOf(1) <= free]).toEqual([
      MEM_ONLINE,
      true,
    ]);
    expect(k.failures.pages[CAUSE_HUGETLB_PROMISED]).toBe(HPAGE_PMD_NR);
    // Over is over.
    expect([op.step(), op.isDone, op.result]).toEqual([true, true, -EBUSY]);
    p.store(a + 512, 8);
    expect([p.load(a), p.load(a + 512)]).toEqual([7, 8]);
    checkInvariants(k);
  });
});
