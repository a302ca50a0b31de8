/** Balloon pages in the migration engine: MC-70..MC-74, OV-19 class 3. */
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  CAUSE_DRIVER_REFUSED,
  checkInvariants,
  compactNodeByHand,
  isolateFolio,
  Kernel,
  migratePages,
  PG_MOVABLE_OPS_ISOLATED,
  plainMachine,
  putbackMovablePages,
} from '../mm/index.ts';
import { EAGAIN, EBUSY, EIO, ENOENT } from '../uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_COMPACTION } from '../uapi/migrate.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { Balloon, type BalloonOptions, type HostAnswer } from './balloon.ts';

/** Two nodes of NORMAL memory, and a balloon of `pages` pages of node 0. */
class Guest {
  readonly k: Kernel;
  readonly balloon: Balloon;

  constructor(pages: number, options: BalloonOptions = {}) {
    const zones = [{ zone: ZONE_NORMAL, pages: 32768 }] as const;
    const nodes = [
      { cpus: [0], zones },
      { cpus: [1], zones },
    ];
    const spec = plainMachine(nodes, { startPfn: 32768 });
    this.k = new Kernel(spec, { seed: 1, trackContent: true });
    this.balloon = new Balloon(this.k, options);
    expect(this.balloon.inflate(pages, 0)).toBe(pages);
  }

  isolate(pages: readonly number[]): number[] {
    const list: number[] = [];
    for (const page of pages) isolateFolio(this.k, page, list);
    return list;
  }

  /** Migrates to node 1: what the engine returned; leftovers are put back. */
  migrate(list: number[]): number {
    const to = { nid: 1, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
    const left = migratePages(this.k, list, to, MIGRATE_SYNC, MR_COMPACTION);
    putbackMovablePages(this.k, list);
    return left;
  }

  get managed(): number[] {
    return this.k.pm.zones.map((zone) => zone.managedPages);
  }

  nodes(): number[] {
    return this.balloon.pages.map((page) => this.k.pm.nidOf(page));
  }

  event(name: string): number {
    return this.k.vmstat.snapshot().get(name)!;
  }
}

describe('a balloon (MC-74)', () => {
  it('takes pages out of managed memory and gives them back', () => {
    const guest = new Guest(8);
    const { k, balloon } = guest;
    expect(guest.managed).toEqual([32768 - 8, 32768]);
    expect([guest.event('balloon_inflate'), guest.event('nr_balloon_pages')]).toEqual([8, 8]);
    expect(balloon.deflate(3)).toBe(3);
    expect(guest.managed).toEqual([32768 - 5, 32768]);
    expect([guest.event('balloon_deflate'), guest.event('nr_balloon_pages')]).toEqual([3, 5]);
    balloon.remove();
    expect(guest.managed).toEqual([32768, 32768]);
    expect(k.movableOps.set(-2, balloon)).toBe(0);
    checkInvariants(k);
  });

  it('inflates as far as there is memory, and never swaps for it', () => {
    const guest = new Guest(0);
    const got = guest.balloon.inflate(100000, 0);
    expect(got).toBeGreaterThan(60000);
    expect(got).toBeLessThan(65536);
    expect(guest.balloon.nrPages).toBe(got);
    checkInvariants(guest.k);
  });

  it('S-MC-23 MC-72, MC-74: the host takes the new page', () => {
    const guest = new Guest(4);
    const before = guest.balloon.pages;
    const list = guest.isolate(before);
    expect(list).toEqual(before);
    expect([guest.balloon.isolatedPages, guest.balloon.nrPages]).toEqual([4, 0]);
    expect(guest.k.frames.has(list[0], PG_MOVABLE_OPS_ISOLATED)).toBe(true);
    expect(guest.migrate(list)).toBe(0);
    expect(guest.nodes()).toEqual([1, 1, 1, 1]);
    expect(guest.balloon.isolatedPages).toBe(0);
    expect(guest.event('balloon_migrate')).toBe(4);
    expect(guest.event('pgmigrate_success')).toBe(4);
    expect(guest.managed).toEqual([32768, 32768 - 4]);
    for (const page of before) expect(guest.k.pm.isFree(page)).toBe(true);
    checkInvariants(guest.k);
  });

  it('S-MC-24 MC-74: the host takes no new page, the old one counts as deflated', () => {
    const guest = new Guest(4, { host: () => -ENOENT });
    const [page] = guest.balloon.pages;
    expect(guest.migrate(guest.isolate([page]))).toBe(0);
    expect(guest.nodes()).toEqual([0, 0, 0]);
    expect([guest.event('balloon_migrate'), guest.event('balloon_deflate')]).toEqual([0, 1]);
    expect(guest.managed).toEqual([32768 - 3, 32768]);
    expect(guest.k.pm.isFree(page)).toBe(true);
    checkInvariants(guest.k);
  });

  it.each([
    ['-EAGAIN for ever: tried 3 + 7 times', () => -EAGAIN, 10],
    ['another errno: once in each of the two steps (MC-52, MC-55)', () => -EIO, 2],
  ] as const)('MC-72: the host says %s', (_what, answer, calls) => {
    let asked = 0;
    const host: HostAnswer = () => {
      asked++;
      return answer();
    };
    const guest = new Guest(1, { host });
    const [page] = guest.balloon.pages;
    expect(guest.migrate(guest.isolate([page]))).toBe(1);
    expect(asked).toBe(calls);
    expect(guest.balloon.pages).toEqual([page]);
    expect(guest.balloon.isolatedPages).toBe(0);
    expect(guest.event('pgmigrate_fail')).toBe(1);
    expect(guest.k.failures.lastCauseOf(page)).toBe(CAUSE_DRIVER_REFUSED);
    checkInvariants(guest.k);
  });
});

describe('isolation of driver pages (MC-71, MC-73)', () => {
  it('MC-71: once isolated, not a second time; putback restores list and references', () => {
    const guest = new Guest(2);
    const [page] = guest.balloon.pages;
    const list = guest.isolate([page]);
    expect(guest.isolate([page])).toEqual([]);
    expect(guest.k.frames.refcount[page]).toBe(2);
    putbackMovablePages(guest.k, list);
    expect(guest.k.frames.refcount[page]).toBe(1);
    expect(guest.k.frames.has(page, PG_MOVABLE_OPS_ISOLATED)).toBe(false);
    expect(guest.event('nr_isolated_anon') + guest.event('nr_isolated_file')).toBe(0);
  });

  it('MC-71: a page without the mark, or one the driver has let go of, cannot be had', () => {
    const guest = new Guest(1, { movable: false });
    const [page] = guest.balloon.pages;
    expect(guest.isolate([page])).toEqual([]);
    const other = new Guest(1);
    const [taken] = other.balloon.pages;
    other.k.folios.get(taken);
    other.balloon.deflate(1);
    expect(other.isolate([taken])).toEqual([]);
    expect(other.k.frames.refcount[taken]).toBe(1);
  });

  it('MC-70: one driver a type', () => {
    const guest = new Guest(0);
    expect(guest.k.movableOps.set(-2, guest.balloon)).toBe(-EBUSY);
  });
});

describe('blocks of 2 MiB in a balloon', () => {
  it.each([
    ['at-inflation', 512, 1],
    ['before-migration', 1, 1],
  ] as const)('split %s: %i entries, the host is called %i time', (splitBlocks, entries, calls) => {
    const guest = new Guest(0, { splitBlocks });
    expect(guest.balloon.inflateBlocks(1, 0)).toBe(1);
    expect([guest.balloon.pages.length, guest.balloon.nrPages]).toEqual([entries, 512]);
    expect(guest.balloon.hostCalls).toBe(calls);
    const [first] = guest.balloon.pages;
    const pages = Array.from({ length: 512 }, (_, n) => first + n);
    expect(guest.migrate(guest.isolate(pages))).toBe(0);
    expect(new Set(guest.nodes())).toEqual(new Set([1]));
    expect(guest.event('balloon_migrate')).toBe(512);
    expect(guest.balloon.nrPages).toBe(512);
    checkInvariants(guest.k);
  });

  it('before-migration: a block that nobody moved is given back whole', () => {
    const guest = new Guest(0, { splitBlocks: 'before-migration' });
    guest.balloon.inflateBlocks(1, 0);
    const [head] = guest.balloon.pages;
    expect(guest.balloon.deflate(1)).toBe(1);
    expect(guest.k.pm.isFree(head + 511)).toBe(true);
    expect(guest.event('balloon_deflate')).toBe(512);
    checkInvariants(guest.k);
  });

  it('before-migration: one page that moves splits the block, the others stay', () => {
    const guest = new Guest(0, { splitBlocks: 'before-migration' });
    guest.balloon.inflateBlocks(1, 0);
    const [head] = guest.balloon.pages;
    expect(guest.migrate(guest.isolate([head]))).toBe(0);
    expect(guest.nodes().filter((nid) => nid === 1).length).toBe(1);
    expect(guest.balloon.pages.length).toBe(512);
    checkInvariants(guest.k);
  });
});

describe('who moves driver pages', () => {
  it('MC-76, MC-80: compaction moves a balloon together', () => {
    const guest = new Guest(0);
    const { k, balloon } = guest;
    const others: number[] = [];
    for (let n = 0; n < 1024; n++) {
      balloon.inflate(1, 0);
      others.push(allocPages(k.pm, 0, GFP_HIGHUSER_MOVABLE | __GFP_THISNODE, 0, -1));
    }
    for (const page of others) k.putFolio(page);
    compactNodeByHand(k, 0);
    expect(guest.event('balloon_migrate')).toBeGreaterThan(500);
    expect([balloon.nrPages, balloon.isolatedPages]).toEqual([1024, 0]);
    expect(guest.managed).toEqual([32768 - 1024, 32768]);
    // Where every second page was free, whole blocks are.
    const first = Math.min(...others);
    expect(k.pm.buddy.orderOfBlock(k.pm.buddy.blockOf(first))).toBeGreaterThanOrEqual(9);
    checkInvariants(k);
  });
});
