/** Which folios of a range are queued, and what counts as failed. MP-66, MP-67, MP-76..MP-89. */
import { describe, expect, it } from 'vitest';
import { EFAULT, EIO } from '../uapi/errno.ts';
import { MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, MPOL_MF_STRICT } from '../uapi/mempolicy.ts';
import { MR_SYSCALL } from '../uapi/migrate.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { MIGRATE_VMA_SELECT_SYSTEM } from './deviceMigration.ts';
import { CAUSE_NOT_ON_LRU, CAUSE_SHARED, CAUSE_VMA_NOT_MIGRATABLE } from './failureLog.ts';
import { MEMORY_DEVICE_COHERENT } from './memremap.ts';
import { munmapRange } from './mmap.ts';
import { PTE_KIND_MIGRATION, pteOther } from './pageTable.ts';
import { splitPmdAt } from './pteSetup.ts';
import { MPOL_MF_DISCONTIG_OK, MPOL_MF_INVERT, queuePagesRange } from './queuePages.ts';
import { moveTo, TestDevice } from './testDevice.ts';
import { bootNodes, isolate, migration, TestProgram } from './testProgram.ts';
import { VM_IO } from './vma.ts';

const HUGE = 512 * 1024;
const MOVE = MPOL_MF_MOVE;
const ALL = MPOL_MF_MOVE_ALL;
const STRICT = MPOL_MF_STRICT;
/** Everything on node 0 is out of place. */
const WANTED = 1;

function boot(options: { thp?: boolean; mthp?: number; isCapable?: boolean } = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const own = options.isCapable === false ? { capabilities: ['fallback'] as const } : {};
  const nodes = [
    { cpus: [0, 1], zones, ...own },
    { cpus: [], zones },
  ];
  const k = bootNodes(nodes, { swapPages: 64, deviceSections: 2 });
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  k.sysctl.mthpAlways = options.mthp ?? 0;
  return new TestProgram(k);
}

/** What the walk returned, and the folios it queued. */
function queue(
  p: TestProgram,
  start: number,
  pages: number,
  flags: number,
  nodes = WANTED,
): [number, number[]] {
  const list: number[] = [];
  const { mm } = p.task;
  p.k.lru.drainAll();
  const end = start + pages;
  const result = queuePagesRange(p.k, mm!, start, end, nodes, flags, MR_SYSCALL, list);
  for (const head of list) p.k.lru.putback(0, head);
  p.k.lru.drainAll();
  return [result, list];
}

const cause = (p: TestProgram, vpn: number) => p.k.failures.lastCauseOf(p.head(vpn));

describe('holes (MP-76)', () => {
  function areas() {
    const p = boot();
    const a = p.mapWritten(10, { addr: HUGE });
    for (const n of [0, 5, 9]) munmapRange(p.k, p.task.mm!, a + n, a + n + 1);
    return { p, a };
  }

  it.each([
    ['before the first area', 0, 4],
    ['between two', 1, 8],
    ['behind the last', 6, 4],
    ['and nothing else', 5, 1],
  ])('%s: -EFAULT', (_what, from, pages) => {
    const { p, a } = areas();
    expect(queue(p, a + from, pages, MOVE)[0]).toBe(-EFAULT);
  });

  it('no hole: both neighbours of one', () => {
    const { p, a } = areas();
    expect(queue(p, a + 1, 4, MOVE)[1]).toEqual([1, 2, 3, 4].map((i) => p.head(a + i)));
    expect(queue(p, a + 6, 3, MOVE)[0]).toBe(0);
  });

  it('DISCONTIG_OK: holes are none, but there must be an area', () => {
    const { p, a } = areas();
    const flags = MOVE | MPOL_MF_DISCONTIG_OK;
    expect([queue(p, a, 10, flags)[0], queue(p, a, 10, flags)[1].length]).toEqual([0, 7]);
    expect(queue(p, a + 5, 1, flags)[0]).toBe(-EFAULT);
  });
});

describe('which ones (MP-80, MP-81)', () => {
  it('those on the nodes of the mask; INVERT: the others', () => {
    const p = boot();
    const a = p.mapWritten(2);
    const both = [0, 1].map((i) => p.head(a + i));
    expect([queue(p, a, 2, MOVE, 1)[1], queue(p, a, 2, MOVE, 2)[1]]).toEqual([both, []]);
    const invert = MOVE | MPOL_MF_INVERT;
    expect([queue(p, a, 2, invert, 1)[1], queue(p, a, 2, invert, 2)[1]]).toEqual([[], both]);
  });

  it('none of a node whose pages may not be moved away', () => {
    const p = boot({ isCapable: false });
    expect(queue(p, p.mapWritten(2), 2, MOVE)).toEqual([0, []]);
  });

  it('not the zero page, huge or small, swapped out or never touched', () => {
    const p = boot({ thp: true });
    const a = p.map(1024, { addr: HUGE });
    p.load(a);
    expect(queue(p, a, 1024, MOVE | STRICT)).toEqual([0, []]);
    const small = boot();
    const b = small.map(2);
    small.load(b);
    small.store(b + 1, 1);
    expect(queue(small, b, 2, MOVE)[1]).toEqual([small.head(b + 1)]);
  });

  it('not device pages (DM section 9)', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_COHERENT);
    const a = p.mapWritten(2);
    moveTo(device, p, a, 1, MIGRATE_VMA_SELECT_SYSTEM);
    expect(p.k.pm.isZoneDevice(p.frame(a))).toBe(true);
    expect(queue(p, a, 2, MOVE)).toEqual([0, [p.head(a + 1)]]);
  });

  it('neither MOVE nor STRICT: the entries are not looked at', () => {
    const p = boot();
    expect(queue(p, p.mapWritten(2), 2, 0)).toEqual([0, []]);
  });

  it('areas that cannot be migrated: passed over, or what STRICT counts (MP-81)', () => {
    const p = boot();
    const a = p.mapWritten(2);
    p.task.mm!.findVma(a)!.flags |= VM_IO;
    expect([queue(p, a, 2, MOVE), cause(p, a)]).toEqual([[0, []], -1]);
    expect([queue(p, a, 2, STRICT), cause(p, a)]).toEqual([[-EIO, []], -1]);
    expect([queue(p, a, 2, MOVE | STRICT), cause(p, a)]).toEqual([
      [2, []],
      CAUSE_VMA_NOT_MIGRATABLE,
    ]);
  });
});

describe('what cannot be queued (MP-66, MP-87)', () => {
  it('pages of others, too: left alone without MOVE_ALL, and no failure', () => {
    const p = boot();
    const a = p.mapWritten(2);
    p.fork();
    p.store(a + 1, 1);
    expect(queue(p, a, 2, MOVE | STRICT)).toEqual([0, [p.head(a + 1)]]);
    expect(cause(p, a)).toBe(CAUSE_SHARED);
    expect(queue(p, a, 2, ALL)[1].length).toBe(2);
  });

  it('pages off their list are failures', () => {
    const p = boot();
    const a = p.mapWritten(3);
    p.k.lru.drainAll();
    p.k.lru.isolate(p.head(a + 1));
    expect(queue(p, a, 3, MOVE)).toEqual([1, [p.head(a), p.head(a + 2)]]);
    expect(cause(p, a + 1)).toBe(CAUSE_NOT_ON_LRU);
  });

  it('STRICT alone ends at the first one; with MOVE all are counted (MP-82)', () => {
    const p = boot();
    const a = p.mapWritten(3);
    expect([queue(p, a, 3, STRICT), queue(p, a, 3, STRICT, 2)]).toEqual([
      [-EIO, []],
      [0, []],
    ]);
    p.k.lru.drainAll();
    for (const i of [0, 2]) p.k.lru.isolate(p.head(a + i));
    expect(queue(p, a, 3, MOVE | STRICT)).toEqual([2, [p.head(a + 1)]]);
  });

  it('MP-85, MP-88: entries of pages on their way, small and of 2 MiB', () => {
    const p = boot();
    const a = p.mapWritten(3);
    const i = p.task.mm!.pteIndex(a + 1);
    p.k.ptes.words[i] = pteOther(PTE_KIND_MIGRATION, p.frame(a + 1));
    expect(queue(p, a, 3, MOVE)[0]).toBe(1);
    expect(queue(p, a, 3, STRICT, 2)[0]).toBe(-EIO);
    const huge = boot({ thp: true });
    const b = huge.mapWritten(512, { addr: HUGE });
    migration(huge.k, isolate(huge, b, 1), 1).step();
    expect([queue(huge, b, 512, MOVE)[0], queue(huge, b, 512, STRICT, 2)[0]]).toEqual([1, -EIO]);
  });
});

describe('large folios (MP-67, MP-86, MP-88)', () => {
  it('2 MiB by one entry: queued once; off its list, one failure', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: HUGE });
    const head = p.head(a);
    expect(queue(p, a, 512, MOVE)).toEqual([0, [head]]);
    expect(queue(p, a, 512, MOVE, 2)).toEqual([0, []]);
    p.k.lru.isolate(head);
    expect(queue(p, a, 512, MOVE)).toEqual([1, []]);
    expect(queue(p, a, 512, STRICT)).toEqual([-EIO, []]);
  });

  it('by 512 entries: once; off its list, as many failures as the run has entries', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: HUGE });
    splitPmdAt(p.k, p.task.mm!, a);
    const head = p.head(a);
    expect(queue(p, a, 512, MOVE)).toEqual([0, [head]]);
    p.k.lru.isolate(head);
    expect([queue(p, a, 512, MOVE), queue(p, a + 500, 12, MOVE)]).toEqual([
      [512, []],
      [12, []],
    ]);
  });

  it('two beside each other are two', () => {
    const p = boot({ mthp: 1 << 2 });
    const a = p.mapWritten(8, { addr: HUGE });
    expect(queue(p, a + 1, 6, MOVE)).toEqual([0, [p.head(a), p.head(a + 4)]]);
    p.k.lru.isolate(p.head(a + 4));
    expect(queue(p, a + 1, 6, MOVE)).toEqual([3, [p.head(a)]]);
  });

  it('with small pages in between: queued at its first run, the later ones are no failure', () => {
    const p = boot({ mthp: 1 << 2 });
    const a = p.mapWritten(4, { addr: HUGE });
    const head = p.head(a);
    p.fork();
    p.store(a + 1, 7); // a small copy in the middle
    const small = p.head(a + 1);
    expect(small).not.toBe(head);
    expect(queue(p, a, 4, ALL)).toEqual([0, [head, small]]);
    p.k.lru.isolate(head);
    // The runs are of 1 and 2 entries; only the first one is tried.
    expect(queue(p, a, 4, ALL)).toEqual([1, [small]]);
  });

  it('entries of it that are not in order are runs of their own', () => {
    const p = boot({ mthp: 1 << 2 });
    const a = p.mapWritten(8, { addr: HUGE });
    munmapRange(p.k, p.task.mm!, a + 1, a + 2);
    const head = p.head(a);
    p.k.lru.drainAll();
    p.k.lru.isolate(head);
    const flags = MOVE | MPOL_MF_DISCONTIG_OK;
    expect(queue(p, a, 8, flags)).toEqual([1, [p.head(a + 4)]]);
    expect(queue(p, a + 2, 6, flags)).toEqual([2, [p.head(a + 4)]]);
  });
});
