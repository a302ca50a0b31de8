/** hmm_migrate of 2016 beside migrate_vma, on the same driver. */
import { describe, expect, it } from 'vitest';
import {
  accessPage,
  checkInvariants,
  FAULT_SIGBUS,
  getUserPages,
  HMM_PFN_MIGRATE_ERROR,
  type HmmMigrateOps,
  type HmmMigrateVersion,
  hmmVmaMigrate,
  loadWord,
  PG_LOCKED,
  pageCount,
  putUserPages,
} from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { AcceleratorBench } from './acceleratorBench.ts';
import { copyToDevice, copyToSystem } from './deviceCopy.ts';

/** A driver of 2016: both directions by callbacks. `calls` is what happened, in order. */
function opsOf(b: AcceleratorBench, toDevice: boolean, calls: string[]): HmmMigrateOps {
  return {
    allocAndCopy: (m) => {
      calls.push(`allocAndCopy ${m.cpages}`);
      if (toDevice) copyToDevice(b.k, m, b.device);
      else copyToSystem(b.k, m, b.device);
    },
    finalizeAndMap: (m) => {
      let moved = 0;
      for (let i = 0; i < m.npages; i++) if (m.wants(i)) moved++;
      calls.push(`finalizeAndMap ${moved}, on device ${b.live}`);
    },
  };
}

function migrate(
  b: AcceleratorBench,
  start: number,
  nr: number,
  toDevice: boolean,
  version: HmmMigrateVersion = 'v14',
): string[] {
  const calls: string[] = [];
  const vma = b.task.mm!.findVma(start)!;
  const ops = opsOf(b, toDevice, calls);
  expect(hmmVmaMigrate(b.k, b.task, vma, start, start + nr, b.device, ops, version)).toBe(0);
  return calls;
}

describe('hmm_migrate (D1)', () => {
  it('DM-96: collects, copies, finalizes; there and back', () => {
    const b = new AcceleratorBench();
    const start = b.mapWritten(8);
    expect(migrate(b, start, 8, true)).toEqual(['allocAndCopy 8', 'finalizeAndMap 8, on device 8']);
    checkInvariants(b.k);
    expect(b.live).toBe(8);
    expect(migrate(b, start, 8, false)[0]).toBe('allocAndCopy 8');
    expect([b.live, b.wrongPages(start, 8), b.device.stats.cpuFaults]).toEqual([0, 0, 0]);
    expect(b.end()).toEqual([]);
  });

  it('DM-96: v13 restores entries first; only then is the driver told', () => {
    for (const [version, onDevice] of [
      ['v13', 0],
      ['v14', 8],
    ] as const) {
      const b = new AcceleratorBench();
      const start = b.mapWritten(8);
      migrate(b, start, 8, true);
      const calls = migrate(b, start, 8, false, version);
      // The device pages go with their last reference, when the entries are switched.
      expect(calls[1]).toBe(`finalizeAndMap 8, on device ${onDevice}`);
      expect(b.end()).toEqual([]);
    }
  });

  it('DM-98: holes and large folios are left out, which migrate_vma takes', () => {
    const b = new AcceleratorBench({ rangePages: 512 });
    const hole = b.map(4);
    expect(migrate(b, hole, 4, true)).toEqual([]);
    const huge = b.mapWritten(512, true);
    expect(migrate(b, huge, 512, true)).toEqual([]);
    b.context.migrateToDevice(b.task, hole, 4);
    b.context.migrateToDevice(b.task, huge, 512);
    expect(b.live).toBe(516);
    expect(b.end()).toEqual([]);
  });

  it('DM-96.3: a page that somebody holds is restored, the others move', () => {
    const b = new AcceleratorBench();
    const start = b.mapWritten(4);
    const held: number[] = [];
    getUserPages(b.k, b.task, start + 1, 1, 0, held);
    expect(migrate(b, start, 4, true)[0]).toBe('allocAndCopy 3');
    expect(b.live).toBe(3);
    putUserPages(b.k, held);
    expect(b.wrongPages(start, 4)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('DM-96: a destination in error costs the page: SIGBUS', () => {
    const b = new AcceleratorBench();
    const start = b.mapWritten(2);
    const vma = b.task.mm!.findVma(start)!;
    const ops: HmmMigrateOps = {
      allocAndCopy: (m) => {
        copyToDevice(b.k, m, b.device);
        m.dstBits[1] |= HMM_PFN_MIGRATE_ERROR;
        b.k.frames.clear(m.dst[1], PG_LOCKED);
        b.k.putFolio(m.dst[1]);
      },
      finalizeAndMap: () => {},
    };
    expect(hmmVmaMigrate(b.k, b.task, vma, start, start + 2, b.device, ops)).toBe(0);
    expect(loadWord(b.k, b.task, start)).toBe(1);
    expect(accessPage(b.k, b.task, start + 1, false) & FAULT_SIGBUS).not.toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('DM-95: a range that leaves its area is -EINVAL', () => {
    const b = new AcceleratorBench();
    const start = b.mapWritten(2);
    const vma = b.task.mm!.findVma(start)!;
    const ops = opsOf(b, true, []);
    expect(hmmVmaMigrate(b.k, b.task, vma, start, vma.end + 1, b.device, ops)).toBe(-EINVAL);
    expect(b.end()).toEqual([]);
  });
});

describe('reference counts (D12)', () => {
  it.each([
    ['7.3', 0],
    ['6.12', 1],
  ] as const)('DM-50, DM-97, %s: a free device page counts %i', (kernel, free) => {
    const b = new AcceleratorBench({ kernel });
    const start = b.mapWritten(1);
    const page = b.device.pages.freeBlocks.at(-1)!;
    expect(pageCount(b.k, page)).toBe(free);
    b.context.migrateToDevice(b.task, start, 1);
    expect(pageCount(b.k, page)).toBe(free + 1);
    loadWord(b.k, b.task, start);
    expect(pageCount(b.k, page)).toBe(free);
    expect(b.end()).toEqual([]);
  });
});
