/** MC-26..MC-36, MC-42..MC-45: what entries, flags and gauges carry over a migration. */
import { describe, expect, it } from 'vitest';
import { MIGRATE_ASYNC } from '../uapi/migrate.ts';
import {
  NR_ANON_MAPPED,
  NR_FILE_DIRTY,
  NR_FILE_MAPPED,
  NR_FILE_PAGES,
  NR_MLOCK,
  NR_SHMEM,
  NR_SHMEM_THPS,
  NR_SWAPCACHE,
  NR_ZONE_WRITE_PENDING,
} from '../uapi/vmstat.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import {
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_HWPOISON,
  PG_IDLE,
  PG_MLOCKED,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WORKINGSET,
  PG_YOUNG,
} from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import { applyLockFlags } from './mlockRange.ts';
import { mprotectRange } from './mprotect.ts';
import {
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_KIND_HWPOISON,
  PTE_KIND_MIGRATION,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_DIRTY,
  PTEB_EXCLUSIVE,
  PTEB_SOFT_DIRTY,
  PTEB_UFFD_WP,
  PTEB_WRITE,
  PTEB_YOUNG,
  pteIsKind,
} from './pageTable.ts';
import { bootNodes, isolate, migrate, migration, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';

function boot(
  thp = false,
  zone1: typeof ZONE_NORMAL | typeof ZONE_MOVABLE = ZONE_NORMAL,
): TestProgram {
  const k = bootNodes(
    [
      { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
      { cpus: [], zones: [{ zone: zone1, pages: 4096 }] },
    ],
    { swapPages: 64 },
  );
  k.sysctl.thp_enabled = thp ? 'always' : 'never';
  return new TestProgram(k);
}

const WRITE = PTEB_WRITE | PTEB_EXCLUSIVE;

describe('kinds of entries (MC-26, MC-31, MC-36)', () => {
  /**
   * Entry bits before -> migration entry -> entry bits after. A, D, W are PTE bits of fast words.
   */
  const rows: readonly {
    what: string;
    adw: number;
    byte: number;
    exclusive: boolean;
    entry: number;
    after: number;
  }[] = [
    {
      what: 'writable, dirty, young',
      adw: PTE_A | PTE_D | PTE_W,
      byte: PTEB_SOFT_DIRTY,
      exclusive: true,
      entry: WRITE | PTEB_YOUNG | PTEB_DIRTY | PTEB_SOFT_DIRTY,
      after: PTE_A | PTE_D | PTE_W,
    },
    {
      what: 'S-MC-22: old, clean, not soft-dirty',
      adw: PTE_W,
      byte: 0,
      exclusive: true,
      entry: WRITE,
      after: PTE_W,
    },
    {
      what: 'read-only and exclusive: read-exclusive',
      adw: PTE_A,
      byte: PTEB_SOFT_DIRTY,
      exclusive: true,
      entry: PTEB_EXCLUSIVE | PTEB_YOUNG | PTEB_SOFT_DIRTY,
      after: PTE_A,
    },
    {
      what: 'read-only and not exclusive: read',
      adw: PTE_A,
      byte: 0,
      exclusive: false,
      entry: PTEB_YOUNG,
      after: PTE_A,
    },
    {
      what: 'write-protected by userfaultfd (MC-93)',
      adw: PTE_A | PTE_D,
      byte: PTEB_UFFD_WP,
      exclusive: true,
      entry: PTEB_EXCLUSIVE | PTEB_YOUNG | PTEB_DIRTY | PTEB_UFFD_WP,
      after: PTE_A | PTE_D,
    },
  ];
  it.each(rows)('small page, $what', ({ adw, byte, exclusive, entry, after }) => {
    const p = boot();
    const a = p.mapWritten(1);
    const mm = p.task.mm!;
    const i = mm.pteIndex(a);
    const page = p.frame(a);
    p.k.ptes.set(i, ((page << 4) | PTE_FAST | adw) >>> 0, byte);
    if (!exclusive) p.k.frames.clear(page, PG_ANON_EXCLUSIVE);
    const list = isolate(p, a, 1);
    const op = migration(p.k, list, 1);
    op.step();
    expect(pteIsKind(p.entry(a).word, PTE_KIND_MIGRATION)).toBe(true);
    expect(p.entry(a).byte).toBe(entry);
    expect(p.k.folios.mapcount(page)).toBe(0);
    expect(mm.rssAnon).toBe(1);
    op.finish();
    expect(p.entry(a).word & 0xf).toBe(PTE_FAST | after);
    expect(p.entry(a).byte).toBe(byte);
    expect(p.k.folios.isAnonExclusive(p.frame(a))).toBe(exclusive);
    checkInvariants(p.k);
  });

  it.each(rows)('huge page, $what (MC-32)', ({ adw, byte, exclusive, entry, after }) => {
    const p = boot(true);
    const a = p.mapWritten(512);
    const mm = p.task.mm!;
    const slot = mm.slotOf(a);
    const head = p.head(a);
    mm.pmd[slot] = ((head << 4) | PTE_FAST | adw) >>> 0;
    mm.pmdByte[slot] = byte;
    if (!exclusive) p.k.frames.clear(head, PG_ANON_EXCLUSIVE);
    const op = migration(p.k, isolate(p, a, 1), 1);
    op.step();
    expect(pteIsKind(mm.pmd[slot], PTE_KIND_MIGRATION)).toBe(true);
    expect([mm.pmdByte[slot], mm.rssAnon]).toEqual([entry, 512]);
    op.finish();
    expect([mm.pmd[slot] & 0xf, mm.pmdByte[slot]]).toEqual([PTE_FAST | after, byte]);
    expect(vmstat(p.k, 'thp_split_pmd')).toBe(0);
    checkInvariants(p.k);
  });

  it('OV-33, MC-36: the dirty bit comes back only while the folio is dirty', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const op = migration(p.k, isolate(p, a, 1), 1);
    op.step();
    const [source] = p.k.inFlight.keys();
    expect(p.k.frames.has(source, PG_DIRTY)).toBe(true); // MC-28
    p.k.frames.clear(source, PG_DIRTY);
    op.finish();
    expect(p.entry(a).word & PTE_D).toBe(0);
    expect(p.entry(a).word & PTE_W).toBe(PTE_W);
  });

  it('a PROT_NONE area stays inaccessible, and its page moves (OV-30, MP-30)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    mprotectRange(p.k, p.task.mm!, a, a + 1, 0);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect(p.nid(a)).toBe(1);
    expect(pteIsKind(p.entry(a).word, PTE_KIND_PROTNONE)).toBe(true);
    expect(p.k.folios.isAnonExclusive(p.frame(a))).toBe(true);
    mprotectRange(p.k, p.task.mm!, a, a + 1, 3);
    expect(p.entry(a).word & (PTE_FAST | PTE_W)).toBe(PTE_FAST | PTE_W);
    expect(p.load(a)).toBe(1);
    checkInvariants(p.k);
  });

  it('MC-30: a poisoned page of the folio gets a hwpoison entry, rss falls', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const list = isolate(p, a, 1);
    p.k.frames.set(p.frame(a), PG_HWPOISON);
    const op = migration(p.k, list, 1, MIGRATE_ASYNC);
    op.finish();
    expect(op.result).toBe(1);
    expect(pteIsKind(p.entry(a).word, PTE_KIND_HWPOISON)).toBe(true);
    expect(p.task.mm!.rssAnon).toBe(0);
    putbackMovablePages(p.k, list);
  });
});

describe('state that moves with a folio (MC-44, OV section 3)', () => {
  const MOVED = PG_REFERENCED | PG_WORKINGSET | PG_YOUNG | PG_IDLE | PG_ACTIVE;

  it('flags are copied, the source keeps none', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const source = p.frame(a);
    p.k.lru.drainAll();
    p.k.lru.activate(source);
    p.k.frames.set(source, MOVED);
    expect(migrate(p, a, 1, 1)).toBe(0);
    const { flags } = p.k.frames;
    const kept = MOVED | PG_UPTODATE | PG_SWAPBACKED;
    expect(flags[p.frame(a)] & kept).toBe(kept);
    expect(flags[source] & (kept | PG_DIRTY)).toBe(0);
    p.k.lru.drainAll();
    checkInvariants(p.k);
  });

  it('MC-42: index and mapping follow, so rmap still finds the page', () => {
    const p = boot();
    const a = p.mapWritten(3);
    migrate(p, a, 3, 1);
    expect(p.k.frames.indexOf(p.frame(a + 2))).toBe(a + 2);
    expect(migrate(p, a, 3, 0)).toBe(0);
    expect([p.nid(a), p.load(a + 2)]).toEqual([0, 3]);
    checkInvariants(p.k);
  });

  it('OV-45, MC-29: nr_anon_pages falls on the old node at the unmap, rises on the new', () => {
    const p = boot();
    const a = p.mapWritten(4);
    const mapped = () => [0, 1].map((nid) => p.k.vmstat.nodeItem(nid, NR_ANON_MAPPED));
    expect(mapped()).toEqual([4, 0]);
    const op = migration(p.k, isolate(p, a, 4), 1);
    op.step();
    expect([mapped(), p.task.mm!.rssAnon]).toEqual([[0, 0], 4]);
    op.finish();
    expect([mapped(), p.task.mm!.rssAnon]).toEqual([[0, 4], 4]);
  });

  it('S-MC-20, MC-43: shmem gauges follow the page', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 1);
    const a = p.mapWritten(1, { file, shared: true });
    const gauges = () =>
      [0, 1].map((nid) =>
        [NR_FILE_PAGES, NR_SHMEM, NR_FILE_MAPPED].map((item) => p.k.vmstat.nodeItem(nid, item)),
      );
    expect(gauges()).toEqual([
      [1, 1, 1],
      [0, 0, 0],
    ]);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect(gauges()).toEqual([
      [0, 0, 0],
      [1, 1, 1],
    ]);
    expect([file.frameAt(0), p.load(a)]).toEqual([p.frame(a), 1]);
    checkInvariants(p.k);
  });

  it('MC-43: a huge shmem page moves nr_shmem_hugepages by 512', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 512);
    file.hugeAlways = true;
    const a = p.mapWritten(512, { file, shared: true, addr: 0x200000 });
    expect(p.k.vmstat.nodeItem(0, NR_SHMEM_THPS)).toBe(512);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect([0, 1].map((nid) => p.k.vmstat.nodeItem(nid, NR_SHMEM_THPS))).toEqual([0, 512]);
    checkInvariants(p.k);
  });

  it('S-MC-21, MC-43: dirty pages of ext4 take nr_dirty and the zone gauge with them', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.mapWritten(1, { file, shared: true });
    const source = p.frame(a);
    const gauges = () => [
      ...[0, 1].map((nid) => p.k.vmstat.nodeItem(nid, NR_FILE_DIRTY)),
      ...[0, 1].map((zone) => p.k.vmstat.zoneItem(zone, NR_ZONE_WRITE_PENDING)),
    ];
    expect(gauges()).toEqual([1, 0, 1, 0]);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect(gauges()).toEqual([0, 1, 0, 1]);
    expect([p.has(a, PG_DIRTY), p.k.frames.has(source, PG_DIRTY)]).toEqual([true, false]);
    checkInvariants(p.k);
  });

  it('MC-43, OV-40: a page in the swap cache moves with its entry', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    const list = isolate(p, a, 1);
    putbackMovablePages(p.k, list);
    p.k.lru.drainAll();
    p.k.folios.get(p.head(a)); // keeps reclaim from finishing: the page stays in the swap cache
    const page = p.frame(a);
    p.k.sysctl.swappiness = 200;
    swapOutAll(p);
    expect(p.k.frames.has(page, PG_SWAPCACHE)).toBe(true);
    expect(p.load(a)).toBe(1);
    p.k.putFolio(page);
    expect(p.has(a, PG_SWAPCACHE)).toBe(true); // the child's entry still means the slot
    const slot = p.k.frames.private_[page];
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect([p.nid(a), p.k.swap.cachedFrame(slot)]).toEqual([1, p.frame(a)]);
    expect([0, 1].map((nid) => p.k.vmstat.nodeItem(nid, NR_SWAPCACHE))).toEqual([0, 1]);
    expect(child.load(a)).toBe(1);
    checkInvariants(p.k);
  });

  it('S-MP-36, MC-36: a locked page stays locked and unevictable, nr_mlock constant', () => {
    const p = boot();
    const a = p.mapWritten(2);
    applyLockFlags(p.k, p.task.mm!, a, a + 2, VM_LOCKED);
    const mlocked = () => [0, 1].map((zone) => p.k.vmstat.zoneItem(zone, NR_MLOCK));
    expect(mlocked()).toEqual([2, 0]);
    expect(migrate(p, a, 2, 1)).toBe(0);
    expect(mlocked()).toEqual([0, 2]);
    expect(p.has(a, PG_MLOCKED) && p.has(a, PG_UNEVICTABLE)).toBe(true);
    p.k.lru.drainAll();
    checkInvariants(p.k);
  });

  it('a locked huge page loses its mark on the way; reclaim restores it (mlock.ts)', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    applyLockFlags(p.k, p.task.mm!, a, a + 512, VM_LOCKED);
    expect(migrate(p, a, 512, 1)).toBe(0);
    expect([p.has(a, PG_MLOCKED), p.has(a, PG_UNEVICTABLE)]).toEqual([false, false]);
    swapOutAll(p);
    expect([p.has(a, PG_MLOCKED), p.has(a, PG_UNEVICTABLE)]).toEqual([true, true]);
    checkInvariants(p.k);
  });

  it('MC-44: the cpupid is reset when tiering is on and the page crosses tiers', () => {
    for (const mode of [1, 2]) {
      const p = boot();
      const a = p.mapWritten(1);
      p.k.sysctl.numa_balancing = mode;
      p.k.frames.lastCpupid[p.frame(a)] = 0x0164;
      migrate(p, a, 1, 1);
      expect(p.k.frames.lastCpupid[p.frame(a)]).toBe(mode === 1 ? 0x0164 : 0xffff);
    }
  });

  it('zones of one node: the page changes its zone, node gauges do not move', () => {
    const k = bootNodes([
      {
        cpus: [0],
        zones: [
          { zone: ZONE_NORMAL, pages: 2048 },
          { zone: ZONE_MOVABLE, pages: 1024 },
        ],
      },
      { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 1024 }] },
    ]);
    k.sysctl.thp_enabled = 'never';
    const p = new TestProgram(k);
    const file = k.newFile('t', 'tmpfs', 1);
    const a = p.mapWritten(1, { file, shared: true });
    expect(k.pm.zoneOf(p.frame(a)).type).toBe(ZONE_MOVABLE);
    expect(migrate(p, a, 1, 0)).toBe(0);
    expect([0, 1].map((nid) => k.vmstat.nodeItem(nid, NR_SHMEM))).toEqual([1, 0]);
    checkInvariants(k);
  });
});

/** Reclaims all it can of both nodes. */
function swapOutAll(p: TestProgram): void {
  const { hooks } = p.k.pm;
  p.k.lru.drainAll();
  for (let n = 0; n < 3; n++) {
    hooks.inReclaim = true;
    for (const nid of [0, 1]) hooks.directReclaim(0, 8, nid, 1 << nid);
    hooks.inReclaim = false;
  }
}
