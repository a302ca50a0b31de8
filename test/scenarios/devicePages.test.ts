/** Pages of devices in calls that go by addresses: S-MP-32, S-PM-10, MP-24, MP-85. */
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../../src/base/units.ts';
import { Dmirror, DmirrorDevice } from '../../src/drivers/index.ts';
import { checkInvariants, Kernel, loadWord, plainMachine } from '../../src/mm/index.ts';
import {
  mbind,
  migratePagesCall,
  movePages,
  UserAddresses,
  UserInts,
} from '../../src/syscalls/index.ts';
import { EBUSY, ENOENT } from '../../src/uapi/errno.ts';
import { MPOL_BIND } from '../../src/uapi/mempolicy.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';
import { kernelTakes, LONG_WRITE, Program, SECTION } from './machine.ts';

const COHERENT_PFN = 2 ** 22;
const MOVE_ALL = 4;

/** A program whose first eight pages lie on a device of two nodes' machine. */
function onDevice(coherentPfn: number): { k: Kernel; p: Program } {
  const zones = [{ zone: ZONE_NORMAL, pages: SECTION }] as const;
  const machine = plainMachine(
    [
      { cpus: [0], zones },
      { cpus: [1], zones },
    ],
    { startPfn: SECTION },
  );
  const k = new Kernel(machine, { seed: 1, trackContent: true, deviceSections: 8 });
  const p = new Program(k);
  const device = new DmirrorDevice(k, { name: 'test', coherentPfn, nid: 0 });
  const mirror = Dmirror.open(k, device, p.task);
  expect(mirror.migrateToDevice(p.task, p.vpn(0), 8).cpages).toBe(8);
  return { k, p };
}

function move(p: Program, page: number, node: number | null): { ret: number; status: number } {
  const addresses = new UserAddresses(Float64Array.of(p.vpn(page) * PAGE_SIZE));
  const slots = new Int32Array(1).fill(-99999);
  const to = node === null ? null : new UserInts(Int32Array.of(node));
  const ret = movePages(p.k, p.task, 0, 1, addresses, to, new UserInts(slots), MOVE_ALL);
  return { ret, status: slots[0] };
}

describe.each([
  ['private', -1],
  ['coherent', COHERENT_PFN],
])('pages of a device, %s', (_kind, pfn) => {
  it('S-MP-32, S-DM-27 MP-22, MP-24: stat and move: -ENOENT; the page stays', () => {
    const { k, p } = onDevice(pfn);
    expect(move(p, 0, null)).toEqual({ ret: 0, status: -ENOENT });
    expect(move(p, 0, 1)).toEqual({ ret: 0, status: -ENOENT });
    expect(move(p, 9, 1)).toEqual({ ret: 0, status: 1 });
    expect(loadWord(k, p.task, p.vpn(0))).toBe(100);
    checkInvariants(k);
  });

  it('MP-85, S-DM-27: migrate_pages and mbind pass over them, and they are no failures', () => {
    const { k, p } = onDevice(pfn);
    const node = (bit: number) => ({ bits: [bit], maxnode: 65 });
    expect(migratePagesCall(k, p.task, 0, node(0), node(1))).toBe(0);
    const flags = 1 | 2;
    expect(mbind(k, p.task, p.area, 8 * PAGE_SIZE, MPOL_BIND, node(1), flags)).toBe(0);
    checkInvariants(k);
  });
});

describe('long-term pins of coherent pages (PM-17, DM-36)', () => {
  it('S-PM-10: no free memory to move it to: -EBUSY, no pin stays', () => {
    const { k, p } = onDevice(COHERENT_PFN);
    kernelTakes(k, 0, 0);
    kernelTakes(k, 1, 0);
    expect(p.pin(0, 1, LONG_WRITE)).toBe(-EBUSY);
    expect(k.pm.isZoneDevice(p.frame(0))).toBe(true);
    expect(p.pincount(0)).toBe(false);
    checkInvariants(k);
  });

  it('PM-17: with memory it comes back first, and is pinned there', () => {
    const { k, p } = onDevice(COHERENT_PFN);
    expect(p.pin(0, 2, LONG_WRITE)).toBe(2);
    expect([k.pm.isZoneDevice(p.frame(0)), k.pm.isZoneDevice(p.frame(2))]).toEqual([false, true]);
    expect(p.pincount(0)).toBe(true);
    checkInvariants(k);
  });
});
