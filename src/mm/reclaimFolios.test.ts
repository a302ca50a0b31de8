/** TI-11, TI-12, TI-16, TI-17: what reclaim takes, what it leaves, and when kswapd stops. */
import { describe, expect, it } from 'vitest';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { PROT_EXEC, PROT_READ } from '../uapi/mman.ts';
import { NR_ISOLATED_ANON, NR_ISOLATED_FILE, NR_WRITEBACK } from '../uapi/vmstat.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import {
  PG_ACTIVE,
  PG_DIRTY,
  PG_LOCKED,
  PG_REFERENCED,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
} from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import type { KernelReclaim } from './kernelReclaim.ts';
import { applyLockFlags } from './mlockRange.ts';
import { munmapRange } from './mmap.ts';
import { allocPages } from './pageAlloc.ts';
import { PTE_A } from './pageTable.ts';
import { shrinkFolioList } from './reclaimFolios.ts';
import { RECLAIM_DIRECT, ScanControl } from './scanControl.ts';
import { canReclaimAnon } from './shrinkNode.ts';
import { bootNodes, isolate, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';
import { freeCount, wmarkPages } from './watermark.ts';
import { WMARK_HIGH, WMARK_LOW, WMARK_PROMO } from './zone.ts';

function boot(options: { swapPages?: number; pages?: number; thp?: boolean } = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: options.pages ?? 4096 }];
  const k = bootNodes([{ cpus: [0, 1], zones }], { swapPages: options.swapPages ?? 4096 });
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  return new TestProgram(k);
}

/** Isolates the folio of a page, lets reclaim judge it, puts it back. True if it is gone. */
function shrink(p: TestProgram, vpn: number): boolean {
  const list = isolate(p, vpn, 1);
  const sc = new ScanControl(RECLAIM_DIRECT, 32, 60);
  const reclaimed = shrinkFolioList(p.k, list, 0, sc, false);
  for (const head of list) p.k.lru.putbackDirect(head);
  for (const item of [NR_ISOLATED_ANON, NR_ISOLATED_FILE]) {
    p.k.vmstat.modNode(0, item, -p.k.vmstat.nodeItem(0, item));
  }
  return reclaimed > 0;
}

function setYoung(p: TestProgram, vpn: number, young: boolean): void {
  const i = p.task.mm!.pteIndex(vpn);
  const word = p.k.ptes.words[i] & ~PTE_A;
  p.k.ptes.words[i] = (young ? word | PTE_A : word) >>> 0;
}

describe('the second chance (TI-16)', () => {
  type Verdict = 'gone' | 'kept' | 'active';
  const rows: readonly {
    r: number;
    referenced: boolean;
    kind: 'anon' | 'ext4' | 'exec';
    verdict: Verdict;
  }[] = [
    { r: 0, referenced: false, kind: 'anon', verdict: 'gone' },
    { r: 0, referenced: true, kind: 'anon', verdict: 'gone' },
    { r: 0, referenced: true, kind: 'ext4', verdict: 'gone' },
    { r: 1, referenced: false, kind: 'anon', verdict: 'kept' },
    { r: 1, referenced: true, kind: 'anon', verdict: 'active' },
    { r: 2, referenced: false, kind: 'ext4', verdict: 'active' },
    { r: 1, referenced: false, kind: 'ext4', verdict: 'kept' },
    { r: 1, referenced: false, kind: 'exec', verdict: 'active' },
  ];
  it.each(rows)('$kind: $r young entries, referenced $referenced: $verdict', (row) => {
    const p = boot();
    const prot = row.kind === 'exec' ? PROT_READ | PROT_EXEC : PROT_READ;
    const file = row.kind === 'anon' ? undefined : p.k.newFile('e', 'ext4', 1);
    const a = file === undefined ? p.mapWritten(1) : p.map(1, { file, prot });
    p.load(a);
    if (row.r === 2) {
      const second = p.map(1, { file, prot });
      p.load(second);
      setYoung(p, second, true);
    }
    setYoung(p, a, row.r > 0);
    const head = p.head(a);
    p.k.lru.drainAll();
    p.k.frames.clear(head, PG_ACTIVE | PG_REFERENCED);
    if (row.referenced) p.k.frames.set(head, PG_REFERENCED);
    expect(shrink(p, a)).toBe(row.verdict === 'gone');
    if (row.verdict === 'gone') return;
    expect(p.has(a, PG_ACTIVE)).toBe(row.verdict === 'active');
    expect(p.has(a, PG_REFERENCED)).toBe(true);
    expect(p.entry(a).word & PTE_A).toBe(0);
    checkInvariants(p.k);
  });
});

describe('exits before reclaim (TI-12)', () => {
  const rows: readonly {
    what: string;
    set: (p: TestProgram, a: number) => void;
    active: boolean;
  }[] = [
    { what: 'locked: kept', set: (p, a) => p.k.frames.set(p.head(a), PG_LOCKED), active: false },
    {
      what: 'under writeback: activated',
      set: (p, a) => {
        p.k.frames.set(p.head(a), PG_WRITEBACK);
        p.k.vmstat.modNode(0, NR_WRITEBACK, 1);
      },
      active: true,
    },
    { what: 'pinned: kept', set: (p, a) => p.k.folios.pin(p.head(a), 1), active: false },
    { what: 'one reference too many', set: (p, a) => p.k.folios.get(p.head(a)), active: false },
  ];
  it.each(rows)('$what', ({ set, active }) => {
    const p = boot();
    const a = p.mapWritten(1);
    setYoung(p, a, false);
    p.k.lru.drainAll();
    set(p, a);
    expect(shrink(p, a)).toBe(false);
    const page = p.k.frames;
    expect(p.load(a)).toBe(1);
    expect(page.has(p.head(a), PG_ACTIVE)).toBe(active);
  });

  it('a page of a locked area is unevictable, also where the mark was missed', () => {
    const p = boot();
    const a = p.mapWritten(1);
    applyLockFlags(p.k, p.task.mm!, a, a + 1, VM_LOCKED);
    p.k.clearMlocked(p.head(a));
    p.k.lru.relist(p.head(a), () => p.k.frames.clear(p.head(a), PG_UNEVICTABLE));
    expect(shrink(p, a)).toBe(false);
    expect(p.has(a, PG_UNEVICTABLE)).toBe(true);
    checkInvariants(p.k);
  });

  it('dirty file pages are written, clean ones only dropped', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.mapWritten(1, { file, shared: true });
    setYoung(p, a, false);
    expect(p.has(a, PG_DIRTY)).toBe(true);
    expect(shrink(p, a)).toBe(true);
    expect([vmstat(p.k, 'nr_written'), vmstat(p.k, 'nr_dirty'), file.pages.size]).toEqual([
      1, 0, 0,
    ]);
    expect(p.load(a)).toBe(1);
    checkInvariants(p.k);
  });
});

describe('who is reclaimable', () => {
  it('S-TI-03, TI-11: anonymous pages only with swap or a lower tier', () => {
    expect(canReclaimAnon(boot({ swapPages: 0 }).k, 0, null)).toBe(false);
    expect(canReclaimAnon(boot().k, 0, null)).toBe(true);
    const zones = [{ zone: ZONE_NORMAL, pages: 1024 }];
    const k = bootNodes([
      { cpus: [0], zones },
      { cpus: [], zones },
    ]);
    expect([0, 1].map((nid) => canReclaimAnon(k, nid, null))).toEqual([false, false]);
    k.sysctl.demotion_enabled = true;
    expect([0, 1].map((nid) => canReclaimAnon(k, nid, null))).toEqual([true, false]);
  });

  it('without swap only file pages go', () => {
    const p = boot({ swapPages: 0 });
    const anon = p.mapWritten(40);
    const file = p.map(40, { file: p.k.newFile('e', 'ext4', 40), prot: PROT_READ });
    for (let i = 0; i < 40; i++) p.load(file + i);
    const { hooks } = p.k.pm;
    hooks.inReclaim = true;
    for (let n = 0; n < 4; n++) hooks.directReclaim(0, 8, 0, 1);
    hooks.inReclaim = false;
    expect(p.frame(anon)).toBeGreaterThanOrEqual(0);
    expect(p.frame(file)).toBeLessThan(0);
    expect(vmstat(p.k, 'nr_isolated_anon') + vmstat(p.k, 'nr_isolated_file')).toBe(0);
    checkInvariants(p.k);
  });

  it('a partly unmapped huge page is split before it costs I/O', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512);
    munmapRange(p.k, p.task.mm!, a, a + 500);
    for (let i = 500; i < 512; i++) setYoung(p, a + i, false);
    expect(shrink(p, a + 500)).toBe(true);
    expect([vmstat(p.k, 'thp_split_page'), vmstat(p.k, 'thp_swpout')]).toEqual([1, 0]);
    expect(p.task.mm!.swapEnts).toBe(12);
    expect(p.load(a + 505)).toBe(506);
    checkInvariants(p.k);
  });
});

describe('kswapd (TI-17)', () => {
  function pressed(tiering: boolean): TestProgram {
    const p = boot({ pages: 2048 });
    p.k.sysctl.numa_balancing = tiering ? 2 : 0;
    const zone = p.k.pm.zones[0];
    const a = p.map(2048);
    for (let i = 0; freeCount(p.k.pm, zone) > wmarkPages(zone, WMARK_LOW) - 1; i++) {
      if ((p.k.kswapdWoken & 1) !== 0) break;
      p.store(a + i, 1);
    }
    return p;
  }

  it.each([
    { tiering: false, mark: WMARK_HIGH },
    { tiering: true, mark: WMARK_PROMO },
  ] as const)('woken at low, runs to high, in tiering mode to promo (tiering $tiering)', (row) => {
    const p = pressed(row.tiering);
    const zone = p.k.pm.zones[0];
    expect(p.k.kswapdWoken).toBe(1);
    expect(freeCount(p.k.pm, zone)).toBeLessThanOrEqual(wmarkPages(zone, WMARK_LOW) + 1);
    const hooks = p.k.pm.hooks as KernelReclaim;
    let steps = 0;
    while (hooks.kswapdStep(0)) if (++steps > 500) throw new Error('kswapd never ends');
    expect(freeCount(p.k.pm, zone)).toBeGreaterThan(wmarkPages(zone, row.mark));
    expect([p.k.kswapdWoken, vmstat(p.k, 'pageoutrun')]).toEqual([0, 1]);
    expect(vmstat(p.k, 'pgsteal_kswapd')).toBeGreaterThan(0);
    checkInvariants(p.k);
  });

  it('gives a node up after 16 rounds without progress; a success elsewhere revives it', () => {
    const p = boot({ pages: 1024, swapPages: 0 });
    const a = p.map(1100);
    for (let i = 0; i < 1100; i++) if ((p.access(a + i, true) & 8) !== 0) break;
    const hooks = p.k.pm.hooks as KernelReclaim;
    expect(p.k.kswapdWoken).toBe(1);
    let steps = 0;
    while (hooks.kswapdStep(0)) steps++;
    expect(steps).toBeGreaterThanOrEqual(16);
    expect(p.k.kswapdWoken).toBe(0);
    hooks.wakeKswapd(0, 0, ZONE_NORMAL);
    expect(p.k.kswapdWoken).toBe(0);
  });
});

describe('reclaim for a low zone while the high one has room', () => {
  /** NORMAL full of a program's pages that overflowed into it, MOVABLE half empty. */
  function lopsided(): TestProgram {
    const zones = [
      { zone: ZONE_NORMAL, pages: 4096 },
      { zone: ZONE_MOVABLE, pages: 4096 },
    ];
    const k = bootNodes([{ cpus: [0], zones }], { swapPages: 8192 });
    const p = new TestProgram(k);
    const first = p.map(4000);
    for (let i = 0; i < 4000; i++) p.store(first + i, 1);
    const second = p.map(3000);
    for (let i = 0; i < 3000; i++) p.store(second + i, 1);
    munmapRange(k, p.task.mm!, first, first + 2048);
    k.lru.drainAll();
    return p;
  }

  it('kswapd is not content with free memory that the allocation cannot use (PM-32)', () => {
    const { k } = lopsided();
    const [normal, movable] = k.pm.zones;
    const hooks = k.pm.hooks as KernelReclaim;
    k.kswapdWoken = 0;
    while (freeCount(k.pm, normal) > wmarkPages(normal, WMARK_LOW)) {
      if (allocPages(k.pm, 0, GFP_KERNEL, 0, -1) < 0) break;
    }
    expect(hooks.isBalanced(0, ZONE_MOVABLE)).toBe(true);
    expect(hooks.isBalanced(0, ZONE_NORMAL)).toBe(false);
    const roomy = freeCount(k.pm, movable);
    k.kswapdWoken = 0;
    hooks.wakeKswapd(0, 0, ZONE_MOVABLE);
    expect(k.kswapdWoken).toBe(0);
    hooks.wakeKswapd(0, 0, ZONE_NORMAL);
    expect(k.kswapdWoken).toBe(1);
    while (hooks.kswapdStep(0));
    expect(freeCount(k.pm, normal)).toBeGreaterThan(wmarkPages(normal, WMARK_HIGH));
    expect(vmstat(k, 'pgskip_movable')).toBeGreaterThan(0);
    expect(freeCount(k.pm, movable)).toBe(roomy);
    checkInvariants(k);
  });

  it('direct reclaim for the kernel takes from the zones that the kernel can use', () => {
    const { k } = lopsided();
    const [normal, movable] = k.pm.zones;
    const roomy = freeCount(k.pm, movable);
    const before = vmstat(k, 'pgsteal_direct');
    let got = 0;
    while (got < 2048 && allocPages(k.pm, 0, GFP_KERNEL, 0, -1) >= 0) got++;
    expect(got).toBe(2048);
    expect(vmstat(k, 'pgsteal_direct')).toBeGreaterThan(before);
    expect([vmstat(k, 'allocstall_normal') > 0, vmstat(k, 'allocstall_movable')]).toEqual([
      true,
      0,
    ]);
    expect(freeCount(k.pm, movable)).toBe(roomy);
    expect(freeCount(k.pm, normal)).toBeGreaterThan(0);
  });
});
