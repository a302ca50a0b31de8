/** TI-30..TI-32: TPP's patches. */
import { describe, expect, it } from 'vitest';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_HINT, FAULT_MIGRATED } from './fault.ts';
import { PG_ACTIVE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import type { KernelReclaim } from './kernelReclaim.ts';
import { taskNumaWork } from './numaScan.ts';
import { bootNodes, fillNode, migrate, TestProgram, vmstat } from './testProgram.ts';
import { setDemoteMarks } from './tpp.ts';
import { freeCount, wmarkPages } from './watermark.ts';
import { WMARK_HIGH, WMARK_MIN } from './zone.ts';

const MS = 1_000_000;

/** N0 with a CPU, N1 slow; demotion keeps a tenth of N0 free. */
function boot(scale = 1000): TestProgram {
  const k = bootNodes([
    { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
  ]);
  k.sysctl.thp_enabled = 'never';
  k.sysctl.numa_balancing = 2;
  k.sysctl.numa_balancing_scan_delay_ms = 0;
  k.sysctl.demotion_enabled = true;
  k.sysctl.demote_scale_factor = scale;
  setDemoteMarks(k);
  k.pm.watermarkBoostFactor = 0;
  k.nowNs = 10_000 * MS;
  return new TestProgram(k);
}

function free(p: TestProgram, nid: number): number {
  return p.k.pm.nodes[nid].zones.reduce((sum, zone) => sum + freeCount(p.k.pm, zone), 0);
}

function reclaimAll(p: TestProgram): void {
  for (let step = 0; step < 1000; step++) {
    if (!(p.k.pm.hooks as KernelReclaim).kswapdStep(0)) return;
  }
}

function scan(p: TestProgram): void {
  p.k.nowNs += 2000 * MS;
  expect(taskNumaWork(p.k, p.task)).toBeGreaterThan(0);
}

describe('TI-30, TI-31: demotion has a watermark of its own, and swaps nothing', () => {
  it('an allocation below it wakes kswapd, which demotes until so much is free', () => {
    const p = boot();
    const mark = p.k.pm.nodes[0].zones[0].demoteMark;
    expect(mark).toBe(Math.floor(p.k.pm.nodes[0].managed / 10));
    expect(p.k.pm.nodes[1].zones[0].demoteMark).toBe(0);
    p.mapWritten(free(p, 0) - mark - 64);
    expect(p.k.kswapdWoken).toBe(0);
    p.mapWritten(128);
    p.k.lru.drainAll();
    expect(p.k.kswapdWoken).toBe(1);
    expect(vmstat(p.k, 'numa_miss')).toBe(0);
    reclaimAll(p);
    expect(free(p, 0)).toBeGreaterThanOrEqual(mark);
    expect(vmstat(p.k, 'pgdemote_kswapd')).toBeGreaterThan(0);
    expect(vmstat(p.k, 'pswpout')).toBe(0);
    checkInvariants(p.k);
  });

  it('a kernel without the patches lets allocations go on to the low mark', () => {
    const p = boot(0);
    p.mapWritten(free(p, 0) - 200);
    expect(p.k.kswapdWoken).toBe(0);
  });
});

describe('TI-32: promotion', () => {
  it('the first hint fault activates an inactive page, the second one promotes it', () => {
    const p = boot(100);
    const vpn = p.mapWritten(1);
    expect(migrate(p, vpn, 1, 1)).toBe(0);
    p.k.lru.drainAll();
    p.k.lru.deactivate(p.frame(vpn));
    expect(p.k.frames.flags[p.frame(vpn)] & PG_ACTIVE).toBe(0);
    scan(p);
    expect(p.access(vpn, false) & (FAULT_HINT | FAULT_MIGRATED)).toBe(FAULT_HINT);
    expect(p.nid(vpn)).toBe(1);
    expect(p.k.frames.flags[p.frame(vpn)] & PG_ACTIVE).not.toBe(0);
    scan(p);
    expect(p.access(vpn, false) & FAULT_MIGRATED).not.toBe(0);
    expect(p.nid(vpn)).toBe(0);
    expect(vmstat(p.k, 'pgpromote_candidate')).toBe(1);
    expect(vmstat(p.k, 'pgpromote_success')).toBe(1);
    checkInvariants(p.k);
  });

  it('goes below the high mark, which stops mainline', () => {
    const p = boot(1);
    const vpn = p.mapWritten(1);
    expect(migrate(p, vpn, 1, 1)).toBe(0);
    p.k.lru.drainAll();
    p.k.lru.activate(p.frame(vpn));
    const zone = p.k.pm.nodes[0].zones[0];
    const between = Math.floor((wmarkPages(zone, WMARK_MIN) + wmarkPages(zone, WMARK_HIGH)) / 2);
    fillNode(p.k, 0, between);
    scan(p);
    expect(p.access(vpn, false) & FAULT_MIGRATED).not.toBe(0);
    expect(p.nid(vpn)).toBe(0);
  });
});
