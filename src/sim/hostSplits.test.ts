/** Plan rows that split large folios: host/folioSplitter.ts. */
import { describe, expect, it } from 'vitest';
import { BASE, Bench, outcomeOf, residencyOf } from '../../test/sim/hostBench.ts';
import { checkInvariants, pageAt } from '../mm/index.ts';
import { MigrationPlan, REASON_DEMOTE } from '../policy/index.ts';
import { EAGAIN, EFAULT, ENOENT, ESRCH } from '../uapi/errno.ts';

describe('SimHost splits large folios', () => {
  function split(bench: Bench, page: number, pages: number, pid = bench.task.tgid): number[][] {
    const plan = new MigrationPlan(8);
    plan.splitVirtual(pid, BASE + page, pages);
    bench.host.apply(plan, bench.clock.nowNs);
    return outcomeOf(bench.run());
  }

  it('TI-55: where they are, so that parts can go different ways', () => {
    const bench = new Bench({ thp: true });
    bench.write(0, 1024);
    const plan = new MigrationPlan(8);
    plan.splitVirtual(bench.task.tgid, BASE, 512);
    bench.host.apply(plan, 0);
    // It takes the time of 512 entries that go and come, and nothing is on its way to a node.
    expect(bench.host.pendingPages).toBe(0);
    const { rmapEntryNs } = bench.k.spec.costs;
    expect(bench.host.backgroundNs).toBeGreaterThan(512 * rmapEntryNs);
    const view = bench.run();
    expect(outcomeOf(view)).toEqual([[0, 0]]);
    expect(residencyOf(view)).toEqual([
      [0, 512, 1, 0],
      [512, 512, 512, 0],
    ]);
    expect(bench.k.vmstat.snapshot().get('thp_split_page')).toBe(1);
    bench.plan([7, 1, 1]);
    bench.run();
    expect([6, 7, 8].map((page) => bench.nidOf(page))).toEqual([0, 1, 0]);
    checkInvariants(bench.k);
  });

  it('every one that a row touches, and goes on to migrate', () => {
    const bench = new Bench({ thp: true });
    bench.write(0, 1024);
    const plan = new MigrationPlan(8);
    plan.splitVirtual(bench.task.tgid, BASE + 500, 20);
    plan.migrateVirtual(bench.task.tgid, BASE + 511, 2, 1, REASON_DEMOTE);
    bench.host.apply(plan, 0);
    expect(outcomeOf(bench.run())).toEqual([
      [0, 0],
      [1, 2],
    ]);
    expect([510, 511, 512, 513].map((page) => bench.nidOf(page))).toEqual([0, 1, 1, 0]);
  });

  it('MC-85: -EAGAIN for one with references nobody can explain, which stays large', () => {
    const bench = new Bench({ thp: true });
    bench.write(0, 512);
    const head = pageAt(bench.k, bench.task.mm!, BASE);
    bench.k.folios.get(head);
    expect(split(bench, 0, 512)).toEqual([[-EAGAIN, 0]]);
    expect(bench.k.vmstat.snapshot().get('thp_split_page_failed')).toBe(1);
    expect(residencyOf(bench.run())).toEqual([[0, 512, 512, 0]]);
    bench.k.putFolio(head);
    expect(split(bench, 0, 512)).toEqual([[0, 0]]);
    checkInvariants(bench.k);
  });

  it('MC-87: pages of zeroes give way to the zero page, where contents are known', () => {
    const bench = new Bench({ thp: true });
    bench.write(7, 2);
    expect(split(bench, 0, 512)).toEqual([[0, 0]]);
    expect(residencyOf(bench.run())).toEqual([[7, 2, 1, 0]]);
    checkInvariants(bench.k);
  });

  it('says what was not there: no page, no area, no process; base pages are no error', () => {
    const bench = new Bench();
    bench.touch(0, 4);
    expect(split(bench, 0, 4)).toEqual([[0, 0]]);
    expect(split(bench, 100, 1)).toEqual([[-ENOENT, 0]]);
    expect(split(bench, 20_000, 1)).toEqual([[-EFAULT, 0]]);
    expect(split(bench, 0, 512, 9999)).toEqual([[-ESRCH, 0]]);
  });
});
