import { describe, expect, it } from 'vitest';
import { allocContigRange, cmaAlloc, type Kernel, openHolder, pinUserPages } from '../mm/index.ts';
import { bootNodes, TestProgram } from '../mm/testProgram.ts';
import { EBUSY } from '../uapi/errno.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { FOLL_WRITE } from '../uapi/gup.ts';
import { MIGRATE_CMA, ZONE_NORMAL } from '../uapi/zone.ts';
import { whyCma, whyRange } from './contigAccount.ts';

const BLOCK = 512;

/** One node; a quarter of it is a CMA area of four pageblocks. */
function machine(): Kernel {
  const cma = [{ at: 8 * BLOCK, pages: 4 * BLOCK }];
  return bootNodes([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 16 * BLOCK, cma }] }]);
}

/** Pages of a program until some lie in the area; those. */
function pagesInArea(p: TestProgram): number[] {
  const start = p.mapWritten(12 * BLOCK);
  p.k.lru.drainAll();
  const vpns = Array.from({ length: 12 * BLOCK }, (_, n) => start + n);
  const { blocks } = p.k.pm;
  return vpns.filter((vpn) => blocks.migratetypeBelowIsolation(p.frame(vpn)) === MIGRATE_CMA);
}

describe('why a range of frames cannot be had', () => {
  it('PM-80, PM-83: who pins a page of it, and that nothing else is in the way', () => {
    const k = machine();
    const p = new TestProgram(k);
    const start = p.mapWritten(64);
    k.lru.drainAll();
    const holder = { kind: 'O_DIRECT', name: 'read', isPin: true };
    const { pages } = openHolder(k, holder, p.task.pid);
    pinUserPages(k, p.task, start + 10, 1, FOLL_WRITE, pages);
    const first = p.frame(start);
    const account = whyRange(k, k.frames.pfnOf(first), 64);
    expect(account.verdict).toBe('fails after everything else has moved: -EBUSY');
    expect(account.toMove).toBe(64);
    expect(account.obstacles).toMatchObject([
      { kind: 'pinned', pages: 1, examples: [k.frames.pfnOf(pages[0])] },
    ]);
    expect(account.obstacles[0].holders).toEqual([`O_DIRECT "read" of process ${p.task.pid}`]);
    expect(allocContigRange(k, first, first + 64, false, GFP_KERNEL)).toBe(-EBUSY);
  });

  it('PM-60: pages in a per-CPU batch refuse at once, outside of CMA areas', () => {
    const k = machine();
    const p = new TestProgram(k);
    const frame = p.frame(p.mapWritten(1));
    const pfn = k.frames.pfnOf(frame);
    const batched = whyRange(k, pfn, 1);
    expect(batched.verdict).toBe('refused at once: -EBUSY');
    expect(batched.obstacles.map(({ kind }) => kind)).toEqual(['batched']);
    k.lru.drainAll();
    expect(whyRange(k, pfn, 1).verdict).toBe(
      'can be had; 1 page moves first, without room -ENOMEM',
    );
    const inArea = whyRange(k, k.cma[0].basePfn, 1);
    expect(inArea.obstacles.map(({ kind }) => kind)).toEqual(['cma']);
  });
});

describe('what must find room elsewhere', () => {
  it('PM-80: a free huge page of the pool is replaced first', () => {
    const k = machine();
    k.hugetlb.resize(1, 0);
    const frames = Array.from({ length: 16 }, (_, n) => n * BLOCK);
    const head = frames.find((frame) => k.hugetlb.isFree(frame))!;
    const account = whyRange(k, k.frames.pfnOf(head) + 3, 1);
    expect(account).toMatchObject({ toMove: 0, toReplace: 1, obstacles: [] });
    expect(account.verdict).toBe(
      'can be had; 1 huge page of the pool replaced first, without room -ENOMEM',
    );
  });
});

describe('why a CMA area gives no pages', () => {
  it('PM-82: the frames that cma_alloc gives, past the stretches that a pin keeps busy', () => {
    const k = machine();
    const p = new TestProgram(k);
    const [vpn] = pagesInArea(p);
    const pages: number[] = [];
    pinUserPages(k, p.task, vpn, 1, FOLL_WRITE, pages);
    const [area] = k.cma;
    const whole = whyCma(k, area, 4 * BLOCK, 0);
    expect(whole).toMatchObject({ gives: null, tries: 1, available: 4 * BLOCK });
    expect(whole.verdict).toBe('fails: -EBUSY in the only free stretch');
    expect(whole.obstacles.map(({ kind, rules }) => [kind, rules])).toEqual([
      ['pinned', 'PM-83, MC-27, MC-80'],
    ]);
    for (const [count, align] of [
      [64, 6],
      [1, 0],
      [BLOCK, 9],
    ]) {
      const { gives } = whyCma(k, area, count, align);
      const frame = cmaAlloc(k, area, count, align);
      expect(gives).toBe(frame < 0 ? null : k.frames.pfnOf(frame));
    }
  });

  it('PM-82: an area that is full, in pieces, or too small', () => {
    const k = machine();
    const [area] = k.cma;
    expect(whyCma(k, area, 4 * BLOCK + 1, 0).verdict).toBe('fails: the area has 2048 pages');
    cmaAlloc(k, area, 1, 0);
    cmaAlloc(k, area, 1, 10);
    const pieces = whyCma(k, area, 1500, 0);
    expect(pieces.verdict).toBe('fails: 2046 pages free, 1023 in one stretch');
    expect(pieces.obstacles).toEqual([]);
  });
});
