import { describe, expect, it } from 'vitest';
import { EAGAIN } from '../uapi/errno.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { syncFile, writeFilePages } from './fileWrite.ts';
import { checkInvariants } from './invariants.ts';
import { Kernel } from './kernel.ts';
import { mmapRegion } from './mmap.ts';
import { pageAt } from './pageWalk.ts';
import { plainMachine } from './plainMachine.ts';
import { memoryReclaim, nodeReclaim } from './proactiveReclaim.ts';
import type { Task } from './task.ts';
import { loadWord, storeWord } from './userCopy.ts';

const PAGES = 1024;

interface Setup {
  readonly k: Kernel;
  readonly task: Task;
  readonly start: number;
}

/** DRAM and a slower node; a task with 1024 pages on node 0. */
function setup(options: { readonly swap: boolean; readonly demotion: boolean }): Setup {
  const zone = { zone: ZONE_NORMAL, pages: 32768 } as const;
  const plain = plainMachine([
    { cpus: [0], zones: [zone] },
    { cpus: [], zones: [zone] },
  ]);
  const [fast, slow] = plain.nodes;
  const nodes = [
    fast,
    { ...slow, perf: { ...slow.perf, readLatencyNs: 400, writeLatencyNs: 400 } },
  ];
  const swap = { pages: options.swap ? 4096 : 0, readNs: 0, writeNs: 0 };
  const k = new Kernel({ ...plain, nodes, swap }, { seed: 1, trackContent: true });
  k.sysctl.demotion_enabled = options.demotion;
  const task = k.spawn(null, 0);
  const prot = PROT_READ | PROT_WRITE;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const request = { addr: 0, pages: PAGES, prot, flags, file: null, pgoff: 0 };
  const start = mmapRegion(k, task.mm!, request);
  for (let page = 0; page < PAGES; page++) storeWord(k, task, start + page, page + 1);
  return { k, task, start };
}

/** Pages on node 0, on node 1, and not present. */
function where({ k, task, start }: Setup): [number, number, number] {
  const counts: [number, number, number] = [0, 0, 0];
  for (let page = 0; page < PAGES; page++) {
    const frame = pageAt(k, task.mm!, start + page);
    counts[frame < 0 ? 2 : k.pm.nidOf(frame)]++;
  }
  return counts;
}

const ALL = (): boolean => true;

describe('memory.reclaim (TI-18a, TI-110)', () => {
  it('swaps about what was asked for, the oldest pages first', () => {
    const s = setup({ swap: true, demotion: false });
    expect(memoryReclaim(s.k, 0, 256, ALL, -1, 60)).toBe(0);
    const [stay, , gone] = where(s);
    expect(gone).toBeGreaterThanOrEqual(256);
    expect(gone).toBeLessThan(256 + 64);
    expect(stay + gone).toBe(PAGES);
    expect(pageAt(s.k, s.task.mm!, s.start)).toBeLessThan(0);
    for (let page = 0; page < PAGES; page++) {
      expect(loadWord(s.k, s.task, s.start + page)).toBe(page + 1);
    }
    checkInvariants(s.k);
  });

  it('demotes, and every hop counts: pages go on to swap within one call', () => {
    const s = setup({ swap: true, demotion: true });
    expect(memoryReclaim(s.k, 0, 512, ALL, -1, 60)).toBe(0);
    const demoted = s.k.vmstat.snapshot().get('pgdemote_proactive')!;
    const swapped = s.k.vmstat.snapshot().get('pswpout')!;
    expect(demoted + swapped).toBeGreaterThanOrEqual(512);
    expect(swapped).toBeGreaterThan(0);
    expect(where(s)[0]).toBe(PAGES - demoted);
    checkInvariants(s.k);
  });

  it('TI-10: a cpuset without the lower nodes: no demotion', () => {
    const s = setup({ swap: true, demotion: true });
    expect(memoryReclaim(s.k, 0, 128, ALL, 0b01, 60)).toBe(0);
    expect(s.k.vmstat.snapshot().get('pgdemote_proactive')).toBe(0);
    expect(where(s)[2]).toBeGreaterThanOrEqual(128);
  });

  it('S-TI-03 TI-110: -EAGAIN where nothing can go anywhere; only what is charged counts', () => {
    const stuck = setup({ swap: false, demotion: false });
    expect(memoryReclaim(stuck.k, 0, 128, ALL, -1, 60)).toBe(-EAGAIN);
    const other = setup({ swap: true, demotion: false });
    expect(memoryReclaim(other.k, 0, 128, () => false, -1, 60)).toBe(-EAGAIN);
    expect(where(other)).toEqual([PAGES, 0, 0]);
  });
});

describe('nodeN/reclaim (TI-111, TI-111a)', () => {
  it('does nothing unless the node has enough unmapped page cache', () => {
    const s = setup({ swap: true, demotion: false });
    expect(nodeReclaim(s.k, 0, 128, 60)).toBe(-EAGAIN);
    expect(where(s)).toEqual([PAGES, 0, 0]);
    const file = s.k.newFile('/ext4/f', 'ext4', 0);
    writeFilePages(s.k, s.task, file, 0, new Uint32Array(512));
    syncFile(s.k, file);
    s.k.lru.drainAll();
    expect(nodeReclaim(s.k, 0, 64, 60)).toBe(0);
  });
});
