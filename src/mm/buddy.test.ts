import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FrameId } from '../base/units.ts';
import type { ZoneSpec } from '../hw/index.ts';
import { __GFP_COMP, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from '../uapi/gfp.ts';
import { MIGRATE_CMA, MIGRATE_MOVABLE, ZONE_DMA, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { checkFreeLists } from './freeListCheck.ts';
import { ISOLATE_MODE_OTHER, startIsolatePageRange, undoIsolatePageRange } from './isolation.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import { PhysicalMemory } from './physicalMemory.ts';
import { plainMachine } from './plainMachine.ts';
import { freeCount } from './watermark.ts';

const MIB = 256; // pages

/** Free blocks per order of a zone, as a line of /proc/buddyinfo. */
function buddyinfo(pm: PhysicalMemory, zone = 0): number[] {
  return Array.from({ length: 11 }, (_, order) =>
    [0, 1, 2, 3, 4, 5].reduce((sum, type) => sum + pm.zones[zone].nrFreeBlocks(order, type), 0),
  );
}

function oneZone(pages: number, more: { reserved?: number; absent?: number } = {}): PhysicalMemory {
  const zone = { zone: ZONE_NORMAL, pages, ...more } as const;
  const sysctl = { min_free_kbytes: 128 };
  return new PhysicalMemory(plainMachine([{ cpus: [0], zones: [zone] }], { sysctl }), {
    trackContent: false,
  });
}

function take(pm: PhysicalMemory, order: number, gfp = GFP_HIGHUSER_MOVABLE): FrameId {
  return allocPages(pm, order, gfp, 0, -1);
}

describe('buddy', () => {
  it('cuts boot memory into blocks as the kernel does (zone DMA of the observed machines)', () => {
    const zone = { zone: ZONE_DMA, pages: 3998, absent: 97, reserved: 158 } as const;
    const spec = plainMachine([{ cpus: [0], zones: [zone] }], { startPfn: 1 });
    const pm = new PhysicalMemory(spec, { trackContent: false });
    expect(buddyinfo(pm)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3]);
    checkFreeLists(pm);
  });

  it('hands out memory from the lowest address on, and splits: halves to the list heads', () => {
    const pm = oneZone(16 * MIB);
    expect([take(pm, 0), take(pm, 0), take(pm, 0), take(pm, 2)]).toEqual([0, 1, 2, 4]);
    expect(buddyinfo(pm)).toEqual([1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 3]);
    expect(take(pm, 10)).toBe(1024);
    checkFreeLists(pm);
  });

  it('merges buddies on release up to order 10', () => {
    const pm = oneZone(16 * MIB);
    const before = buddyinfo(pm);
    const frames = Array.from({ length: 700 }, () => take(pm, 0));
    for (const frame of frames) freePages(pm, frame, 0);
    expect(buddyinfo(pm)).toEqual(before);
    expect(freeCount(pm, pm.zones[0])).toBe(4096);
    checkFreeLists(pm);
  });

  it('reuses what was freed last, but puts a block that may merge soon at the tail', () => {
    const pm = oneZone(16 * MIB);
    for (let i = 0; i < 64; i++) take(pm, 0);
    freePages(pm, 10, 0);
    freePages(pm, 20, 0);
    expect(take(pm, 0)).toBe(20);
    freePages(pm, 20, 0);
    // 2,3 become a free pair: now 1, whose buddy 0 is in use, would merge next.
    freePages(pm, 2, 0);
    freePages(pm, 3, 0);
    freePages(pm, 1, 0);
    expect([take(pm, 0), take(pm, 0), take(pm, 0)]).toEqual([20, 10, 1]);
  });

  it('accepts the parts of a split block', () => {
    const pm = oneZone(16 * MIB);
    const head = take(pm, 9, GFP_HIGHUSER_MOVABLE | __GFP_COMP);
    for (let f = head; f < head + 512; f += 4) freePages(pm, f, 2);
    expect(buddyinfo(pm)[10]).toBe(4);
    checkFreeLists(pm);
  });

  it('does not merge CMA pageblocks with others', () => {
    const spec = plainMachine([
      {
        cpus: [0],
        zones: [{ zone: ZONE_NORMAL, pages: 4096, cma: [{ at: 512, pages: 1024 }] }],
      },
    ]);
    const pm = new PhysicalMemory(spec, { trackContent: false });
    const zone = pm.zones[0];
    // Pageblocks 1 and 2 are CMA and no order-10 pair: they stay two blocks.
    expect(zone.nrFreeBlocks(9, MIGRATE_CMA)).toBe(2);
    expect(zone.nrFreeBlocks(9, MIGRATE_MOVABLE)).toBe(2);
    const first = pm.buddy.rmqueueSmallest(zone, 9, MIGRATE_CMA);
    pm.buddy.freeBlock(zone, first, 9, false);
    expect(zone.nrFreeBlocks(9, MIGRATE_CMA)).toBe(2);
    checkFreeLists(pm);
  });

  it('does not merge pageblocks of two zones', () => {
    const spec = plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] }]);
    const [node] = spec.nodes;
    const [zone] = node.zones;
    const zones: ZoneSpec[] = [
      { ...zone, endPfn: 1536 },
      { ...zone, zone: ZONE_MOVABLE, startPfn: 1536 },
    ];
    const pm = new PhysicalMemory(
      { ...spec, nodes: [{ ...node, zones }] },
      {
        trackContent: false,
      },
    );
    const [normal, movable] = pm.zones;
    expect(pm.buddy.takeBlock(normal, 1024)).toBe(9);
    pm.buddy.freeBlock(normal, 1024, 9, false);
    expect([normal.nrFreeBlocks(9, 1), movable.nrFreeBlocks(9, 1)]).toEqual([1, 1]);
    checkFreeLists(pm);
  });

  it('gives CMA memory from the top, as boot filled its list', () => {
    const cma = [{ at: 0, pages: 4096 }];
    const zones = [{ zone: ZONE_NORMAL, pages: 8192, cma }] as const;
    const pm = new PhysicalMemory(plainMachine([{ cpus: [0], zones }]), { trackContent: false });
    expect(pm.buddy.rmqueueSmallest(pm.zones[0], 10, MIGRATE_CMA)).toBe(3072);
    expect(pm.buddy.rmqueueSmallest(pm.zones[0], 10, MIGRATE_CMA)).toBe(2048);
    checkFreeLists(pm);
  });

  it('knows the free block around a frame and can take it out', () => {
    const pm = oneZone(16 * MIB);
    take(pm, 0);
    expect(pm.buddy.blockOf(0)).toBe(-1);
    expect(pm.buddy.blockOf(1)).toBe(1);
    expect(pm.buddy.blockOf(777)).toBe(512);
    expect(pm.buddy.blockOf(3000)).toBe(2048);
    expect(pm.isPristine(3000)).toBe(true);
    expect(pm.buddy.takeBlock(pm.zones[0], 2048)).toBe(10);
    expect(pm.isPristine(3000)).toBe(false);
    expect(pm.isFree(3000)).toBe(false);
    expect(freeCount(pm, pm.zones[0])).toBe(4096 - 1 - 1024);
    checkFreeLists(pm);
  });

  it('refuses to free twice, or what is mapped or referenced', () => {
    const pm = oneZone(16 * MIB);
    const frame = take(pm, 0);
    pm.frames.refcount[frame] = 2;
    expect(() => freePages(pm, frame, 0)).toThrow(/referenced/);
    pm.frames.refcount[frame] = 0;
    freePages(pm, frame, 0);
    // Merged into the order-10 block that starts there.
    expect(() => freePages(pm, frame, 0)).toThrow(/free/);
  });
});

/** What the random test remembers of one block. */
interface Held {
  readonly head: FrameId;
  readonly order: number;
}

type Command =
  | {
      readonly kind: 'alloc';
      readonly order: number;
      readonly kernel: boolean;
      readonly nid: number;
    }
  | { readonly kind: 'free'; readonly pick: number; readonly split: boolean }
  | { readonly kind: 'isolate'; readonly block: number }
  | { readonly kind: 'undo'; readonly block: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('alloc' as const),
      order: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.nat(10)),
      kernel: fc.boolean(),
      nid: fc.nat(1),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('free' as const),
      pick: fc.nat(),
      split: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constant('isolate' as const), block: fc.nat(30) }),
  fc.record({ kind: fc.constant('undo' as const), block: fc.nat(30) }),
);

/** Two nodes with ragged ends, CMA, MOVABLE and room for about 8 order-10 blocks each. */
function raggedMachine(): PhysicalMemory {
  const sysctl = { min_free_kbytes: 128 };
  const cma = [{ at: 1024, pages: 1536 }];
  return new PhysicalMemory(
    plainMachine(
      [
        {
          cpus: [0],
          zones: [
            { zone: ZONE_NORMAL, pages: 7 * 1024 + 300, absent: 37, reserved: 201, cma },
            { zone: ZONE_MOVABLE, pages: 2048 },
          ],
        },
        { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 5 * 1024 + 512 }] },
      ],
      { sysctl },
    ),
    { trackContent: false },
  );
}

/** Runs commands against the allocator and a naive owner table; recounts after each. */
function play(commands: readonly Command[]): void {
  const pm = raggedMachine();
  const owner = new Int32Array(pm.frames.nrFrames).fill(-1);
  const held: Held[] = [];
  let serial = 0;
  for (const c of commands) {
    if (c.kind === 'alloc') {
      const gfp = c.kernel ? GFP_KERNEL : GFP_HIGHUSER_MOVABLE;
      const head = allocPages(pm, c.order, gfp, c.nid, -1);
      if (head >= 0) {
        claimFrames(pm, owner, head, c.order, serial++, c.kernel);
        held.push({ head, order: c.order });
      }
    } else if (c.kind === 'free' && held.length > 0) {
      const [block] = held.splice(c.pick % held.length, 1);
      release(pm, owner, block, c.split);
    } else if (c.kind === 'isolate') {
      startIsolatePageRange(pm, c.block * 512, c.block * 512 + 512, ISOLATE_MODE_OTHER, () => true);
    } else if (c.kind === 'undo' && c.block * 512 < pm.frames.nrFrames) {
      undoIsolatePageRange(pm, c.block * 512, c.block * 512 + 512);
    }
    checkFreeLists(pm);
    checkAgainst(pm, owner);
  }
  for (const block of held) release(pm, owner, block, false);
  undoIsolatePageRange(pm, 0, pm.frames.nrFrames);
  for (const zone of pm.zones) expect(freeCount(pm, zone)).toBe(zone.managedPages);
}

function claimFrames(
  pm: PhysicalMemory,
  owner: Int32Array,
  head: FrameId,
  order: number,
  serial: number,
  kernel: boolean,
): void {
  expect(head & ((1 << order) - 1)).toBe(0);
  for (let f = head; f < head + (1 << order); f++) {
    expect(owner[f]).toBe(-1);
    owner[f] = serial;
    expect(pm.isPresent(f) && !pm.isReserved(f)).toBe(true);
    expect(pm.blocks.isIsolated(f)).toBe(false); // OV-56
    // PM-39: CMA serves movable requests only. PM-30: nor may others use ZONE_MOVABLE.
    if (kernel) {
      expect(pm.blocks.migratetypeBelowIsolation(f)).not.toBe(MIGRATE_CMA);
      expect(pm.zoneOf(f).type).not.toBe(ZONE_MOVABLE);
    }
  }
}

function release(pm: PhysicalMemory, owner: Int32Array, block: Held, split: boolean): void {
  owner.fill(-1, block.head, block.head + (1 << block.order));
  const order = split ? block.order >> 1 : block.order;
  for (let f = block.head; f < block.head + (1 << block.order); f += 1 << order) {
    freePages(pm, f, order);
  }
}

/** A managed frame is free exactly if nobody owns it; totals are conserved (OV-53, OV-58). */
function checkAgainst(pm: PhysicalMemory, owner: Int32Array): void {
  for (const zone of pm.zones) {
    let expected = 0;
    for (const range of zone.presentRanges) {
      for (let f = Math.max(range.start, zone.managedStart); f < range.end; f++) {
        if (pm.isFree(f) !== owner[f] < 0) throw new Error(`frame ${f}: free and owned, or lost`);
        if (owner[f] < 0 && !pm.blocks.isIsolated(f)) expected++;
      }
    }
    if (freeCount(pm, zone) !== expected) throw new Error(`${zone.name}: nr_free_pages`);
  }
}

describe('buddy against a naive owner table', () => {
  it('never overlaps, loses, or miscounts a frame', () => {
    fc.assert(fc.property(fc.array(command, { maxLength: 60 }), play), {
      seed: 20,
      numRuns: 60,
    });
  });
});
