/** Promotion in tiering mode and its threshold: TI-24..TI-26, TI-95, TI-96. */
import { describe, expect, it } from 'vitest';
import { FAULT_HINT, FAULT_MIGRATED } from './fault.ts';
import { PromotionState, setNumaBalancing } from './numaFault.ts';
import { boot, MS, pagesOn, scan } from './numaTestProgram.ts';
import { fillNode, vmstat } from './testProgram.ts';
import { freeCount, wmarkPages } from './watermark.ts';
import { WMARK_PROMO } from './zone.ts';

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
    { above: 0, promoted: 0 },
    { above: 1, promoted: 1 },
  ])('TI-104: plenty is over 1 GiB above the promotion mark: $above pages over', (row) => {
    const p = boot({ mode: 2, pages: 32768 * 10 });
    const a = pagesOn(p, 2, 1);
    scan(p);
    p.k.nowNs += 3900 * MS;
    const zone = p.k.pm.nodes[0].zones[0];
    const free = wmarkPages(zone, WMARK_PROMO) + 262144 + row.above;
    const taken = fillNode(p.k, 0, 0);
    while (freeCount(p.k.pm, zone) < free) p.k.putFolio(taken.pop()!);
    p.load(a);
    expect(vmstat(p.k, 'pgpromote_candidate_nrl')).toBe(row.promoted);
    expect(p.nid(a)).toBe(row.promoted === 1 ? 0 : 2);
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
    state.adjust(0, now, RATE, 1000, candidates, 60_000);
    expect(state.thresholdMs[0]).toBe(875);
    state.adjust(0, now + 60_000, RATE, 1000, candidates + 5_000_000, 60_000);
    expect(state.thresholdMs[0]).toBe(875); // not more than 60 s later
    now += 60_001;
    candidates += 1_000_000;
    state.adjust(0, now, RATE, 1000, candidates, 60_000);
    expect(state.thresholdMs[0]).toBe(1000);
    for (let n = 0; n < 20; n++) {
      now += 60_001;
      candidates += 2_000_000;
      state.adjust(0, now, RATE, 1000, candidates, 60_000);
    }
    expect(state.thresholdMs[0]).toBe(125);
    for (let n = 0; n < 40; n++) {
      now += 60_001;
      state.adjust(0, now, RATE, 1000, candidates, 60_000);
    }
    expect(state.thresholdMs[0]).toBe(2000);
  });

  it('between 0.9 and 1.1 of the reference it stays', () => {
    const state = new PromotionState();
    state.adjust(0, 60_001, RATE, 1000, 1_536_000, 60_000);
    expect(state.thresholdMs[0]).toBe(1000);
  });

  it('TI-25: is adjusted each numa_balancing_scan_period_max_ms', () => {
    const thresholds = (maxMs: number) => {
      const p = boot({ mode: 2 });
      p.k.sysctl.numa_balancing_scan_period_max_ms = maxMs;
      p.k.sysctl.numa_balancing_promote_rate_limit_MBps = 1;
      const a = pagesOn(p, 2, 600);
      return [0, 1].map((turn) => {
        p.k.nowNs += 6001 * MS;
        scan(p);
        for (let i = 300 * turn; i < 300 * turn + 300; i++) p.load(a + i);
        return p.k.promotion.thresholdMs[0];
      });
    };
    // 300 candidates of at most 1536 in 6 s: less than 0.9 of the reference, so it grows by a step.
    expect(thresholds(6000)).toEqual([1125, 1250]);
    expect(thresholds(60_000)).toEqual([0, 0]);
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
