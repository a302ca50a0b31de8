import { describe, expect, it } from 'vitest';
import {
  __GFP_COMP,
  __GFP_DIRECT_RECLAIM,
  __GFP_DMA32,
  __GFP_FS,
  __GFP_IO,
  __GFP_MEMALLOC,
  __GFP_NOFAIL,
  __GFP_NOMEMALLOC,
  __GFP_NORETRY,
  __GFP_RETRY_MAYFAIL,
  __GFP_THISNODE,
  GFP_ATOMIC,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_NOWAIT,
  GFP_TRANSHUGE,
  GFP_TRANSHUGE_LIGHT,
} from '../uapi/gfp.ts';
import { NR_ZONE_LRU_BASE, vmEvent } from '../uapi/vmstat.ts';
import { ZONE_DMA32, ZONE_NORMAL } from '../uapi/zone.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import {
  COMPACT_COMPLETE,
  COMPACT_SKIPPED,
  COMPACT_SUCCESS,
  type CompactResult,
  NoReclaim,
  PhysicalMemory,
} from './physicalMemory.ts';
import { plainMachine } from './plainMachine.ts';
import { freeCount, wmarkPages } from './watermark.ts';
import { WMARK_MIN } from './zone.ts';

/** Records what the allocator asks for; frees pages or reports what the test says. */
class Witness extends NoReclaim {
  readonly calls: string[] = [];
  reclaims: () => number = () => 0;
  compacts: () => CompactResult = () => COMPACT_SKIPPED;
  kills: () => boolean = () => false;
  anon = false;

  override wakeKswapd(...[nid]: number[]): void {
    this.calls.push(`kswapd${nid}`);
  }
  override directReclaim(): number {
    this.calls.push(this.inReclaim ? 'reclaim' : 'reclaim outside PF_MEMALLOC');
    return this.reclaims();
  }
  override directCompact(...args: number[]): CompactResult {
    this.calls.push(`compact${args[4]}`);
    return this.compacts();
  }
  override outOfMemory(): boolean {
    this.calls.push('oom');
    return this.kills();
  }
  override canReclaimAnon(): boolean {
    return this.anon;
  }
  /** Calls since the last look, kswapd left out, runs of one call counted. */
  look(): string[] {
    const runs: [string, number][] = [];
    for (const call of this.calls.splice(0)) {
      if (call.startsWith('kswapd')) continue;
      const last = runs[runs.length - 1];
      if (last?.[0] === call) last[1]++;
      else runs.push([call, 1]);
    }
    return runs.map(([call, times]) => (times === 1 ? call : `${call}*${times}`));
  }
}

interface Full {
  readonly pm: PhysicalMemory;
  readonly hooks: Witness;
  readonly held: number[];
}

/** Two nodes of NORMAL, filled down to the min mark with single pages. */
function full(nodes = 2): Full {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }] as const;
  const spec = plainMachine(
    Array.from({ length: nodes }, (_, nid) => ({ cpus: nid === 0 ? [0] : [], zones })),
    { sysctl: { min_free_kbytes: 1024 * nodes } },
  );
  const pm = new PhysicalMemory(spec, { trackContent: false });
  const hooks = new Witness();
  const held: number[] = [];
  for (let f = allocPages(pm, 0, GFP_NOWAIT, 0, -1); f >= 0; ) {
    held.push(f);
    f = allocPages(pm, 0, GFP_NOWAIT, 0, -1);
  }
  pm.hooks = hooks;
  return { pm, hooks, held };
}

function ask({ pm }: Full, gfp: number, order = 0, nodemask = -1): number {
  return allocPages(pm, order, gfp, 0, nodemask);
}

describe('PM-38: exits by gfp flags, when nothing can be reclaimed', () => {
  it.each<[string, number, number, string[]]>([
    ['GFP_NOWAIT gives up at once', GFP_NOWAIT, 0, []],
    ['__GFP_NORETRY: one round', GFP_KERNEL | __GFP_NORETRY, 0, ['reclaim']],
    ['GFP_KERNEL ends in the OOM killer', GFP_KERNEL, 0, ['reclaim', 'oom']],
    ['order 3 too', GFP_KERNEL, 3, ['compact2', 'reclaim', 'compact1', 'oom']],
    ['costly orders do not', GFP_KERNEL, 4, ['compact2', 'reclaim', 'compact1']],
    ['movable order 1: reclaim first', GFP_HIGHUSER_MOVABLE, 1, ['reclaim', 'compact1', 'oom']],
    ['__GFP_RETRY_MAYFAIL: no OOM', GFP_KERNEL | __GFP_RETRY_MAYFAIL, 0, ['reclaim']],
    ['__GFP_THISNODE: no OOM', GFP_KERNEL | __GFP_THISNODE, 0, ['reclaim']],
    ['no __GFP_FS: no OOM', GFP_KERNEL & ~__GFP_FS, 0, ['reclaim']],
    ['no __GFP_IO: no compaction', GFP_KERNEL & ~__GFP_IO, 4, ['reclaim']],
    ['THP fault, light', GFP_TRANSHUGE_LIGHT, 9, []],
    ['THP fault with direct reclaim', GFP_TRANSHUGE, 9, ['compact2', 'reclaim', 'compact1']],
    ['THP fault that must not stall long', GFP_TRANSHUGE | __GFP_NORETRY, 9, ['compact2']],
  ])('%s', (_what, gfp, order, calls) => {
    const f = full();
    expect(ask(f, gfp, order)).toBe(-1);
    expect(f.hooks.look()).toEqual(calls);
    expect(f.hooks.inReclaim).toBe(false);
  });

  it('a zone-limited request does not kill', () => {
    const zones = [{ zone: ZONE_DMA32, pages: 2048 }] as const;
    const pm = new PhysicalMemory(plainMachine([{ cpus: [0], zones }]), { trackContent: false });
    while (allocPages(pm, 0, GFP_NOWAIT | __GFP_DMA32, 0, -1) >= 0);
    const hooks = new Witness();
    pm.hooks = hooks;
    expect(allocPages(pm, 0, GFP_KERNEL | __GFP_DMA32, 0, -1)).toBe(-1);
    expect(hooks.look()).toEqual(['reclaim']);
  });

  it('PM-20: no allowed node has a usable zone: no reclaim, no OOM', () => {
    const f = full();
    expect(ask(f, GFP_KERNEL, 0, 0b1000)).toBe(-1);
    expect(f.hooks.calls).toEqual([]);
  });

  it('inside reclaim there is no recursion; without __GFP_NOMEMALLOC all reserves are open', () => {
    const f = full();
    f.hooks.inReclaim = true;
    expect(ask(f, GFP_KERNEL | __GFP_NOMEMALLOC)).toBe(-1);
    expect(f.hooks.look()).toEqual([]);
    expect(ask(f, GFP_KERNEL)).toBeGreaterThanOrEqual(0);
    expect(f.hooks.inReclaim).toBe(true);
  });
});

describe('PM-38: kswapd', () => {
  it('is woken on each allowed node of the list, before and in each round', () => {
    const f = full();
    ask(f, GFP_NOWAIT);
    expect(f.hooks.calls).toEqual(['kswapd0', 'kswapd1', 'kswapd0', 'kswapd1']);
    f.hooks.calls.length = 0;
    ask(f, GFP_NOWAIT, 0, 0b10);
    expect(f.hooks.calls).toEqual(['kswapd1', 'kswapd1']);
    f.hooks.calls.length = 0;
    ask(f, __GFP_DIRECT_RECLAIM | __GFP_NORETRY);
    expect(f.hooks.calls).toEqual(['reclaim']);
  });

  it('TI-17: is woken below the low mark, while memory at the min mark is given out', () => {
    const f = full();
    // 40 pages above min, still below low on both nodes.
    for (let i = 0; i < 40; i++) freePages(f.pm, f.held.pop()!, 0);
    f.hooks.calls.length = 0;
    expect(ask(f, GFP_NOWAIT)).toBeGreaterThanOrEqual(0);
    expect(f.hooks.calls).toEqual(['kswapd0', 'kswapd1']);
  });
});

describe('PM-38: reclaim, compaction and the retries', () => {
  it('takes what direct reclaim freed', () => {
    const f = full();
    f.hooks.reclaims = () => {
      for (let i = 0; i < 4; i++) freePages(f.pm, f.held.pop()!, 0);
      return 4;
    };
    expect(ask(f, GFP_KERNEL)).toBeGreaterThanOrEqual(0);
    expect(f.hooks.look()).toEqual(['reclaim']);
  });

  it('keeps reclaiming while pages on the LRU would do: 17 rounds without progress', () => {
    const f = full();
    f.pm.vmstat.modZone(0, NR_ZONE_LRU_BASE + 2, 500);
    expect(ask(f, GFP_KERNEL)).toBe(-1);
    expect(f.hooks.look()).toEqual(['reclaim*17', 'oom']);
  });

  it('anonymous pages count only with swap or demotion', () => {
    const f = full();
    f.pm.vmstat.modZone(0, NR_ZONE_LRU_BASE, 500);
    ask(f, GFP_KERNEL | __GFP_RETRY_MAYFAIL);
    expect(f.hooks.look()).toEqual(['reclaim']);
    f.hooks.anon = true;
    ask(f, GFP_KERNEL | __GFP_RETRY_MAYFAIL);
    expect(f.hooks.look()).toEqual(['reclaim*17']);
  });

  it('goes on after a kill', () => {
    const f = full();
    let kills = 0;
    f.hooks.kills = () => {
      if (++kills === 3) for (let i = 0; i < 9; i++) freePages(f.pm, f.held.pop()!, 0);
      return true;
    };
    expect(ask(f, GFP_KERNEL)).toBeGreaterThanOrEqual(0);
    expect(f.hooks.look()).toEqual(['reclaim', 'oom', 'reclaim', 'oom', 'reclaim', 'oom']);
  });

  it('compaction that makes a block is enough for a costly order', () => {
    const f = full();
    f.hooks.compacts = () => {
      // The first 512 pages of the machine are one aligned block.
      for (let i = 0; i < 512; i++) freePages(f.pm, f.held.shift()!, 0);
      return COMPACT_SUCCESS;
    };
    const head = ask(f, GFP_KERNEL | __GFP_COMP, 9);
    expect(head).toBeGreaterThanOrEqual(0);
    expect(f.hooks.look()).toEqual(['compact2']);
    const count = (name: 'compact_stall' | 'compact_success' | 'compact_fail'): number =>
      f.pm.vmstat.event[vmEvent(name)];
    expect([count('compact_stall'), count('compact_success'), count('compact_fail')]).toEqual([
      1, 1, 0,
    ]);
  });

  it('a compaction in vain lets THP faults try reclaim, then lightly compact again', () => {
    const f = full();
    f.hooks.compacts = () => COMPACT_COMPLETE;
    expect(ask(f, GFP_TRANSHUGE | __GFP_NORETRY, 9)).toBe(-1);
    expect(f.hooks.look()).toEqual(['compact2', 'reclaim', 'compact2']);
    expect(f.pm.vmstat.event[vmEvent('compact_fail')]).toBe(2);
  });

  it('costly orders with __GFP_RETRY_MAYFAIL retry while reclaim makes progress', () => {
    const f = full();
    f.hooks.compacts = () => COMPACT_SUCCESS;
    f.hooks.reclaims = () => 1;
    expect(ask(f, GFP_KERNEL | __GFP_RETRY_MAYFAIL, 4)).toBe(-1);
    // The first try and one round, then four more compactions that claim success.
    expect(f.hooks.look().filter((call) => call === 'compact1')).toHaveLength(5);
    expect(f.hooks.look()).toEqual([]);
  });
});

describe('PM-34, PM-38: reserves', () => {
  it('GFP_ATOMIC goes to three eighths of the min mark', () => {
    const f = full(1);
    const [zone] = f.pm.zones;
    const min = wmarkPages(zone, WMARK_MIN);
    expect(freeCount(f.pm, zone)).toBe(min);
    while (ask(f, GFP_ATOMIC) >= 0);
    const half = min - (min >> 1);
    expect(freeCount(f.pm, zone)).toBe(half - (half >> 2));
  });

  it('__GFP_MEMALLOC uses all, on any node', () => {
    const f = full();
    while (ask(f, GFP_NOWAIT | __GFP_MEMALLOC, 0, 0b10) >= 0);
    expect(f.pm.zones.map((zone) => freeCount(f.pm, zone))).toEqual([0, 0]);
  });

  it('__GFP_NOFAIL goes on, with half of the min reserve', () => {
    const f = full(1);
    const [zone] = f.pm.zones;
    const min = wmarkPages(zone, WMARK_MIN);
    while (ask(f, GFP_KERNEL | __GFP_NOFAIL) >= 0);
    expect(freeCount(f.pm, zone)).toBe(min - (min >> 1));
  });
});
