import { describe, expect, it } from 'vitest';
import { BASE, Bench, outcomeOf, residencyOf } from '../../test/sim/hostBench.ts';
import {
  accessPage,
  allocPages,
  attachTask,
  CAUSE_NOT_IN_CPUSET,
  checkInvariants,
  cloneThread,
  createCpuset,
  exitTask,
  FAULT_WAIT,
  forkTask,
  handleFault,
  pageAt,
  reapTask,
  waitOnMigration,
  writeCpusetMems,
} from '../mm/index.ts';
import { MigrationPlan, NO_SETTINGS, REASON_DEMOTE } from '../policy/index.ts';
import * as sys from '../syscalls/index.ts';
import { EACCES, EBUSY, EFAULT, ENOENT, ENOMEM, ESRCH, ESTALE } from '../uapi/errno.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import type { SimHostOptions } from './simHost.ts';

describe('SimHost migrates', () => {
  it('a virtual range, taking time, and reports it', () => {
    const bench = new Bench();
    bench.touch(0, 100);
    bench.plan([10, 20, 1]);
    expect(bench.host.pendingPages).toBe(20);
    const { incoming } = bench.host.observe(0).nodes;
    expect([...incoming]).toEqual([0, 20]);
    expect(outcomeOf(bench.run())).toEqual([[1, 20]]);
    expect(bench.host.pendingPages).toBe(0);
    expect([9, 10, 29, 30].map((page) => bench.nidOf(page))).toEqual([0, 1, 1, 0]);
    expect(bench.host.backgroundNs).toBeGreaterThan(20 * bench.k.spec.costs.migrateFolioNs);
    checkInvariants(bench.k);
  });

  it('nothing twice: pages already there and rows that repeat are no error (PP-76)', () => {
    const bench = new Bench();
    bench.touch(0, 4);
    bench.plan([0, 4, 0], [0, 2, 1], [1, 3, 1]);
    expect(outcomeOf(bench.run())).toEqual([
      [0, 0],
      [1, 2],
      [1, 2],
    ]);
    expect(bench.k.vmstat.snapshot().get('pgmigrate_success')).toBe(4);
  });

  it('pages that were just touched: per-cpu batches are drained (MP-11)', () => {
    const bench = new Bench();
    bench.touch(0, 1);
    bench.plan([0, 1, 1]);
    expect(outcomeOf(bench.run())).toEqual([[1, 1]]);
    expect(bench.k.lru.disabled).toBe(false);
  });

  it('in the order of its rows, so that a demotion makes room for a promotion', () => {
    const bench = new Bench({ pages: [1024, 8192] });
    bench.touch(0, 3000);
    const slow = 2999;
    expect(bench.nidOf(slow)).toBe(1);
    const free = bench.host.observe(0).nodes.free[0];
    expect(free).toBeLessThan(500);
    const resident = Array.from({ length: 500 }, (_, page) => bench.nidOf(page));
    expect(new Set(resident)).toEqual(new Set([0]));
    bench.plan([0, 500, 1], [2500, 500, 0]);
    expect(outcomeOf(bench.run())).toEqual([
      [1, 500],
      [0, 500],
    ]);
    checkInvariants(bench.k);
  });

  it('large folios as a whole, whichever page is named (MP-29)', () => {
    const bench = new Bench({ thp: true });
    bench.touch(0, 1);
    expect(residencyOf(bench.host.observe(0))).toEqual([[0, 512, 512, 0]]);
    bench.plan([100, 1, 1]);
    const view = bench.run();
    expect(outcomeOf(view)).toEqual([[1, 512]]);
    expect(residencyOf(view)).toEqual([[0, 512, 512, 1]]);
  });

  it('by PFN, unless the frame has got another content (PP-67)', () => {
    const bench = new Bench();
    bench.touch(0, 3);
    const { frames } = bench.k;
    const frame = pageAt(bench.k, bench.task.mm!, BASE);
    const pfn = frames.pfnOf(frame);
    const plan = new MigrationPlan(8);
    plan.migratePhysical(pfn, 1, frames.generation[frame] + 1, 1, REASON_DEMOTE);
    plan.migratePhysical(pfn, 1, frames.generation[frame], 1, REASON_DEMOTE);
    plan.migratePhysical(2 ** 30, 1, 0, 1, REASON_DEMOTE);
    bench.host.apply(plan, 0);
    expect(outcomeOf(bench.run())).toEqual([
      [-ESTALE, 0],
      [1, 1],
      [-ENOENT, 0],
    ]);
    expect(bench.nidOf(0)).toBe(1);
  });

  it('at once and for nothing if the policy is a bound', () => {
    const bench = new Bench({ policy: { settings: { ...NO_SETTINGS, isMigrationFree: true } } });
    bench.touch(0, 2000);
    bench.plan([0, 2000, 1]);
    expect(bench.nidOf(1999)).toBe(1);
    expect([bench.host.pendingPages, bench.host.backgroundNs]).toEqual([0, 0]);
    expect(outcomeOf(bench.host.observe(0))).toEqual([[1, 2000]]);
  });
});

describe('SimHost reports', () => {
  it('what move_pages would: no page, no area, zero page, no process (MP-20..MP-23)', () => {
    const bench = new Bench();
    bench.touch(0, 1);
    accessPage(bench.k, bench.task, BASE + 5, false);
    bench.plan([100, 1, 1], [20_000, 1, 1], [5, 1, 1], [0, 6, 1]);
    const plan = new MigrationPlan(1);
    plan.migrateVirtual(9999, BASE, 1000, 1, REASON_DEMOTE);
    bench.host.apply(plan, 0);
    expect(outcomeOf(bench.run())).toEqual([
      [-ENOENT, 0],
      [-EFAULT, 0],
      [-EFAULT, 0],
      [-EFAULT, 1],
      [-ESRCH, 0],
    ]);
  });

  it('-EACCES for shared pages unless it may migrate all (MP-26)', () => {
    for (const [isMoveAll, expected] of [
      [false, [-EACCES, 0]],
      [true, [1, 1]],
    ] as const) {
      const bench = new Bench({ options: { isMoveAll } });
      bench.touch(0, 1);
      expect(forkTask(bench.k, bench.task)).toBeTypeOf('object');
      bench.plan([0, 1, 1]);
      expect(outcomeOf(bench.run())).toEqual([expected]);
      checkInvariants(bench.k);
    }
  });

  it('MP-14, PP-14b: -EACCES for a node that a cpuset forbids, by address and by frame', () => {
    const bench = new Bench();
    bench.touch(0, 4);
    const cpuset = createCpuset(bench.k.topCpuset);
    expect(writeCpusetMems(bench.k, cpuset, 1)).toBe(0);
    expect(attachTask(bench.k, bench.task, cpuset)).toBe(0);
    bench.plan([0, 4, 1]);
    const frame = pageAt(bench.k, bench.task.mm!, BASE);
    const plan = new MigrationPlan(8);
    plan.migratePhysical(bench.k.frames.pfnOf(frame), 1, 0, 1, REASON_DEMOTE);
    bench.host.apply(plan, 0);
    expect(outcomeOf(bench.run())).toEqual([
      [-EACCES, 0],
      [-EACCES, 0],
    ]);
    expect(bench.k.failures.pages[CAUSE_NOT_IN_CPUSET]).toBe(5);
    expect(writeCpusetMems(bench.k, cpuset, 3)).toBe(0);
    bench.plan([0, 4, 1]);
    expect(outcomeOf(bench.run())).toEqual([[1, 4]]);
    checkInvariants(bench.k);
  });

  it('PP-12: -ENOENT for a page of the kernel, which is no failure of a migration', () => {
    const bench = new Bench();
    bench.touch(0, 1);
    const page = allocPages(bench.k.pm, 0, GFP_KERNEL, 0, -1);
    const plan = new MigrationPlan(8);
    plan.migratePhysical(bench.k.frames.pfnOf(page), 1, 0, 1, REASON_DEMOTE);
    bench.host.apply(plan, 0);
    expect(outcomeOf(bench.run())).toEqual([[-ENOENT, 0]]);
    expect(bench.k.failures.pages.reduce((sum, pages) => sum + pages, 0)).toBe(0);
  });

  it('-EBUSY for a page with references nobody can explain, and puts it back', () => {
    const bench = new Bench();
    bench.touch(0, 2);
    const frame = pageAt(bench.k, bench.task.mm!, BASE);
    bench.k.folios.get(frame);
    bench.plan([0, 2, 1]);
    expect(outcomeOf(bench.run())).toEqual([[-EBUSY, 1]]);
    expect(bench.nidOf(0)).toBe(0);
    bench.k.putFolio(frame);
    checkInvariants(bench.k);
  });

  it('-ENOMEM when the target is full, with what fitted migrated', () => {
    const bench = new Bench({ pages: [16384, 1024] });
    bench.touch(0, 4000);
    bench.plan([0, 4000, 1]);
    const [[status, migrated]] = outcomeOf(bench.run());
    expect(status).toBe(-ENOMEM);
    expect(migrated).toBeGreaterThan(300);
    expect(migrated).toBeLessThan(1024);
    checkInvariants(bench.k);
  });

  it('growth of the counters that the policy names', () => {
    const bench = new Bench();
    bench.touch(0, 4);
    bench.plan([0, 3, 1]);
    expect(bench.run().vmstat.get('pgmigrate_success')).toBe(3);
    bench.plan([3, 1, 1]);
    expect(bench.run().vmstat.get('pgmigrate_success')).toBe(1);
  });

  it('runs of pages by process, node and folio size', () => {
    const bench = new Bench();
    bench.touch(0, 10);
    bench.touch(600, 2);
    accessPage(bench.k, bench.task, BASE + 700, false);
    bench.plan([4, 2, 1]);
    expect(residencyOf(bench.run())).toEqual([
      [0, 4, 1, 0],
      [4, 2, 1, 1],
      [6, 4, 1, 0],
      [600, 2, 1, 0],
    ]);
  });
});

describe('SimHost in virtual time', () => {
  it('lets programs run into migration entries, and says when they are over (MC-35)', () => {
    const bench = new Bench();
    bench.touch(0, 100);
    const heads = [0, 50, 99].map((page) => pageAt(bench.k, bench.task.mm!, BASE + page));
    bench.plan([0, 100, 1]);
    // The call turns LRU batches off before it isolates anything (MP-11).
    const callNs = bench.k.spec.costs.migrateCallNs;
    bench.queue.runUntil(callNs - 1);
    expect(pageAt(bench.k, bench.task.mm!, BASE + 50)).toBe(heads[1]);
    bench.queue.runUntil(callNs);
    expect(handleFault(bench.k, bench.task, BASE + 50, true)).toBe(FAULT_WAIT);
    const [first, middle, last] = heads.map((head) => bench.host.completionNs(head, 0));
    expect(first).toBeGreaterThan(callNs);
    expect(middle).toBeGreaterThan(first);
    expect(last).toBe(bench.host.backgroundNs);
    bench.queue.runUntil(middle);
    expect(pageAt(bench.k, bench.task.mm!, BASE + 50)).toBeLessThan(0);
    waitOnMigration(bench.k, bench.task.mm!, BASE + 50);
    expect(bench.nidOf(50)).toBe(1);
    expect(bench.host.pendingPages).toBe(100);
    expect(outcomeOf(bench.run())).toEqual([[1, 100]]);
    expect(bench.host.completionNs(heads[0], 77)).toBe(77);
    checkInvariants(bench.k);
  });

  it('survives a program that unmaps or exits while its pages migrate', () => {
    for (const leave of ['munmap', 'exit'] as const) {
      const bench = new Bench();
      bench.touch(0, 700);
      bench.plan([0, 700, 1]);
      bench.queue.runUntil(bench.k.spec.costs.migrateCallNs);
      expect(bench.k.inFlight.size).toBeGreaterThan(0);
      if (leave === 'munmap') sys.munmap(bench.k, bench.task, BASE * 4096, 16384 * 4096);
      else {
        exitTask(bench.k, bench.task);
        reapTask(bench.k, bench.task);
      }
      const [[status]] = outcomeOf(bench.run());
      expect(status, leave).toBe(leave === 'munmap' ? -EFAULT : -ESRCH);
      expect(bench.host.pendingPages).toBe(0);
      checkInvariants(bench.k);
    }
  });

  it('keeps the programs consistent while they run against it', () => {
    const bench = new Bench({ options: { workers: 3 } });
    bench.touch(0, 4000);
    cloneThread(bench.k, bench.task);
    for (let round = 0; round < 30; round++) {
      const from = (round * 977) % 3000;
      bench.plan([from, 700, round & 1], [from + 300, 600, 1 - (round & 1)]);
      for (let i = 0; i < 50; i++) bench.touch((round * 131 + i * 61) % 4000, 1);
      bench.queue.runUntil(bench.clock.nowNs + 137_003);
      checkInvariants(bench.k);
    }
    bench.run();
    expect(bench.host.pendingPages).toBe(0);
    checkInvariants(bench.k);
  });

  it('takes as long as its CPU time, less with more workers, more with a bandwidth limit', () => {
    const elapsed = (options: Partial<SimHostOptions>): [number, number] => {
      const bench = new Bench({ options });
      bench.touch(0, 4096);
      bench.plan([0, 4096, 1]);
      while (bench.host.pendingPages > 0) bench.queue.step();
      return [bench.clock.nowNs, bench.host.backgroundNs];
    };
    const [aloneNs, cpuNs] = elapsed({});
    expect(cpuNs).toBe(aloneNs);
    expect(elapsed({ workers: 4 })[0]).toBeLessThan(aloneNs * 0.3);
    // 16 MiB at 0.1 GB/s: 168 ms, the last batch of 2 MiB not waited for.
    expect(elapsed({ bandwidthLimit: 0.1 })[0]).toBeGreaterThan(0.14e9);
  });

  it('pays for each call of move_pages, of up to 512 pages (MP-11)', () => {
    const backgroundNs = (pages: number): number => {
      const bench = new Bench();
      bench.touch(0, 600);
      bench.plan([0, pages, 1]);
      bench.run();
      return bench.host.backgroundNs;
    };
    const { migrateCallNs, migrateFolioNs } = new Bench().k.spec.costs;
    const pageNs = backgroundNs(512) - backgroundNs(511);
    expect(pageNs).toBeGreaterThan(migrateFolioNs);
    const nextNs = backgroundNs(513) - backgroundNs(512);
    expect(nextNs).toBeGreaterThanOrEqual(migrateCallNs + pageNs - 1);
    expect(nextNs).toBeLessThan(2 * migrateCallNs);
  });

  it('charges its walks over page tables', () => {
    const bench = new Bench();
    bench.touch(0, 100);
    bench.host.observe(0);
    expect(bench.host.backgroundNs).toBe(100 * bench.k.spec.costs.scanPteNs);
  });

  it('does the same twice', () => {
    const run = (): string => {
      const bench = new Bench({ options: { workers: 2, bandwidthLimit: 5 } });
      bench.touch(0, 3000);
      const seen: unknown[] = [];
      for (let round = 0; round < 10; round++) {
        bench.plan([round * 200, 900, round & 1]);
        seen.push(
          residencyOf(bench.run(300_001)),
          outcomeOf(bench.host.observe(bench.clock.nowNs)),
        );
      }
      return JSON.stringify([seen, bench.host.backgroundNs]);
    };
    expect(run()).toBe(run());
  });
});
