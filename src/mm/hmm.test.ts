/** hmm_range_fault: what a device is told of each kind of page, asked and not (DM-10..DM-14). */
import { describe, expect, it } from 'vitest';
import type { ExperimentalFeature } from '../hw/index.ts';
import { EBUSY, EFAULT, EPERM } from '../uapi/errno.ts';
import { PROT_NONE, PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { TASK_SIZE_PAGES } from './addressSpace.ts';
import { makeDeviceExclusive } from './deviceExclusive.ts';
import { FAULT_DONE } from './fault.ts';
import {
  HMM_PFN_ERROR,
  HMM_PFN_P2PDMA,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HMM_PFN_VALID,
  HMM_PFN_WRITE,
  HmmRange,
  hmmRangeFault,
} from './hmm.ts';
import { newHugetlbFile } from './hugetlb.ts';
import { MEMORY_DEVICE_PRIVATE } from './memremap.ts';
import { munmapRange } from './mmap.ts';
import { MmuInterval, mmuIntervalInsert, mmuIntervalReadBegin } from './mmuNotifier.ts';
import { mprotectRange } from './mprotect.ts';
import {
  MARKER_GUARD,
  MARKER_POISONED,
  MARKER_UFFD_WP,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MARKER,
  PTE_KIND_PROTNONE,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { pteAlloc } from './pteSetup.ts';
import { moveTo, TestDevice } from './testDevice.ts';
import { bootNodes, isolate, migration, TestProgram } from './testProgram.ts';

const READ = HMM_PFN_VALID;
const WRITE = HMM_PFN_VALID | HMM_PFN_WRITE;
const MUST_READ = HMM_PFN_REQ_FAULT;
const MUST_WRITE = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;

function boot(thp: 'never' | 'always' = 'never', experimental: ExperimentalFeature[] = []) {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const options = { sysctl: { sysctl: { thp_enabled: thp } }, swapPages: 64, deviceSections: 2 };
  const nodes = [
    { cpus: [0], zones },
    { cpus: [], zones },
  ];
  const p = new TestProgram(bootNodes(nodes, { ...options, experimental }));
  const { k } = p;
  const mm = p.task.mm!;
  const listener = { invalidate: () => {} };
  const interval = new MmuInterval(mm, 0, TASK_SIZE_PAGES, listener);
  mmuIntervalInsert(interval);
  const ask = (start: number, end: number, request: number, owner: object | null = null) => {
    for (;;) {
      const range = new HmmRange(interval, start, end, owner, request);
      range.seq = mmuIntervalReadBegin(interval);
      const ret = hmmRangeFault(k, p.task, range);
      if (ret !== -EBUSY) return { ret, range, bits: [...range.bits] };
    }
  };
  /** Bits of one page, or the errno. */
  const bits = (vpn: number, request = 0, owner: object | null = null) => {
    const { ret, range } = ask(vpn, vpn + 1, request, owner);
    return ret < 0 ? ret : range.bits[0];
  };
  /** Puts an entry of a kind that no call makes here. */
  const enter = (vpn: number, word: number) => k.ptes.set(pteAlloc(k, mm, vpn, 0), word, 0);
  return { p, k, mm, interval, ask, bits, enter };
}

describe('what is there, without faulting (DM-13)', () => {
  it('S-DM-05: no area, an area that cannot be read: an error', () => {
    const { p, k, mm, bits } = boot();
    const a = p.mapWritten(2);
    expect(bits(a - 50)).toBe(HMM_PFN_ERROR);
    mprotectRange(k, mm, a, a + 1, PROT_NONE);
    expect([bits(a), bits(a + 1)]).toEqual([HMM_PFN_ERROR, WRITE]);
  });

  it('nothing, swap, migration, exclusive and hint entries, markers: 0', () => {
    const { p, k, bits, enter } = boot();
    const a = p.mapWritten(4);
    const empty = p.map(4);
    expect(bits(empty)).toBe(0);
    for (const marker of [MARKER_UFFD_WP, MARKER_POISONED, MARKER_GUARD]) {
      enter(empty + 1, pteOther(PTE_KIND_MARKER, marker));
      expect(bits(empty + 1)).toBe(0);
    }
    k.putFolio(k.frames.headOf(makeDeviceExclusive(k, p.task, a, k)));
    expect(bits(a)).toBe(0);
    const op = migration(k, isolate(p, a + 1, 1), 1);
    op.step();
    expect(bits(a + 1)).toBe(0);
    op.finish();
    enter(a + 2, pteOther(PTE_KIND_PROTNONE, p.frame(a + 2)));
    expect(bits(a + 2)).toBe(0);
  });

  it('present pages with their rights; the zero page can be read', () => {
    const { p, k, mm, bits } = boot();
    const a = p.mapWritten(2);
    mprotectRange(k, mm, a, a + 1, PROT_READ);
    const zero = p.map(1);
    p.load(zero);
    expect([bits(a), bits(a + 1), bits(zero)]).toEqual([READ, WRITE, READ]);
  });

  it('a huge page tells its order for each of its pages, hugetlb too', () => {
    const { p, k, ask } = boot('always');
    const a = Math.ceil(p.map(1024) / 512) * 512;
    p.store(a, 1);
    k.hugetlb.resize(1, -1);
    const file = newHugetlbFile(k, p.task, 512, true)!;
    const b = p.map(512, { file, shared: true, addr: 512 * 4096 });
    p.store(b, 1);
    for (const at of [a, b]) {
      const { range } = ask(at + 3, at + 7, 0);
      expect([...range.bits]).toEqual([WRITE, WRITE, WRITE, WRITE]);
      expect([...range.order]).toEqual([9, 9, 9, 9]);
      expect(range.pages[2]).toBe(p.head(at) + 5);
    }
  });

  it('private pages of the asker as they are, of others not at all', () => {
    const { p, k, bits } = boot();
    const device = new TestDevice(k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(1);
    moveTo(device, p, a, 1, 1);
    expect([bits(a, 0, device), bits(a, 0, k), bits(a)]).toEqual([WRITE, 0, 0]);
  });
});

describe('private pages that peers may reach (DM-92, experimental)', () => {
  class Reachable extends TestDevice {
    isReachableByPeers(): boolean {
      return true;
    }
  }

  it('are told where they are, with P2PDMA; a write needs a writable entry', () => {
    const { p, k, bits, ask } = boot('never', ['device_peer_ranges']);
    const device = new Reachable(k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(2);
    moveTo(device, p, a, 2, 1);
    expect(bits(a, MUST_WRITE)).toBe(WRITE | HMM_PFN_P2PDMA);
    expect(ask(a, a + 1, MUST_READ).range.pages[0]).toBe(ptePayload(p.entry(a).word));
    expect(bits(a, 0, device)).toBe(WRITE);
    p.fork();
    expect(bits(a, MUST_READ)).toBe(READ | HMM_PFN_P2PDMA);
    expect(bits(a, MUST_WRITE)).toBe(-EFAULT); // this driver cannot bring it back
  });

  it('not in Linux, and not where the driver does not say so', () => {
    const linux = boot();
    const a = linux.p.mapWritten(1);
    moveTo(new Reachable(linux.k, MEMORY_DEVICE_PRIVATE), linux.p, a, 1, 1);
    expect(linux.bits(a)).toBe(0);
    const on = boot('never', ['device_peer_ranges']);
    const b = on.p.mapWritten(1);
    moveTo(new TestDevice(on.k, MEMORY_DEVICE_PRIVATE), on.p, b, 1, 1);
    expect(on.bits(b)).toBe(0);
  });
});

describe('what must be there (DM-11, DM-13, DM-14)', () => {
  it('S-DM-05, S-DM-06: no area, unreadable areas and markers are -EFAULT', () => {
    const { p, k, mm, bits, enter } = boot();
    const a = p.mapWritten(4);
    expect(bits(a - 50, MUST_READ)).toBe(-EFAULT);
    mprotectRange(k, mm, a, a + 1, PROT_NONE);
    expect(bits(a, MUST_READ)).toBe(-EFAULT);
    for (const marker of [MARKER_POISONED, MARKER_GUARD]) {
      enter(a + 1, pteOther(PTE_KIND_MARKER, marker));
      expect(bits(a + 1, MUST_READ)).toBe(-EFAULT);
    }
    enter(a + 1, 0);
  });

  it('a missing page is faulted in: the zero page to read, one of its own to write', () => {
    const { p, k, bits } = boot();
    const a = p.map(3);
    expect(bits(a, MUST_READ)).toBe(READ);
    expect(p.frame(a)).toBeLessThan(0);
    expect(bits(a + 1, MUST_WRITE)).toBe(WRITE);
    expect(p.frame(a + 1)).toBeGreaterThanOrEqual(0);
    expect(bits(a, MUST_WRITE)).toBe(WRITE);
    expect(k.frames.content![p.frame(a)]).toBe(0);
  });

  it('S-DM-04: a write to an area that forbids it is -EPERM, a read of it is not', () => {
    const { p, k, mm, bits } = boot();
    const a = p.mapWritten(1);
    mprotectRange(k, mm, a, a + 1, PROT_READ);
    expect([bits(a, MUST_WRITE), bits(a, MUST_READ)]).toEqual([-EPERM, READ]);
  });

  it('exclusive and hint entries are ordinary ones again', () => {
    const { p, k, bits, enter } = boot();
    const a = p.mapWritten(2);
    k.putFolio(k.frames.headOf(makeDeviceExclusive(k, p.task, a, k)));
    expect(bits(a, MUST_READ)).toBe(WRITE); // DM-43
    enter(a + 1, pteOther(PTE_KIND_PROTNONE, p.frame(a + 1)));
    expect(bits(a + 1, MUST_READ) & HMM_PFN_VALID).toBe(HMM_PFN_VALID);
  });

  it('a page on its way is waited for', () => {
    const { p, k, bits } = boot();
    const a = p.mapWritten(1);
    const op = migration(k, isolate(p, a, 1), 1);
    op.step();
    expect(bits(a, MUST_READ)).toBe(WRITE);
    expect([op.isDone, p.nid(a)]).toEqual([true, 1]);
  });

  it('S-DM-02: an own private page never faults, not for a write either', () => {
    const { p, k, bits } = boot();
    const device = new TestDevice(k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(1);
    moveTo(device, p, a, 1, 1);
    p.fork(); // the entry is of the read kind now
    expect(bits(a, MUST_WRITE, device)).toBe(READ);
    expect(ptePayload(p.entry(a).word)).toBeGreaterThanOrEqual(device.pagemap.start);
    expect(p.entry(a).word & 0xe).toBe(PTE_KIND_DEVICE_PRIVATE);
  });

  it('a fault that fails is -EFAULT: here of a driver that cannot bring its page back', () => {
    const { p, k, bits } = boot();
    const a = p.mapWritten(1);
    moveTo(new TestDevice(k, MEMORY_DEVICE_PRIVATE), p, a, 1, 1);
    expect(bits(a, MUST_READ)).toBe(-EFAULT);
  });

  it('shared file pages: a write asks the file system first (OV-21)', () => {
    const { p, k, bits } = boot();
    const file = k.newFile('f', 'ext4', 2);
    const a = p.map(2, { file, shared: true });
    expect([bits(a, MUST_READ), bits(a, MUST_WRITE)]).toEqual([READ, WRITE]);
  });
});

describe('requests page by page, and the protocol', () => {
  it('DM-11: the mask lets the words of single pages count', () => {
    const { p, k, interval } = boot();
    const a = p.map(4);
    const range = new HmmRange(interval, a, a + 4, null, 0, MUST_WRITE);
    range.bits[1] = MUST_READ;
    range.bits[2] = MUST_WRITE;
    range.bits[3] = HMM_PFN_REQ_WRITE; // without FAULT: nothing is asked for
    range.seq = mmuIntervalReadBegin(interval);
    expect(hmmRangeFault(k, p.task, range)).toBe(0);
    expect([...range.bits]).toEqual([0, READ, WRITE, 0]);
    const unmasked = new HmmRange(interval, a + 3, a + 4, null, 0, 0);
    unmasked.bits[0] = MUST_WRITE;
    unmasked.seq = mmuIntervalReadBegin(interval);
    expect(hmmRangeFault(k, p.task, unmasked)).toBe(0);
    expect(unmasked.bits[0]).toBe(0);
  });

  it('DM-12, S-DM-01: a range that was invalidated since is -EBUSY', () => {
    const { p, k, mm, interval } = boot();
    const a = p.mapWritten(4);
    const range = new HmmRange(interval, a, a + 1, null, 0);
    range.seq = mmuIntervalReadBegin(interval);
    munmapRange(k, mm, a + 3, a + 4);
    expect(hmmRangeFault(k, p.task, range)).toBe(-EBUSY);
  });

  it('DM-14: pages before the one that fails are told, those after it still requests', () => {
    const { p, k, mm, ask } = boot();
    const a = p.mapWritten(4);
    munmapRange(k, mm, a + 2, a + 3);
    const { ret, bits } = ask(a, a + 4, MUST_READ);
    expect([ret, bits]).toEqual([-EFAULT, [WRITE, WRITE, 0, 0]]);
    expect(p.access(a + 3, false)).toBe(FAULT_DONE);
  });
});
