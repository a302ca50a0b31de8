/** Frames that are no ordinary memory, by their physical address: S-PP-13, S-PP-14, S-HS-11. */
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../../src/base/units.ts';
import { Balloon, Dmirror, DmirrorDevice, FsDax, ZsPool } from '../../src/drivers/index.ts';
import {
  accessPage,
  checkInvariants,
  Kernel,
  type MappedFile,
  pageAt,
  plainMachine,
  storeWord,
} from '../../src/mm/index.ts';
import { kpageflagsOf } from '../../src/proc/index.ts';
import { mmap, movePhysPages, RFC_V3, UserAddresses, UserInts } from '../../src/syscalls/index.ts';
import { ENOENT } from '../../src/uapi/errno.ts';
import { MAP_SHARED } from '../../src/uapi/mman.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';
import { PRIVATE, RW, SECTION } from './machine.ts';

const PMEM_PFN = 2 ** 22;
const MOVE_ALL = 4;
const KPF_NOPAGE = 20;

function boot(kernel: Kernel['spec']['kernel'] = '7.3') {
  const zones = [{ zone: ZONE_NORMAL, pages: SECTION }] as const;
  const nodes = [
    { cpus: [0], zones },
    { cpus: [1], zones },
  ];
  const spec = { ...plainMachine(nodes, { startPfn: SECTION }), kernel };
  const k = new Kernel(spec, { seed: 1, trackContent: true, deviceSections: 4 });
  const task = k.spawn(null, 0);
  /** move_phys_pages of one frame to node 1: the return value and the status. */
  const move = (frame: number) => {
    const slots = Int32Array.of(-99);
    const status = new UserInts(slots);
    const pages = new UserAddresses(Float64Array.of(k.frames.pfnOf(frame) * PAGE_SIZE));
    const nodes1 = new UserInts(Int32Array.of(1));
    const ret = movePhysPages(k, task, RFC_V3, 1, pages, nodes1, status, MOVE_ALL);
    return [ret, slots[0]];
  };
  return { k, task, move };
}

describe('move_phys_pages', () => {
  it('S-PP-13 PP-10: a page of a DAX file has no online memory map: -ENOENT', () => {
    const { k, task, move } = boot();
    const dax = new FsDax(k);
    expect(dax.probe(0, PMEM_PFN, SECTION)).toBe(0);
    const file = dax.create('data', 1) as MappedFile;
    const start = mmap(k, task, 0, PAGE_SIZE, RW, MAP_SHARED, file, 0) / PAGE_SIZE;
    storeWord(k, task, start, 7);
    const frame = pageAt(k, task.mm!, start);
    expect(k.pm.isZoneDevice(frame)).toBe(true);
    expect(move(frame)).toEqual([0, -ENOENT]);
    expect(pageAt(k, task.mm!, start)).toBe(frame);
    checkInvariants(k);
  });

  it('S-PP-14: a page of a balloon, and one of zsmalloc: -ENOENT', () => {
    const { k, move } = boot();
    const balloon = new Balloon(k);
    expect(balloon.inflate(1, 0)).toBe(1);
    const pool = new ZsPool(k);
    const object = pool.readBegin(pool.malloc(64, 0));
    for (const frame of [balloon.pages[0], object]) {
      expect(move(frame)).toEqual([0, -ENOENT]);
      expect(k.pm.nidOf(frame)).toBe(0);
    }
  });
});

describe('kpageflags', () => {
  it.each([
    ['7.3', 0],
    ['6.12', 2 ** KPF_NOPAGE],
  ] as const)('S-HS-11 HS-15: device memory is nothing it knows: %s', (kernel, flags) => {
    const { k, task } = boot(kernel);
    const device = new DmirrorDevice(k, { name: 'test', coherentPfn: -1, nid: 0 });
    const mirror = Dmirror.open(k, device, task);
    const start = mmap(k, task, 0, PAGE_SIZE, RW, PRIVATE, null, 0) / PAGE_SIZE;
    accessPage(k, task, start, true);
    expect(mirror.migrateToDevice(task, start, 1).cpages).toBe(1);
    const [chunk] = device.chunks;
    expect(kpageflagsOf(k, chunk.startPfn)).toBe(flags);
    expect(kpageflagsOf(k, chunk.startPfn + chunk.nrPages - 1)).toBe(flags);
  });
});
