import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../hw/index.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import {
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { exitTask, forkTask } from './fork.ts';
import { PG_MLOCKED } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import { Kernel } from './kernel.ts';
import {
  ksmPages,
  ksmUnmergeAll,
  setMaxPageSharing,
  setMergeAcrossNodes,
  unmergeRange,
} from './ksm.ts';
import { ksmScan } from './ksmScan.ts';
import { madviseRange } from './madvise.ts';
import { MigrationOp, migratePages } from './migrate.ts';
import { applyLockFlags } from './mlockRange.ts';
import { mmapRegion, munmapRange } from './mmap.ts';
import { mremapRange } from './mremap.ts';
import { pageAt } from './pageWalk.ts';
import { plainMachine } from './plainMachine.ts';
import { memoryReclaim } from './proactiveReclaim.ts';
import type { Task } from './task.ts';
import { loadWord, storeWord } from './userCopy.ts';
import { VM_LOCKED } from './vma.ts';

interface Setup {
  readonly k: Kernel;
  readonly task: Task;
  readonly start: number;
}

/** A mergeable area with one page for each content. */
function setup(
  contents: readonly number[],
  kernel: KernelVersion = '7.3',
  thp: 'always' | 'never' = 'never',
): Setup {
  const zone = { zone: ZONE_NORMAL, pages: 32768 } as const;
  const nodes = [
    { cpus: [0], zones: [zone] },
    { cpus: [], zones: [zone] },
  ];
  const swap = { pages: 64, readNs: 0, writeNs: 0 };
  const k = new Kernel({ ...plainMachine(nodes), kernel, swap }, { seed: 1, trackContent: true });
  k.sysctl.thp_enabled = thp;
  const task = k.spawn(null, 0);
  const prot = PROT_READ | PROT_WRITE;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const pages = contents.length;
  const start = mmapRegion(k, task.mm!, { addr: 0, pages, prot, flags, file: null, pgoff: 0 });
  contents.forEach((word, page) => {
    storeWord(k, task, start + page, word);
  });
  madviseRange(k, task, start, start + pages, MADV_MERGEABLE);
  return { k, task, start };
}

function frames({ k, start }: Setup, task: Task, pages: number): number[] {
  return Array.from({ length: pages }, (_, page) => pageAt(k, task.mm!, start + page));
}

const reclaimAll = (k: Kernel) => memoryReclaim(k, 0, 64, () => true, -1, 60);

function migrate(k: Kernel, frame: number, nid: number): number {
  const list: number[] = [];
  k.lru.drainAll();
  isolateFolio(k, frame, list);
  const gfp = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
  const left = migratePages(k, list, { nid, mask: -1, gfp }, MIGRATE_SYNC, MR_SYSCALL);
  putbackMovablePages(k, list);
  return left;
}

describe('merging (OV-31h)', () => {
  it('equal pages become one after two scans; others stay', () => {
    const s = setup([5, 6, 5, 5]);
    expect(ksmScan(s.k)).toBe(0);
    expect(ksmScan(s.k)).toBe(2);
    const [a, b, c, d] = frames(s, s.task, 4);
    expect([c, d]).toEqual([a, a]);
    expect(b).not.toBe(a);
    expect(ksmPages(s.k)).toEqual({ shared: 1, sharing: 2 });
    expect(s.k.folios.isKsm(a)).toBe(true);
    checkInvariants(s.k);
  });

  it('a page that changed between the scans waits for the next', () => {
    const s = setup([5, 5]);
    ksmScan(s.k);
    storeWord(s.k, s.task, s.start, 8);
    storeWord(s.k, s.task, s.start + 1, 8);
    expect(ksmScan(s.k)).toBe(0);
    expect(ksmScan(s.k)).toBe(1);
  });

  it('PM-10: a pinned page is not merged; who waits for a twin does not look at pins', () => {
    const s = setup([5, 5, 5, 5]);
    s.k.folios.pin(frames(s, s.task, 4)[1], 1);
    for (let scan = 0; scan < 4; scan++) ksmScan(s.k);
    expect(ksmPages(s.k)).toEqual({ shared: 1, sharing: 2 });
    const first = setup([5, 5, 5]);
    const [pinned, second] = frames(first, first.task, 3);
    first.k.folios.pin(pinned, 1);
    ksmScan(first.k);
    expect(ksmScan(first.k)).toBe(0);
    // Each of the others was a merged page for a moment, and is a copy now.
    expect(first.k.vmstat.snapshot().get('cow_ksm')).toBe(2);
    expect(frames(first, first.task, 3)[1]).not.toBe(second);
    checkInvariants(first.k);
  });

  it('the page that finds its twin is kept, wherever it lies', () => {
    const s = setup([5, 5, 5]);
    migrate(s.k, frames(s, s.task, 2)[1], 1);
    const kept = frames(s, s.task, 2)[1];
    ksmScan(s.k);
    ksmScan(s.k);
    expect(frames(s, s.task, 3)).toEqual([kept, kept, kept]);
    checkInvariants(s.k);
  });

  it('a merged page has at most max_page_sharing places', () => {
    const s = setup(new Array<number>(7).fill(5));
    expect(setMaxPageSharing(s.k, 1)).toBe(-EINVAL);
    expect(setMaxPageSharing(s.k, 3)).toBe(0);
    for (let scan = 0; scan < 3; scan++) ksmScan(s.k);
    expect(ksmPages(s.k)).toEqual({ shared: 2, sharing: 4 });
    expect(setMaxPageSharing(s.k, 4)).toBe(-EBUSY);
    checkInvariants(s.k);
  });

  it('smart_scan: who never merges is looked at less and less', () => {
    const merges = (kernel: '6.1' | '7.3', scansBefore: number): number[] => {
      const s = setup([1, 2], kernel);
      for (let scan = 0; scan < scansBefore; scan++) ksmScan(s.k);
      storeWord(s.k, s.task, s.start, 9);
      storeWord(s.k, s.task, s.start + 1, 9);
      return Array.from({ length: 6 }, () => ksmScan(s.k));
    };
    expect(merges('7.3', 3)).toEqual([0, 0, 1, 0, 0, 0]); // skipped once
    expect(merges('7.3', 6)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(merges('6.1', 6)).toEqual([0, 1, 0, 0, 0, 0]);
  });

  it('a page joins a merged one once two scans saw its content; before 6.11 at once', () => {
    const joins = (kernel: '6.1' | '7.3'): number[] => {
      const s = setup([5, 5, 6], kernel);
      ksmScan(s.k);
      ksmScan(s.k);
      storeWord(s.k, s.task, s.start + 2, 5);
      return [ksmScan(s.k), ksmScan(s.k)];
    };
    expect(joins('7.3')).toEqual([0, 1]);
    expect(joins('6.1')).toEqual([1, 0]);
  });

  it('MC-86: huge pages are split to merge their pages', () => {
    const s = setup(new Array<number>(1024).fill(5), '7.3', 'always');
    expect(s.k.folios.isThp(s.k.frames.headOf(frames(s, s.task, 1)[0]))).toBe(true);
    for (let scan = 0; scan < 4; scan++) ksmScan(s.k);
    expect(ksmPages(s.k)).toEqual({ shared: 4, sharing: 1020 });
    const events = s.k.vmstat.snapshot();
    expect(events.get('thp_split_page')).toBe(2);
    // The first try meets the reference of the page that was found.
    expect(events.get('thp_split_page_failed')).toBe(1);
    checkInvariants(s.k);
  });

  it('locked areas merge too; the merged page is locked', () => {
    const s = setup([5, 5]);
    expect(applyLockFlags(s.k, s.task.mm!, s.start, s.start + 2, VM_LOCKED)).toBe(0);
    ksmScan(s.k);
    expect(ksmScan(s.k)).toBe(1);
    expect(s.k.frames.has(frames(s, s.task, 1)[0], PG_MLOCKED)).toBe(true);
    checkInvariants(s.k);
  });

  it('a place forked from a merged one counts once it was scanned', () => {
    const s = setup([5, 5]);
    ksmScan(s.k);
    ksmScan(s.k);
    const child = forkTask(s.k, s.task);
    if (typeof child === 'number') throw new Error('fork failed');
    expect(ksmPages(s.k)).toEqual({ shared: 1, sharing: 1 });
    ksmScan(s.k);
    expect(ksmPages(s.k)).toEqual({ shared: 1, sharing: 3 });
    exitTask(s.k, s.task);
    expect(ksmPages(s.k)).toEqual({ shared: 1, sharing: 1 });
    checkInvariants(s.k);
  });

  it('a frame for each node, if pages of different nodes may not be merged', () => {
    const s = setup([5, 5, 5, 5]);
    for (const frame of frames(s, s.task, 4).slice(2)) migrate(s.k, frame, 1);
    expect(setMergeAcrossNodes(s.k, false)).toBe(0);
    ksmScan(s.k);
    ksmScan(s.k);
    expect(ksmPages(s.k)).toEqual({ shared: 2, sharing: 2 });
    expect(setMergeAcrossNodes(s.k, true)).toBe(-EBUSY);
    ksmUnmergeAll(s.k, s.task);
    expect(setMergeAcrossNodes(s.k, true)).toBe(0);
    expect(frames(s, s.task, 4).map((frame) => s.k.pm.nidOf(frame))).toEqual([0, 0, 0, 0]);
    checkInvariants(s.k);
  });
});

describe('merged pages in the rest of the kernel', () => {
  function merged(): Setup {
    const s = setup([5, 5, 5]);
    ksmScan(s.k);
    ksmScan(s.k);
    return s;
  }

  it('a write gets a copy, counted; the others keep the page', () => {
    const s = merged();
    storeWord(s.k, s.task, s.start + 1, 9);
    expect([0, 1, 2].map((page) => loadWord(s.k, s.task, s.start + page))).toEqual([5, 9, 5]);
    expect(s.k.vmstat.snapshot().get('cow_ksm')).toBe(1);
    expect(ksmPages(s.k)).toEqual({ shared: 1, sharing: 1 });
    checkInvariants(s.k);
  });

  it('MC-44: migration finds all its places, also those forked since', () => {
    const s = merged();
    const child = forkTask(s.k, s.task);
    if (typeof child === 'number') throw new Error('fork failed');
    expect(migrate(s.k, frames(s, s.task, 1)[0], 1)).toBe(0);
    const all = [...frames(s, s.task, 3), ...frames(s, child, 3)];
    expect(new Set(all).size).toBe(1);
    expect(s.k.pm.nidOf(all[0])).toBe(1);
    expect(s.k.folios.mapcount(all[0])).toBe(6);
    checkInvariants(s.k);
    exitTask(s.k, s.task);
    expect(loadWord(s.k, child, s.start + 2)).toBe(5);
    checkInvariants(s.k);
  });

  it('MC-44, OV-29: locked by one process only, it is mlocked at the target too', () => {
    const s = setup([5, 5]);
    expect(applyLockFlags(s.k, s.task.mm!, s.start, s.start + 1, VM_LOCKED)).toBe(0);
    const children = [forkTask(s.k, s.task), forkTask(s.k, s.task)];
    expect(children.every((child) => typeof child !== 'number')).toBe(true);
    ksmScan(s.k);
    ksmScan(s.k);
    const [source] = frames(s, s.task, 1);
    expect(s.k.folios.isKsm(source)).toBe(true);
    expect(migrate(s.k, source, 1)).toBe(0);
    const [target] = frames(s, s.task, 1);
    expect(s.k.pm.nidOf(target)).toBe(1);
    expect(s.k.frames.has(target, PG_MLOCKED)).toBe(true);
    checkInvariants(s.k);
  });

  it.each([0, 3])(
    'OV-29: a fork that was never merged keeps it mlocked, rmap or not; %i others',
    (others) => {
      const s = setup([5, 5]);
      madviseRange(s.k, s.task, s.start, s.start + 2, MADV_UNMERGEABLE);
      expect(applyLockFlags(s.k, s.task.mm!, s.start, s.start + 2, VM_LOCKED)).toBe(0);
      const child = forkTask(s.k, s.task) as Task;
      madviseRange(s.k, child, s.start, s.start + 2, MADV_MERGEABLE);
      for (let n = 0; n < others; n++) expect(typeof forkTask(s.k, child)).not.toBe('number');
      ksmScan(s.k);
      ksmScan(s.k);
      const [source] = frames(s, child, 1);
      const before = frames(s, s.task, 2);
      expect(before).toContain(source);
      expect(s.k.folios.isKsm(source)).toBe(true);
      expect(migrate(s.k, source, 1)).toBe(1);
      expect(frames(s, s.task, 2)).toEqual(before);
      expect(s.k.frames.has(source, PG_MLOCKED)).toBe(true);
      checkInvariants(s.k);
      expect(applyLockFlags(s.k, s.task.mm!, s.start, s.start + 2, 0)).toBe(0);
      expect(s.k.frames.has(source, PG_MLOCKED)).toBe(false);
    },
  );

  it('swapped out, its places have pages of their own again (ksm_might_need_to_copy)', () => {
    const s = merged();
    const copies = () => s.k.vmstat.snapshot().get('ksm_swpin_copy');
    for (let n = 0; n < 3 && pageAt(s.k, s.task.mm!, s.start) >= 0; n++) reclaimAll(s.k);
    expect(frames(s, s.task, 3)).toEqual([-1, -1, -1]);
    expect(copies()).toBe(0);
    for (const n of [0, 1, 2]) expect(loadWord(s.k, s.task, s.start + n)).toBe(5);
    checkInvariants(s.k);
    expect(new Set(frames(s, s.task, 3)).size).toBe(3);
    expect(copies()).toBe(2);
  });

  it('mremap: a moved place has a page of its own, which migration finds (move_vma)', () => {
    const s = merged();
    const to = s.start + 4096;
    const how = MREMAP_MAYMOVE | MREMAP_FIXED;
    expect(mremapRange(s.k, s.task, s.start + 1, 1, 1, how, to)).toBe(to);
    const source = pageAt(s.k, s.task.mm!, to);
    expect(s.k.folios.isKsm(source)).toBe(false);
    expect(ksmPages(s.k)).toEqual({ shared: 1, sharing: 1 });
    checkInvariants(s.k);
    expect(migrate(s.k, source, 1)).toBe(0);
    expect(s.k.pm.nidOf(pageAt(s.k, s.task.mm!, to))).toBe(1);
    expect(loadWord(s.k, s.task, to)).toBe(5);
  });

  it('mremap waits for the migration of a merged page before it copies it (break_ksm)', () => {
    const s = merged();
    const list: number[] = [];
    s.k.lru.drainAll();
    isolateFolio(s.k, frames(s, s.task, 1)[0], list);
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
    const op = new MigrationOp(s.k, list, { nid: 1, mask: -1, gfp }, MIGRATE_SYNC, MR_SYSCALL);
    expect(op.step()).toBe(false);
    const to = s.start + 4096;
    const how = MREMAP_MAYMOVE | MREMAP_FIXED;
    expect(mremapRange(s.k, s.task, s.start + 1, 1, 1, how, to)).toBe(to);
    expect([op.step(), op.result]).toEqual([true, 0]);
    expect(s.k.folios.isKsm(pageAt(s.k, s.task.mm!, to))).toBe(false);
    expect(loadWord(s.k, s.task, to)).toBe(5);
    checkInvariants(s.k);
  });

  it('later pages of that content join it; it goes with the last place', () => {
    const s = merged();
    storeWord(s.k, s.task, s.start + 1, 9);
    storeWord(s.k, s.task, s.start + 1, 5);
    expect(ksmScan(s.k)).toBe(1);
    munmapRange(s.k, s.task.mm!, s.start, s.start + 3);
    expect(ksmPages(s.k)).toEqual({ shared: 0, sharing: 0 });
    checkInvariants(s.k);
  });

  it('UNMERGEABLE gives every place a page of its own', () => {
    const s = merged();
    const faults = s.k.vmstat.snapshot().get('pgfault')!;
    unmergeRange(s.k, s.task, s.task.mm!, s.start, s.start + 3);
    expect(s.k.vmstat.snapshot().get('pgfault')! - faults).toBe(3);
    expect(new Set(frames(s, s.task, 3)).size).toBe(3);
    expect(ksmPages(s.k).shared).toBe(0);
    checkInvariants(s.k);
  });
});
