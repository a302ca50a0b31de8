/** What mirrors of an address space hear, and when: DM-1..DM-4, DM-12. */
import { describe, expect, it } from 'vitest';
import { EINVAL, EOVERFLOW } from '../uapi/errno.ts';
import { MADV_DONTNEED, MADV_FREE, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { TASK_SIZE_PAGES } from './addressSpace.ts';
import { madviseCollapse } from './collapse.ts';
import { makeDeviceExclusive } from './deviceExclusive.ts';
import { writeFilePages } from './fileWrite.ts';
import { exitTask } from './fork.ts';
import { newHugetlbFile } from './hugetlb.ts';
import { madviseRange } from './madvise.ts';
import { munmapRange } from './mmap.ts';
import {
  MMU_NOTIFY_CLEAR,
  MMU_NOTIFY_EXCLUSIVE,
  MMU_NOTIFY_PROTECTION_PAGE,
  MMU_NOTIFY_PROTECTION_VMA,
  MMU_NOTIFY_RELEASE,
  MMU_NOTIFY_UNMAP,
  MmuInterval,
  type MmuListener,
  type MmuRange,
  mmuIntervalInsert,
  mmuIntervalReadBegin,
  mmuIntervalReadRetry,
  mmuIntervalRemove,
} from './mmuNotifier.ts';
import { mprotectRange } from './mprotect.ts';
import { mremapRange } from './mremap.ts';
import { bootNodes, migrate, TestProgram } from './testProgram.ts';
import { truncateFile } from './truncate.ts';

const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED;

class Log implements MmuListener {
  readonly events: MmuRange[] = [];

  invalidate(range: MmuRange): void {
    this.events.push(range);
  }
}

function boot() {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const p = new TestProgram(
    bootNodes([
      { cpus: [0], zones },
      { cpus: [], zones },
    ]),
  );
  const log = new Log();
  const interval = new MmuInterval(p.task.mm!, 0, TASK_SIZE_PAGES, log);
  /** Event numbers that an operation causes, and the range of the first. */
  const heard = (operation: () => void) => {
    log.events.length = 0;
    operation();
    const [first] = log.events;
    const range = first === undefined ? [] : [first.start, first.end];
    return { events: log.events.map(({ event }) => event), range };
  };
  expect(mmuIntervalInsert(interval)).toBe(0);
  return { p, k: p.k, mm: p.task.mm!, interval, heard };
}

describe('subscriptions (DM-2)', () => {
  it('of nothing, or over the end of the address space, are -EOVERFLOW', () => {
    const { mm } = boot();
    for (const [start, end] of [
      [5, 5],
      [5, 4],
      [5, TASK_SIZE_PAGES + 1],
    ]) {
      expect(mmuIntervalInsert(new MmuInterval(mm, start, end, new Log()))).toBe(-EOVERFLOW);
    }
  });

  it('of a process that is ending is -EINVAL', () => {
    const { p, k, mm, interval } = boot();
    mmuIntervalRemove(interval);
    exitTask(k, p.task);
    expect(mmuIntervalInsert(new MmuInterval(mm, 0, 1, new Log()))).toBe(-EINVAL);
  });

  it('hear of their own range only, and nothing once they are removed', () => {
    const { p, mm } = boot();
    const a = p.mapWritten(4);
    const log = new Log();
    const interval = new MmuInterval(mm, a + 1, a + 2, log);
    mmuIntervalInsert(interval);
    munmapRange(p.k, mm, a, a + 1);
    munmapRange(p.k, mm, a + 2, a + 4);
    expect(log.events).toEqual([]);
    const seq = mmuIntervalReadBegin(interval);
    munmapRange(p.k, mm, a + 1, a + 2);
    expect(log.events.length).toBe(1);
    expect(mmuIntervalReadRetry(interval, seq)).toBe(true); // DM-3
    expect(mmuIntervalReadRetry(interval, mmuIntervalReadBegin(interval))).toBe(false);
    mmuIntervalRemove(interval);
    p.map(1, { addr: a + 1 });
    expect(log.events.length).toBe(1);
  });
});

describe('events (DM-1)', () => {
  it('UNMAP where the area goes or moves', () => {
    const { p, mm, k, heard } = boot();
    const a = p.mapWritten(8);
    const unmapped = heard(() => munmapRange(k, mm, a, a + 2));
    expect(unmapped).toEqual({ events: [MMU_NOTIFY_UNMAP], range: [a, a + 2] });
    const moved = heard(() => mremapRange(k, p.task, a + 2, 6, 6, MOVE, a - 90));
    expect(moved.events).toContain(MMU_NOTIFY_UNMAP);
    expect(moved.range).toEqual([a + 2, a + 8]);
  });

  it('CLEAR where pages go and the area stays', () => {
    const { p, k, heard } = boot();
    const a = p.mapWritten(4);
    const file = k.newFile('f', 'ext4', 4);
    const b = p.map(4, { file, shared: true });
    p.load(b + 3);
    const clear = (range: number[]) => ({ events: [MMU_NOTIFY_CLEAR], range });
    const dropped = heard(() => madviseRange(k, p.task, a, a + 1, MADV_DONTNEED));
    expect(dropped).toEqual(clear([a, a + 1]));
    const freed = heard(() => madviseRange(k, p.task, a + 1, a + 2, MADV_FREE));
    expect(freed).toEqual(clear([a + 1, a + 2]));
    expect(heard(() => truncateFile(k, file, 2))).toEqual(clear([b + 2, b + 4]));
    expect(heard(() => migrate(p, a + 2, 1, 1))).toEqual(clear([a + 2, a + 3]));
  });

  it('CLEAR for copies on write and for a collapse', () => {
    const { p, k, heard } = boot();
    const a = Math.ceil(p.map(1024) / 512) * 512;
    for (let n = 0; n < 512; n++) p.store(a + n, n);
    const collapsed = heard(() => madviseCollapse(k, p.task, a, a + 512));
    expect(collapsed).toEqual({ events: [MMU_NOTIFY_CLEAR], range: [a, a + 512] });
    const b = p.mapWritten(4);
    p.fork();
    const copied = heard(() => p.store(b + 3, 7));
    expect(copied).toEqual({ events: [MMU_NOTIFY_CLEAR], range: [b + 3, b + 4] });
  });

  it('PROTECTION_VMA for mprotect, PROTECTION_PAGE for fork', () => {
    const { p, mm, k, heard } = boot();
    const a = p.mapWritten(4);
    const narrowed = heard(() => mprotectRange(k, mm, a + 1, a + 3, PROT_READ));
    expect(narrowed).toEqual({ events: [MMU_NOTIFY_PROTECTION_VMA], range: [a + 1, a + 3] });
    expect(new Set(heard(() => p.fork()).events)).toEqual(new Set([MMU_NOTIFY_PROTECTION_PAGE]));
  });

  it('EXCLUSIVE, with its owner; CLEAR when the CPU takes the page back (DM-43, DM-70)', () => {
    const { p, k, heard } = boot();
    const a = p.mapWritten(2);
    const taken = heard(() => {
      const page = makeDeviceExclusive(k, p.task, a, k);
      k.putFolio(k.frames.headOf(page));
    });
    expect(taken).toEqual({ events: [MMU_NOTIFY_EXCLUSIVE], range: [a, a + 1] });
    const back = heard(() => p.store(a, 9));
    expect(back).toEqual({ events: [MMU_NOTIFY_CLEAR], range: [a, a + 1] });
  });

  it('RELEASE before an ending process loses its pages', () => {
    const { p, k, heard } = boot();
    p.mapWritten(2);
    const ended = heard(() => exitTask(k, p.task));
    expect(ended.events[0]).toBe(MMU_NOTIFY_RELEASE);
    expect(ended.range).toEqual([0, TASK_SIZE_PAGES]);
  });

  it('nothing for what changes no entry of the process', () => {
    const { p, k, heard } = boot();
    const a = p.mapWritten(2);
    const file = k.newFile('f', 'ext4', 4);
    expect(heard(() => writeFilePages(k, p.task, file, 0, Uint32Array.of(1))).events).toEqual([]);
    expect(heard(() => p.load(a)).events).toEqual([]);
  });

  it('the same for hugetlb: unmapping, copies, fork', () => {
    const { p, mm, k, heard } = boot();
    k.hugetlb.resize(4, -1);
    const file = newHugetlbFile(k, p.task, 512, false)!;
    const a = p.map(512, { file, addr: 512 * 4096 });
    p.store(a, 1);
    const child = p.fork();
    expect(heard(() => p.store(a, 2))).toEqual({
      events: [MMU_NOTIFY_CLEAR],
      range: [a, a + 512],
    });
    expect(child.load(a)).toBe(1);
    const unmapped = heard(() => munmapRange(k, mm, a, a + 512));
    expect(unmapped).toEqual({ events: [MMU_NOTIFY_UNMAP], range: [a, a + 512] });
  });
});
