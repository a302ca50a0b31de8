import { describe, expect, it } from 'vitest';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { accessPage } from './fault.ts';
import { exitTask, forkTask } from './fork.ts';
import { checkInvariants } from './invariants.ts';
import { Kernel } from './kernel.ts';
import { migratePages } from './migrate.ts';
import { mmapRegion } from './mmap.ts';
import { ptePayload } from './pageTable.ts';
import { plainMachine } from './plainMachine.ts';

function boot(): Kernel {
  const zones = [{ zone: ZONE_NORMAL, pages: 32768 }] as const;
  const machine = plainMachine([
    { cpus: [0, 1], zones },
    { cpus: [], zones },
  ]);
  return new Kernel(machine, { seed: 1, trackContent: true });
}

describe('the kernel as a whole', () => {
  it('faults pages in on the local node and migrates them to the other (MP-34, MC-36)', () => {
    const k = boot();
    const task = k.spawn(null, 0);
    const start = mmapRegion(k, task.mm!, {
      addr: 0,
      pages: 16,
      prot: PROT_READ | PROT_WRITE,
      flags: MAP_PRIVATE | MAP_ANONYMOUS,
      file: null,
      pgoff: 0,
    });
    for (let i = 0; i < 16; i++) accessPage(k, task, start + i, true);
    checkInvariants(k);
    k.lru.drainAll();
    const list: number[] = [];
    for (let i = 0; i < 16; i++) {
      const frame = ptePayload(k.ptes.words[task.mm!.pteIndex(start + i)]);
      expect(k.pm.nidOf(frame)).toBe(0);
      expect(k.lru.isolate(frame)).toBe(true);
      k.lru.countIsolated(frame, 1);
      list.push(frame);
    }
    const to = { nid: 1, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
    expect(migratePages(k, list, to, MIGRATE_SYNC, MR_SYSCALL)).toBe(0);
    for (let i = 0; i < 16; i++) {
      expect(k.pm.nidOf(ptePayload(k.ptes.words[task.mm!.pteIndex(start + i)]))).toBe(1);
    }
    checkInvariants(k);
    const child = forkTask(k, task);
    if (typeof child === 'number') throw new Error('fork failed');
    checkInvariants(k);
    accessPage(k, child, start, true);
    checkInvariants(k);
    exitTask(k, task);
    checkInvariants(k);
    exitTask(k, child);
    checkInvariants(k);
  });
});
