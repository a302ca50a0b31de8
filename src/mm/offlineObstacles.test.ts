import { describe, expect, it } from 'vitest';
import type { FrameId } from '../base/units.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { FOLL_WRITE } from '../uapi/gup.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { ownersOf } from './frameOwner.ts';
import { PGTY_SLAB } from './frameTable.ts';
import { pinUserPages } from './gup.ts';
import type { Kernel } from './kernel.ts';
import { blockOfflineObstacles, type OfflineObstacle } from './offlineObstacles.ts';
import { writeBlockState } from './onlinePages.ts';
import { allocPages } from './pageAlloc.ts';
import { bootNodes, TestProgram } from './testProgram.ts';

const BLOCK = 1024;

/** One node with both kinds of zones; boot reserved the first pages. */
function machine(): Kernel {
  return bootNodes(
    [
      {
        cpus: [0],
        zones: [
          {
            zone: ZONE_NORMAL,
            pages: 8 * BLOCK,
            reserved: 3,
            cma: [{ at: 3 * BLOCK, pages: BLOCK }],
          },
          { zone: ZONE_MOVABLE, pages: 4 * BLOCK },
        ],
      },
    ],
    { memoryBlockPages: BLOCK },
  );
}

function blockOf(k: Kernel, frame: FrameId): number {
  return k.pm.memoryBlocks.blockOf(frame);
}

function kindsIn(k: Kernel, block: number): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const { kind } of blockOfflineObstacles(k, block)) kinds[kind] = (kinds[kind] ?? 0) + 1;
  return kinds;
}

function only(found: readonly OfflineObstacle[]): OfflineObstacle {
  expect(found).toHaveLength(1);
  return found[0];
}

describe('what keeps a block online', () => {
  it('PM-60: reserved, kernel and page table pages of a kernel zone, with whose they are', () => {
    const k = machine();
    const p = new TestProgram(k);
    p.mapWritten(4);
    const slab = allocPages(k.pm, 0, GFP_KERNEL, 0, -1);
    k.frames.mapcount[slab] = PGTY_SLAB;
    const found = blockOfflineObstacles(k, blockOf(k, slab));
    const owners = new Set(found.flatMap((o) => o.owners.map((owner) => owner.kind)));
    expect(owners).toEqual(new Set(['zero-page', 'page-table', 'slab']));
    expect(new Set(found.map((o) => `${o.kind} ${o.effect}`))).toEqual(
      new Set(['unmovable refuses']),
    );
    const [first] = k.pm.memoryBlocks.numbers();
    expect(blockOfflineObstacles(k, first).map((o) => o.owners)).toEqual(
      Array.from({ length: 3 }, () => [{ kind: 'boot' }]),
    );
    const table = found.flatMap((o) => o.owners).find((owner) => owner.kind === 'page-table');
    expect(table).toEqual({ kind: 'page-table', pid: p.task.pid });
  });

  it('PM-61: a pin and a plain reference, told apart; nothing changes by asking', () => {
    const k = machine();
    const p = new TestProgram(k);
    const start = p.mapWritten(40);
    const block = blockOf(k, p.frame(start));
    expect(blockOfflineObstacles(k, block)).toEqual([]);
    const pinned: FrameId[] = [];
    pinUserPages(k, p.task, start + 5, 1, FOLL_WRITE, pinned);
    const refs = k.frames.refcount.slice();
    const flags = k.frames.flags.slice();
    const pin = only(blockOfflineObstacles(k, block));
    expect(pin).toMatchObject({
      kind: 'pinned',
      effect: 'repeats',
      frame: pinned[0],
      extraRefs: 1024,
      owners: [{ kind: 'process', pid: p.task.pid, vpn: start + 5 }],
    });
    expect(k.frames.refcount).toEqual(refs);
    expect(k.frames.flags).toEqual(flags);
    k.folios.get(p.head(start + 7));
    expect(kindsIn(k, block)).toEqual({ pinned: 1, 'extra-reference': 1 });
  });

  it('OV-16: a shared page has all its processes as owners, a cached one its file', () => {
    const k = machine();
    const p = new TestProgram(k);
    const start = p.mapWritten(1);
    const child = p.fork();
    expect(ownersOf(k, p.frame(start))).toEqual([
      { kind: 'process', pid: p.task.pid, vpn: start },
      { kind: 'process', pid: child.task.pid, vpn: start },
    ]);
    const file = k.newFile('/tmp/f', 'tmpfs', 4);
    const cached = p.map(4, { file, shared: true });
    p.access(cached + 2, true);
    expect(ownersOf(k, p.frame(cached + 2))[0]).toEqual({ kind: 'file', name: '/tmp/f', index: 2 });
  });

  it('MC-41: a dirty ramfs page can never be migrated', () => {
    const k = machine();
    const p = new TestProgram(k);
    const file = k.newFile('/ramfs/f', 'ramfs', 1);
    const start = p.map(1, { file, shared: true });
    p.access(start, true);
    const found = blockOfflineObstacles(k, blockOf(k, p.frame(start)));
    expect(found.map((o) => o.kind)).toContain('no-migrate-operation');
  });

  it('PM-60: a CMA area refuses pageblock by pageblock, PM-62: so does isolation', () => {
    const k = machine();
    const [first] = k.pm.memoryBlocks.numbers();
    expect(kindsIn(k, first + 3)).toEqual({ cma: 2 });
    const last = k.pm.memoryBlocks.numbers().pop()!;
    const answer = writeBlockState(k, last, 'offline');
    expect(typeof answer).toBe('object');
    expect(kindsIn(k, last)).toEqual({ isolated: 2 });
  });

  it('PM-70: a block with a hole', () => {
    const k = bootNodes([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 8 * BLOCK + 512 }] }], {
      memoryBlockPages: BLOCK,
    });
    const last = k.pm.memoryBlocks.numbers().pop()!;
    expect(kindsIn(k, last)).toEqual({ hole: 1 });
  });

  it('PM-72: what it lists decides what the write does', () => {
    const k = machine();
    const p = new TestProgram(k);
    p.mapWritten(100);
    for (const block of k.pm.memoryBlocks.numbers()) {
      const found = blockOfflineObstacles(k, block);
      const answer = writeBlockState(k, block, 'offline');
      expect(typeof answer === 'number').toBe(found.some((o) => o.effect === 'refuses'));
      if (typeof answer === 'number') continue;
      for (let n = 0; n < 10 && !answer.step(); n++);
      expect(answer.isDone).toBe(found.length === 0);
      expect(answer.result).toBe(0);
    }
  });
});
