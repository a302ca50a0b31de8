/** The last step of one folio: who refuses, what goes with it, what stays: MC-37..MC-44. */
import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../hw/index.ts';
import {
  MIGRATE_ASYNC,
  MIGRATE_SYNC,
  MIGRATE_SYNC_LIGHT,
  MR_MEMORY_FAILURE,
  MR_SYSCALL,
} from '../uapi/migrate.ts';
import {
  NR_FILE_DIRTY,
  NR_FILE_PAGES,
  NR_SHMEM,
  NR_SHMEM_THPS,
  NR_SWAPCACHE,
} from '../uapi/vmstat.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  CAUSE_BUFFERS_BUSY,
  CAUSE_HWPOISON,
  CAUSE_INACCESSIBLE,
  CAUSE_NO_MIGRATE_OP,
} from './failureLog.ts';
import { writeFilePages } from './fileWrite.ts';
import { PG_DEFERRED_SPLIT, PG_DIRTY, PG_HWPOISON, PG_MLOCKED, PG_PRIVATE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import type { FileKind } from './mappedFile.ts';
import { applyLockFlags } from './mlockRange.ts';
import { munmapRange } from './mmap.ts';
import { addToSwapCache } from './swapCache.ts';
import { bootNodes, isolate, migrate, migration, TestProgram } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';

const HUGE = 512 * 1024;

function boot(thp: 'always' | 'never' = 'never', kernel: KernelVersion = '7.3'): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes(
    [
      { cpus: [0, 1], zones },
      { cpus: [], zones },
    ],
    { swapPages: 64, kernel },
  );
  k.sysctl.thp_enabled = thp;
  return new TestProgram(k);
}

/** A page of a file that a program has stored to. */
function filePage(kind: FileKind) {
  const p = boot();
  const file = p.k.newFile('f', kind, 1);
  const a = p.mapWritten(1, { file, shared: true });
  return { p, k: p.k, a, head: p.head(a), file };
}

/** A gauge of nodes 0 and 1. */
const item = (p: TestProgram, name: number) => [0, 1].map((nid) => p.k.vmstat.nodeItem(nid, name));

describe('buffers (MC-40)', () => {
  it.each([
    ['ext4', MIGRATE_ASYNC, true, false, 1],
    ['ext4', MIGRATE_SYNC_LIGHT, true, false, 0],
    ['ext4', MIGRATE_SYNC, true, false, 0],
    ['ext4', MIGRATE_SYNC, false, true, 0],
    ['bdev', MIGRATE_SYNC, false, true, 1],
    ['bdev', MIGRATE_ASYNC, false, false, 0],
    ['tmpfs', MIGRATE_ASYNC, true, true, 0],
  ] as const)('%s, mode %i, locked %s, held %s: %i stay', (kind, mode, locked, held, stay) => {
    const { p, k, a, head } = filePage(kind);
    if (locked) k.buffers.lock(head);
    if (held) k.buffers.get(head);
    expect([migrate(p, a, 1, 1, mode), p.nid(a)]).toEqual([stay, stay === 1 ? 0 : 1]);
    // The first pass over a batch is ASYNC in any mode (MC-4): it meets the lock, too.
    const cause = stay === 1 || (locked && kind !== 'tmpfs') ? CAUSE_BUFFERS_BUSY : -1;
    expect(k.failures.lastCauseOf(head)).toBe(cause);
    // References of a journal are those of the folio's new place.
    if (held) expect([k.buffers.isHeld(p.head(a)), k.buffers.references.size]).toEqual([true, 1]);
    expect(p.load(a)).toBe(1);
  });

  it('MC-39: an error in memory while the data is copied: they stay where they were', () => {
    const { p, k, a, head } = filePage('ext4');
    k.buffers.get(head);
    const list = isolate(p, a, 1);
    const op = migration(k, list, 1, MIGRATE_ASYNC);
    op.step();
    k.frames.set(head, PG_HWPOISON);
    op.finish();
    expect([op.result, k.failures.lastCauseOf(head)]).toEqual([1, CAUSE_HWPOISON]);
    expect([k.buffers.isHeld(head), p.frame(a), k.frames.has(head, PG_PRIVATE)]).toEqual([
      true,
      head,
      true,
    ]);
  });
});

describe('file systems that say no (MC-37, MC-41)', () => {
  it.each([
    ['guest_memfd', CAUSE_INACCESSIBLE],
    ['secretmem', CAUSE_NO_MIGRATE_OP],
    ['ramfs', CAUSE_NO_MIGRATE_OP],
  ] as const)('%s', (kind, cause) => {
    const { p, k, a, head } = filePage(kind);
    expect([migrate(p, a, 1, 1, MIGRATE_SYNC), p.frame(a)]).toEqual([1, head]);
    expect(k.failures.lastCauseOf(head)).toBe(cause);
  });
});

describe('what goes along (MC-42..MC-44)', () => {
  it('the swap cache: its slots name the new frames; references and gauges, too', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const slot = p.k.swap.allocate(1);
    addToSwapCache(p.k, p.head(a), slot);
    expect([item(p, NR_SWAPCACHE), item(p, NR_FILE_PAGES)]).toEqual([
      [1, 0],
      [1, 0],
    ]);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect([p.k.swap.cachedFrame(slot), p.k.frames.private_[p.head(a)]]).toEqual([p.head(a), slot]);
    expect([item(p, NR_SWAPCACHE), item(p, NR_FILE_PAGES), item(p, NR_SHMEM)]).toEqual([
      [0, 1],
      [0, 1],
      [0, 0],
    ]);
    checkInvariants(p.k);
  });

  it('shmem of 2 MiB: pages and huge pages of the new node', () => {
    const p = boot('always');
    const file = p.k.newFile('t', 'tmpfs', 512);
    file.hugeAlways = true;
    const a = p.map(512, { file, shared: true, addr: HUGE });
    p.store(a, 1);
    expect([item(p, NR_SHMEM), item(p, NR_SHMEM_THPS)]).toEqual([
      [512, 0],
      [512, 0],
    ]);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect([item(p, NR_SHMEM), item(p, NR_SHMEM_THPS)]).toEqual([
      [0, 512],
      [0, 512],
    ]);
    expect([file.frameAt(511) - file.frameAt(0), p.nid(a)]).toEqual([511, 1]);
    checkInvariants(p.k);
  });

  it('dirty pages of a file that is written back: nr_dirty of the new node', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    writeFilePages(p.k, p.task, file, 0, new Uint32Array([7]));
    const a = p.map(1, { file, shared: true });
    p.load(a);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect([item(p, NR_FILE_DIRTY), p.has(a, PG_DIRTY)]).toEqual([[0, 1], true]);
    checkInvariants(p.k);
  });

  it.each([
    ['7.3', 'is split now (MC-12)', 511],
    ['6.12', 'is split now (MC-12)', 511],
    ['6.1', 'moves whole, and does not wait any more', 1],
  ] as const)('%s: a huge page that waits to be split %s', (kernel, _what, folios) => {
    const p = boot('always', kernel);
    const a = p.mapWritten(512, { addr: HUGE });
    const head = p.head(a);
    munmapRange(p.k, p.task.mm!, a + 500, a + 501);
    expect(p.k.deferredSplit.has(head)).toBe(true);
    expect(migrate(p, a, 1, 1)).toBe(0);
    const heads = Array.from({ length: 512 }, (_, i) => p.frame(a + i)).filter((f) => f >= 0);
    expect(new Set(heads.map((frame) => p.k.frames.headOf(frame))).size).toBe(folios);
    expect([p.k.deferredSplit.size, p.has(a, PG_DEFERRED_SPLIT), p.nid(a)]).toEqual([0, false, 1]);
    expect(p.k.frames.has(head, PG_DEFERRED_SPLIT)).toBe(false);
    checkInvariants(p.k);
  });

  it('a locked area: the new page is locked, nobody is on the old node', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    applyLockFlags(p.k, p.task.mm!, a, a + 1, VM_LOCKED);
    p.k.lru.drainAll();
    expect(migrate(p, a, 1, 1)).toBe(0);
    p.k.lru.drainAll();
    expect([p.has(a, PG_MLOCKED), p.nid(a)]).toEqual([true, 1]);
    checkInvariants(p.k);
  });

  it.each([
    ['memory failure keeps the frame of anonymous memory, dirty', MR_MEMORY_FAILURE, true, true],
    ['the cause frees it', MR_SYSCALL, true, false],
    ['memory failure keeps the frame of a file, clean', MR_MEMORY_FAILURE, false, true],
  ] as const)('MC-82b: %s', (_what, reason, isAnon, isKept) => {
    const p = boot();
    const options = isAnon ? {} : { file: p.k.newFile('t', 'tmpfs', 1), shared: true };
    const a = p.mapWritten(1, options);
    const head = p.head(a);
    p.k.frames.set(head, PG_DIRTY);
    expect(migrate(p, a, 1, 1, MIGRATE_SYNC, reason)).toBe(0);
    p.k.lru.drainAll();
    expect([p.k.frames.refcount[head], p.has(a, PG_DIRTY)]).toEqual([isKept ? 1 : 0, true]);
    // Of a file's page nothing is left to see, of an anonymous one its kind.
    if (isKept)
      expect([p.k.frames.has(head, PG_DIRTY), p.k.folios.isAnon(head)]).toEqual([isAnon, isAnon]);
    expect(p.load(a)).toBe(1);
  });
});
