import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { FrameId, Vpn } from '../base/units.ts';
import { type KernelVersion, type ObservedMachines, observedMachine } from '../hw/index.ts';
import { EBUSY, EHWPOISON, EINTR, EINVAL } from '../uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from '../uapi/gfp.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { MPOL_BIND } from '../uapi/mempolicy.ts';
import { MR_MEMORY_HOTPLUG } from '../uapi/migrate.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { allocContigRange, freeContigRange } from './allocContigRange.ts';
import { CAUSE_UNMOVABLE } from './failureLog.ts';
import { PG_HWPOISON, PG_MOVABLE_OPS, PGTY_OFFLINE, PGTY_SLAB } from './frameTable.ts';
import { pinUserPages, unpinUserPages } from './gup.ts';
import { checkInvariants } from './invariants.ts';
import { Kernel } from './kernel.ts';
import { MEM_OFFLINE, MEM_ONLINE } from './memoryBlocks.ts';
import { memoryFailure, softOffline } from './memoryFailure.ts';
import { Mempolicy } from './mempolicy.ts';
import { blockOfflineObstacles } from './offlineObstacles.ts';
import { beginOffline, OfflineOp } from './offlinePages.ts';
import { validZones, writeBlockState } from './onlinePages.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import { bootNodes, fillNode, TestProgram, vmstat } from './testProgram.ts';
import { freeCount } from './watermark.ts';

const BLOCK = 1024;

/** Node 0 with CPUs: NORMAL. Node 1: MOVABLE, four blocks. */
function machine(
  cma: readonly { at: number; pages: number }[] = [],
  kernel: KernelVersion = '7.3',
): Kernel {
  return bootNodes(
    [
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 8 * BLOCK, cma }] },
      { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 4 * BLOCK }] },
    ],
    { memoryBlockPages: BLOCK, kernel },
  );
}

/** Offlines a block in at most `passes` passes; what the write answers, or null if it goes on. */
function offline(k: Kernel, block: number, passes = 20): number | null {
  const answer = writeBlockState(k, block, 'offline');
  if (typeof answer === 'number') return answer;
  while (answer.passes < passes) if (answer.step()) return answer.result;
  return null;
}

function begun(k: Kernel, block: number): OfflineOp {
  const answer = writeBlockState(k, block, 'offline');
  if (!(answer instanceof OfflineOp)) throw new Error(`offline answered ${answer}`);
  return answer;
}

function blocksOf(k: Kernel, nid: number): number[] {
  const { memoryBlocks } = k.pm;
  return memoryBlocks.numbers().filter((block) => memoryBlocks.nid[block] === nid);
}

/** Pages of a program on node 1, in the first of its blocks. */
function writtenOn1(k: Kernel, pages: number): { p: TestProgram; start: Vpn; block: number } {
  const p = new TestProgram(k);
  p.task.setPolicy(new Mempolicy(MPOL_BIND, 0, 2, 2));
  const start = p.mapWritten(pages);
  p.task.setPolicy(null);
  expect(p.nid(start)).toBe(1);
  return { p, start, block: k.pm.memoryBlocks.blockOf(p.frame(start)) };
}

describe('offlining a block', () => {
  it('PM-71: everything in it is migrated to the next node, values and all', () => {
    const k = machine();
    const { p, start, block } = writtenOn1(k, 300);
    const done = vmstat(k, 'pgmigrate_success');
    expect(offline(k, block)).toBe(0);
    for (let n = 0; n < 300; n++) {
      expect(p.nid(start + n)).toBe(0);
      expect(p.load(start + n)).toBe(n + 1);
    }
    expect(vmstat(k, 'pgmigrate_success') - done).toBe(300);
    checkInvariants(k);
  });

  it('PM-74a: blocks of kernel zones go too if the kernel has no page there, else -EBUSY', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 4 * BLOCK }] as const;
    const nodes = [
      { cpus: [0], zones },
      { cpus: [1], zones },
    ];
    const k = bootNodes(nodes, { memoryBlockPages: BLOCK });
    const p = new TestProgram(k);
    const start = p.mapWritten(64);
    const { memoryBlocks } = k.pm;
    const used = memoryBlocks.blockOf(p.frame(start));
    const ours = memoryBlocks.startFrame(used);
    expect(allocContigRange(k, ours, ours + 1, false, GFP_KERNEL)).toBe(0);
    const frames = Array.from({ length: 64 }, (_, n) => p.frame(start + n));
    expect(offline(k, used)).toBe(-EBUSY);
    // Refused before anything moved.
    expect(frames.map((_, n) => p.frame(start + n))).toEqual(frames);
    freeContigRange(k, ours, 1);
    expect(offline(k, used)).toBe(0);
    checkInvariants(k);
  });

  it('PM-71: pages of kernel zones do not go to a node with ZONE_MOVABLE only: it repeats', () => {
    const k = machine();
    const p = new TestProgram(k);
    const start = p.mapWritten(64);
    const block = k.pm.memoryBlocks.blockOf(p.frame(start));
    const kinds = new Set(blockOfflineObstacles(k, block).map(({ kind }) => kind));
    expect(kinds).toEqual(new Set(['no-kernel-zone']));
    expect(offline(k, block)).toBeNull();
    expect([p.nid(start), p.load(start)]).toEqual([0, 1]);
  });

  it('PM-72: present, managed and free pages drop; watermarks follow', () => {
    const k = machine();
    const [zone] = k.pm.nodes[1].zones;
    const low = zone.watermark[1];
    const block = blocksOf(k, 1)[0];
    expect(offline(k, block)).toBe(0);
    expect([zone.presentPages, zone.managedPages, freeCount(k.pm, zone)]).toEqual([
      3072, 3072, 3072,
    ]);
    expect(k.pm.nodes[1].present).toBe(3072);
    expect(zone.spannedPages).toBe(3072);
    expect(zone.watermark[1]).not.toBe(low);
    expect(k.pm.memoryBlocks.state[block]).toBe(MEM_OFFLINE);
    const frame = k.pm.memoryBlocks.startFrame(block);
    expect(k.pm.isPresent(frame)).toBe(false);
    checkInvariants(k);
  });

  it('PM-72: a block inside the span leaves a hole, those at its ends shorten it', () => {
    const k = machine();
    const [zone] = k.pm.nodes[1].zones;
    const [first, second, third, last] = blocksOf(k, 1);
    offline(k, second);
    expect(zone.spannedPages).toBe(4 * BLOCK);
    offline(k, first);
    expect(zone.startPfn).toBe(k.pm.memoryBlocks.startPfn(third));
    offline(k, last);
    expect(zone.spannedPages).toBe(BLOCK);
    checkInvariants(k);
  });

  it('PM-63: the free pages of a block that is going offline are in nobody’s count', () => {
    const k = machine();
    const [zone] = k.pm.nodes[1].zones;
    const op = begun(k, blocksOf(k, 1)[1]);
    expect(freeCount(k.pm, zone)).toBe(3 * BLOCK);
    op.signalPending = true;
    op.step();
    expect(freeCount(k.pm, zone)).toBe(4 * BLOCK);
  });

  it('S-PM-13, PM-106: a pinned page is tried again until a signal, then all is as before', () => {
    const k = machine();
    const { p, start, block } = writtenOn1(k, 20);
    const pinned: FrameId[] = [];
    expect(pinUserPages(k, p.task, start + 3, 1, FOLL_WRITE, pinned)).toBe(1);
    const op = begun(k, block);
    for (let n = 0; n < 30; n++) expect(op.step()).toBe(false);
    expect(k.failures.reason[k.failures.written - 1]).toBe(MR_MEMORY_HOTPLUG);
    op.signalPending = true;
    expect(op.step()).toBe(true);
    expect(op.result).toBe(-EINTR);
    expect(k.pm.memoryBlocks.state[block]).toBe(MEM_ONLINE);
    // PM-73: the others have left all the same.
    expect([p.nid(start + 3), p.nid(start + 2), p.nid(start + 4)]).toEqual([1, 0, 0]);
    expect(k.pm.blocks.isIsolated(p.frame(start + 3))).toBe(false);
    expect(k.lru.disabled).toBe(false);
    unpinUserPages(k, pinned);
    expect(offline(k, block)).toBe(0);
    checkInvariants(k);
  });

  it('PM-98: a short pin lets go meanwhile, and the next pass is the last but one', () => {
    const k = machine();
    const { p, start, block } = writtenOn1(k, 4);
    const pinned: FrameId[] = [];
    pinUserPages(k, p.task, start, 1, FOLL_WRITE, pinned);
    const op = begun(k, block);
    op.step();
    unpinUserPages(k, pinned);
    expect([op.step(), op.step()]).toEqual([false, true]);
    expect(op.result).toBe(0);
  });

  it('PM-99: a long-term pin has left ZONE_MOVABLE before', () => {
    const k = machine();
    const { p, start, block } = writtenOn1(k, 4);
    const pinned: FrameId[] = [];
    expect(pinUserPages(k, p.task, start, 4, FOLL_WRITE | FOLL_LONGTERM, pinned)).toBe(4);
    expect(offline(k, block)).toBe(0);
    expect(p.frame(start)).toBe(pinned[0]);
  });

  it('S-PM-14, PM-60: a slab page in a kernel zone is -EBUSY at once; user pages stay', () => {
    const k = machine();
    const slab = allocPages(k.pm, 0, GFP_KERNEL, 0, -1);
    k.frames.mapcount[slab] = PGTY_SLAB;
    const block = k.pm.memoryBlocks.blockOf(slab);
    const migrated = vmstat(k, 'pgmigrate_success');
    expect(offline(k, block)).toBe(-EBUSY);
    expect(vmstat(k, 'pgmigrate_success')).toBe(migrated);
    expect(k.failures.cause[k.failures.written - 1]).toBe(CAUSE_UNMOVABLE);
    expect(k.pm.memoryBlocks.state[block]).toBe(MEM_ONLINE);
    checkInvariants(k);
  });

  it('S-PM-15: a block of a CMA area is -EBUSY', () => {
    const k = machine([{ at: 2 * BLOCK, pages: BLOCK }]);
    expect(offline(k, blocksOf(k, 0)[2])).toBe(-EBUSY);
  });

  it('S-PM-16, PM-70: PG_offline that its driver references passes isolation, then -EBUSY', () => {
    const k = machine();
    const balloon = allocPages(k.pm, 0, GFP_KERNEL, 0, -1);
    // Where no page of the kernel is, on a page of its own.
    const frame = allocPages(k.pm, 10, GFP_HIGHUSER_MOVABLE | __GFP_THISNODE, 0, -1);
    for (let f = frame + 1; f < frame + 1024; f++) freePages(k.pm, f, 0);
    k.frames.setOrder(frame, 0);
    k.frames.mapcount[frame] = PGTY_OFFLINE;
    const block = k.pm.memoryBlocks.blockOf(frame);
    expect(block).not.toBe(k.pm.memoryBlocks.blockOf(balloon));
    const op = begun(k, block);
    expect(op.step()).toBe(true);
    expect(op.result).toBe(-EBUSY);
    expect(k.pm.memoryBlocks.state[block]).toBe(MEM_ONLINE);
    // Its driver took it out of the managed pages. Without a reference it goes with the block.
    k.pm.zoneOf(frame).managedPages--;
    k.pm.nodes[0].managed--;
    k.frames.refcount[frame] = 0;
    expect(offline(k, block)).toBe(0);
  });

  it('S-PM-18, PM-70: a hole, a part of a block, nothing, several zones: -EINVAL', () => {
    const k = bootNodes(
      [
        { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 3 * BLOCK, absent: 512 }] },
        { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: BLOCK + 512 }] },
      ],
      { memoryBlockPages: BLOCK },
    );
    const [first] = blocksOf(k, 0);
    expect(offline(k, first)).toBe(-EINVAL);
    expect(offline(k, blocksOf(k, 1)[1])).toBe(-EINVAL);
    const start = k.pm.memoryBlocks.startPfn(first + 1);
    expect(beginOffline(k, start, 512)).toBe(-EINVAL);
    expect(beginOffline(k, start + 4, BLOCK - 4)).toBe(-EINVAL);
    expect(beginOffline(k, start, 0)).toBe(-EINVAL);
    expect(beginOffline(k, start, 32768)).toBe(-EINVAL);
  });

  it('PM-70: a notifier may veto; what it answers is the answer', () => {
    const k = machine();
    const told: string[] = [];
    k.memoryNotifiers.push({
      goingOffline: () => -EBUSY,
      cancelOffline: () => told.push('cancel'),
      offline: () => told.push('offline'),
    });
    const [, block] = blocksOf(k, 1);
    expect(offline(k, block)).toBe(-EBUSY);
    expect(told).toEqual(['cancel']);
    expect(k.pm.nodes[1].zones[0].nrIsolatePageblock).toBe(0);
    expect(k.lru.disabled).toBe(false);
  });

  it('PM-71: the only node takes its own other blocks', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 8 * BLOCK }] as const;
    const k = bootNodes([{ cpus: [0], zones }], { memoryBlockPages: BLOCK });
    const p = new TestProgram(k);
    const start = p.mapWritten(10);
    const { memoryBlocks } = k.pm;
    const from = memoryBlocks.blockOf(p.frame(start));
    expect(offline(k, from)).toBe(0);
    expect(memoryBlocks.state[memoryBlocks.blockOf(p.frame(start))]).toBe(MEM_ONLINE);
    expect(p.load(start + 9)).toBe(10);
    checkInvariants(k);
  });

  it('PM-64: poisoned frames, free or in use, go along; the block cannot come back', () => {
    const k = machine();
    const { p, start, block } = writtenOn1(k, 2);
    const frame = p.frame(start);
    expect(memoryFailure(k, frame, null, false)).toBe(0);
    expect(memoryFailure(k, frame + 600, null, false)).toBe(0);
    expect(blockOfflineObstacles(k, block)).toEqual([]);
    expect(offline(k, block)).toBe(0);
    expect(p.load(start + 1)).toBe(2);
    checkInvariants(k);
    expect(writeBlockState(k, block, 'online')).toBe(-EHWPOISON);
    expect(k.pm.memoryBlocks.state[block]).toBe(MEM_OFFLINE);
  });

  it('PM-64: 6.1 makes new frames of the poisoned ones when the block comes back', () => {
    const k = machine([], '6.1');
    const { p, start, block } = writtenOn1(k, 2);
    const [hard, soft] = [p.frame(start), p.frame(start + 1)];
    expect(memoryFailure(k, hard, null, false)).toBe(0);
    expect(softOffline(k, soft, false)).toBe(0);
    expect(offline(k, block)).toBe(0);
    expect(writeBlockState(k, block, 'online')).toBe(0);
    expect([hard, soft].map((frame) => k.frames.has(frame, PG_HWPOISON))).toEqual([false, false]);
    checkInvariants(k);
  });

  it('PM-71, PM-25: without room elsewhere it repeats, and nobody is killed', () => {
    const k = machine();
    const { p, start, block } = writtenOn1(k, 50);
    const taken = fillNode(k, 0, 0);
    expect(offline(k, block, 5)).toBeNull();
    expect(p.load(start)).toBe(1);
    for (const frame of taken) k.putFolio(frame);
    const [op] = k.offlining;
    for (let n = 0; n < 10 && !op.step(); n++);
    expect(op.result).toBe(0);
    expect(p.nid(start)).toBe(0);
  });
});

describe('the last block of a node', () => {
  function emptied(k: Kernel): void {
    for (const block of blocksOf(k, 1)) expect(offline(k, block)).toBe(0);
  }

  it('S-PM-17, PM-72: N_MEMORY loses the node; tiers and zonelists, too', () => {
    const k = machine();
    emptied(k);
    expect(k.pm.nodesWithMemory).toBe(1);
    expect(k.tiers.tierOf(1)).toBe(-1);
    expect([...k.pm.nodes[0].fallbackOrder]).toEqual([0]);
    expect([...k.pm.nodes[1].fallbackOrder]).toEqual([0]);
    expect(k.pm.nodes[1].zones[0].isPopulated).toBe(false);
    expect(k.pm.populatedZones().map((zone) => zone.nid)).toEqual([0]);
    const frame = allocPages(k.pm, 0, GFP_HIGHUSER_MOVABLE, 1, -1);
    expect(k.pm.nidOf(frame)).toBe(0);
    expect(allocPages(k.pm, 0, GFP_HIGHUSER_MOVABLE | __GFP_THISNODE, 1, -1)).toBe(-1);
    checkInvariants(k);
  });

  it('OV-62: tasks lose it from their nodes, policies are rebound, and get it back', () => {
    const k = machine();
    const p = new TestProgram(k);
    p.task.setPolicy(new Mempolicy(MPOL_BIND, 0, 2, 3));
    emptied(k);
    expect(p.task.memsAllowed).toBe(1);
    expect(p.task.policy?.nodes).toBe(1);
    expect(writeBlockState(k, blocksOf(k, 1)[0], 'online_movable')).toBe(0);
    expect(p.task.memsAllowed).toBe(3);
    expect(p.task.policy?.nodes).toBe(1);
  });

  it('PM-72: kswapd and kcompactd of a kernel zone keep its first block online', () => {
    const k = machine();
    emptied(k);
    const [first, second] = blocksOf(k, 1);
    expect(writeBlockState(k, first, 'online_kernel')).toBe(0);
    expect(writeBlockState(k, second, 'online_kernel')).toBe(0);
    expect(k.pm.nodes[1].zones.map((zone) => zone.name)).toEqual(['Normal', 'Movable']);
    expect(offline(k, first)).toBe(-EBUSY);
    expect(offline(k, second)).toBe(0);
    const kinds = blockOfflineObstacles(k, first).flatMap((o) =>
      o.owners.map((owner) => owner.kind),
    );
    expect(new Set(kinds)).toEqual(new Set(['slab', 'kernel']));
    checkInvariants(k);
  });
});

describe('onlining a block', () => {
  it('PM-74: gives back what was there, all free, in blocks of order 10', () => {
    const k = machine();
    const block = blocksOf(k, 1)[2];
    const [zone] = k.pm.nodes[1].zones;
    offline(k, block);
    expect(writeBlockState(k, block, 'online_movable')).toBe(0);
    expect([zone.presentPages, zone.managedPages]).toEqual([4096, 4096]);
    expect(freeCount(k.pm, zone)).toBe(4096);
    expect(zone.nrFreeBlocks(10, 1)).toBe(4);
    expect(zone.nrIsolatePageblock).toBe(0);
    checkInvariants(k);
  });

  it('PM-115: unknown words and transitions to the present state are -EINVAL', () => {
    const k = machine();
    const [block] = blocksOf(k, 1);
    for (const word of ['online', 'online_kernel', 'up', '']) {
      expect(writeBlockState(k, block, word)).toBe(-EINVAL);
    }
    offline(k, block);
    expect(writeBlockState(k, block, 'offline')).toBe(-EINVAL);
  });

  it('PM-74: "online" takes the zone whose span the block lies in, else a kernel zone', () => {
    const k = machine();
    const [first, second, third] = blocksOf(k, 1);
    offline(k, second);
    expect(validZones(k, second)).toBe('Movable Normal');
    expect(writeBlockState(k, second, 'online')).toBe(0);
    expect(validZones(k, second)).toBe('Movable');
    offline(k, first);
    expect(validZones(k, first)).toBe('Normal Movable');
    expect(writeBlockState(k, first, 'online')).toBe(0);
    expect(validZones(k, first)).toBe('Normal');
    expect(validZones(k, third)).toBe('Movable');
    checkInvariants(k);
  });

  it('PM-52, PM-116: auto-movable keeps the ratio, of the machine and of the node', () => {
    const k = machine();
    const [first, second] = blocksOf(k, 1);
    offline(k, first);
    k.hotplug.onlinePolicy = 'auto-movable';
    // Node 1 has no kernel memory of its own.
    expect(validZones(k, first)).toBe('Normal Movable');
    k.hotplug.autoMovableNumaAware = false;
    expect(validZones(k, first)).toBe('Movable Normal');
    k.hotplug.autoMovableRatio = 45; // 3.6 of 8 blocks
    expect(validZones(k, first)).toBe('Normal Movable');
    offline(k, second);
    expect(validZones(k, first)).toBe('Movable Normal');
  });

  it('PM-71: pages do not return by themselves', () => {
    const k = machine();
    const { p, start, block } = writtenOn1(k, 8);
    offline(k, block);
    writeBlockState(k, block, 'online_movable');
    expect(p.nid(start)).toBe(0);
  });
});

describe('blocks of an observed machine', () => {
  const text = readFileSync(
    new URL('../../test/conformance/machines.json', import.meta.url),
    'utf8',
  );
  const machines: ObservedMachines = JSON.parse(text);
  const printed: readonly {
    readonly name: string;
    readonly memory_blocks: readonly {
      readonly first: number;
      readonly last: number;
      readonly node: number;
      readonly valid_zones: string;
    }[];
  }[] = JSON.parse(text).machines;

  it.each(machines.machines.map((one) => one.name))('%s: numbers, nodes, valid_zones', (name) => {
    const spec = observedMachine(machines, name);
    const k = new Kernel(spec, { seed: 1, trackContent: false });
    const { memoryBlocks } = k.pm;
    const expected = printed
      .find((one) => one.name === name)!
      .memory_blocks.flatMap(({ first, last, node, valid_zones }) =>
        Array.from({ length: last - first + 1 }, (_, n) => `${first + n} ${node} ${valid_zones}`),
      );
    const seen = memoryBlocks
      .numbers()
      .map((block) => `${block} ${memoryBlocks.nid[block]} ${validZones(k, block)}`);
    expect(seen).toEqual(expected);
  });
});

describe('movable_ops', () => {
  it('PM-60: a page with the mark passes isolation and is looked for', () => {
    const k = machine();
    const frame = allocPages(k.pm, 10, GFP_HIGHUSER_MOVABLE | __GFP_THISNODE, 0, -1);
    for (let f = frame + 1; f < frame + 1024; f++) freePages(k.pm, f, 0);
    k.frames.setOrder(frame, 0);
    k.frames.flags[frame] |= PG_MOVABLE_OPS;
    const op = begun(k, k.pm.memoryBlocks.blockOf(frame));
    expect(op.step()).toBe(false);
  });
});
