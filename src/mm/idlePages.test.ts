import { describe, expect, it } from 'vitest';
import { MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { accessPage } from './fault.ts';
import { forkTask } from './fork.ts';
import { PG_IDLE, PG_LOCKED, PG_YOUNG } from './frameTable.ts';
import { getUserPages, getUserPagesFast } from './gup.ts';
import { isPageIdle, setPageIdle } from './idlePages.ts';
import { Kernel } from './kernel.ts';
import { madviseRange } from './madvise.ts';
import { mmapRegion } from './mmap.ts';
import { pageAt } from './pageWalk.ts';
import { plainMachine } from './plainMachine.ts';
import type { Task } from './task.ts';

function setup(pages: number): { k: Kernel; task: Task; start: number } {
  const k = new Kernel(plainMachine([{ cpus: [0], zones: [{ zone: 2, pages: 32768 }] }]), {
    seed: 1,
    trackContent: false,
  });
  const task = k.spawn(null, 0);
  const prot = PROT_READ | PROT_WRITE;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const addr = 0x700000000;
  const start = mmapRegion(k, task.mm!, { addr, pages, prot, flags, file: null, pgoff: 0 });
  return { k, task, start };
}

function onePage(): { k: Kernel; task: Task; start: number; page: number } {
  const { k, task, start } = setup(1);
  accessPage(k, task, start, true);
  k.lru.drainAll();
  return { k, task, start, page: pageAt(k, task.mm!, start) };
}

describe('idle page tracking', () => {
  it('S-HS-04: set, no access: stays idle however often it is read', () => {
    const { k, page } = onePage();
    setPageIdle(k, page);
    expect(isPageIdle(k, page)).toBe(true);
    expect(isPageIdle(k, page)).toBe(true);
  });

  it('S-HS-03: an access ends it, and reclaim still sees the reference', () => {
    const { k, task, start, page } = onePage();
    setPageIdle(k, page);
    accessPage(k, task, start, false);
    expect(isPageIdle(k, page)).toBe(false);
    expect(k.frames.flags[page] & (PG_YOUNG | PG_IDLE)).toBe(PG_YOUNG);
  });

  it('HS-5: reading the bit of a page that is not idle leaves its accessed bit', () => {
    const { k, task, start, page } = onePage();
    accessPage(k, task, start, false);
    expect(isPageIdle(k, page)).toBe(false);
    expect(k.frames.flags[page] & PG_YOUNG).toBe(0);
  });

  it('S-HS-06: tails and frames off the LRU ignore it', () => {
    const { k, task, start } = setup(1);
    accessPage(k, task, start, true);
    const batched = pageAt(k, task.mm!, start);
    setPageIdle(k, batched);
    expect(isPageIdle(k, batched)).toBe(false);
    const free = k.frames.nrFrames - 1;
    setPageIdle(k, free);
    expect(isPageIdle(k, free)).toBe(false);
  });

  it('S-HS-07: one page of a huge page accessed: the head is not idle; tails take no part', () => {
    const { k, task, start } = setup(512);
    madviseRange(k, task, start, start + 512, MADV_HUGEPAGE);
    accessPage(k, task, start, true);
    k.lru.drainAll();
    const head = pageAt(k, task.mm!, start);
    expect(k.folios.nrPages(head)).toBe(512);
    setPageIdle(k, head);
    setPageIdle(k, head + 7);
    expect([isPageIdle(k, head), isPageIdle(k, head + 7)]).toEqual([true, false]);
    accessPage(k, task, start + 100, false);
    expect(isPageIdle(k, head)).toBe(false);
  });

  it('S-HS-08: a locked page is not examined', () => {
    const { k, task, start, page } = onePage();
    setPageIdle(k, page);
    accessPage(k, task, start, false);
    k.frames.set(page, PG_LOCKED);
    expect(isPageIdle(k, page)).toBe(true);
    k.frames.clear(page, PG_LOCKED);
    expect(isPageIdle(k, page)).toBe(false);
  });

  it('HS-6: every mapping counts', () => {
    const { k, task, start, page } = onePage();
    const child = forkTask(k, task) as Task;
    setPageIdle(k, page);
    accessPage(k, child, start, false);
    expect(isPageIdle(k, page)).toBe(false);
  });

  it('HS-8: slow GUP ends it, fast GUP does not', () => {
    const { k, task, start, page } = onePage();
    setPageIdle(k, page);
    getUserPagesFast(k, task, start, 1, 0, []);
    expect(isPageIdle(k, page)).toBe(true);
    getUserPages(k, task, start, 1, 0, []);
    expect(isPageIdle(k, page)).toBe(false);
  });
});
