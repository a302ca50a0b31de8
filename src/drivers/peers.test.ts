/** D10: two accelerators and one page: in Linux by way of system memory, or where it is (DM-92). */
import { describe, expect, it } from 'vitest';
import { PAGES_PER_SECTION } from '../base/units.ts';
import { checkInvariants, loadWord, munmapRange, pageAt, storeWord } from '../mm/index.ts';
import { EREMOTEIO } from '../uapi/errno.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { AcceleratorBench, PLAIN_ACCELERATOR } from './acceleratorBench.ts';
import { AcceleratorContext } from './acceleratorContext.ts';
import { hmmDmaMapPfn, type PciPlace } from './dmaRoute.ts';
import { P2pProvider } from './p2pdma.ts';
import { PrivateAccelerator } from './privateAccelerator.ts';

const BRIDGES = new Set([0, 2]);

function bench(isOn: boolean, first?: PciPlace, second?: PciPlace) {
  const experimental = isOn ? (['device_peer_ranges'] as const) : [];
  const place = first === undefined ? {} : { place: first };
  const b = new AcceleratorBench({ experimental, isReachableByPeers: true, ...place });
  const place2 = second === undefined ? {} : { place: second };
  const other = new PrivateAccelerator(b.k, { ...PLAIN_ACCELERATOR, name: 'other', ...place2 });
  if (other.probe(-1) !== 0) throw new Error('no room for another device');
  const peer = AcceleratorContext.open(other, b.task) as AcceleratorContext;
  const start = b.mapWritten(16);
  b.context.migrateToDevice(b.task, start, 16);
  return { b, other, peer, start };
}

describe('a page of one accelerator that another reads', () => {
  it('Linux brings it to RAM, and from there to the reader (DM-13)', () => {
    const { b, other, peer, start } = bench(false);
    expect(peer.load(b.task, start + 3)).toBe(4);
    expect([b.live, b.device.stats.cpuFaults, other.stats.peerAccesses]).toEqual([15, 1, 0]);
    expect(b.k.pm.isZoneDevice(Math.floor(peer.table.get(start + 3)! / 2))).toBe(false);
    expect(other.remove(b.task)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('experimental: it stays, and both read and write it', () => {
    const { b, other, peer, start } = bench(true);
    expect(peer.load(b.task, start + 3)).toBe(4);
    expect(peer.store(b.task, start + 3, 40)).toBe(0);
    expect(b.context.load(b.task, start + 3)).toBe(40);
    expect([b.live, b.device.stats.cpuFaults, other.stats.peerAccesses]).toEqual([16, 0, 2]);
    checkInvariants(b.k);
    expect(other.remove(b.task)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('DM-3: the reader hears when it goes: to a CPU, evicted, unmapped, with its device', () => {
    const { b, other, peer, start } = bench(true);
    for (let n = 0; n < 16; n++) peer.load(b.task, start + n);
    expect(peer.table.size).toBe(16);
    loadWord(b.k, b.task, start);
    expect(peer.table.size).toBe(15);
    b.device.sendHome(b.task, b.device.pages.oldest);
    expect(peer.table.size).toBe(14);
    munmapRange(b.k, b.task.mm!, start + 15, start + 16);
    expect(peer.table.size).toBe(13);
    expect(b.device.remove(b.task)).toBe(0);
    expect(peer.table.size).toBe(0);
    expect(b.wrongPages(start, 15)).toBe(0);
    checkInvariants(b.k);
    expect(other.remove(b.task)).toBe(0);
  });

  it.each([
    ['the same switch', { switchId: 1, hostBridge: 3 }, 16],
    ['an allowed host bridge', { switchId: -1, hostBridge: 2 }, 16],
    ['a bridge that passes nothing on', { switchId: -1, hostBridge: 3 }, 15],
  ])('DM-15: over %s', (_name, second, live) => {
    const first = { switchId: 1, hostBridge: 0, allowedBridges: BRIDGES };
    const { b, other, peer, start } = bench(true, first, second);
    expect(peer.load(b.task, start + 3)).toBe(4);
    expect([b.live, other.stats.peerAccesses]).toEqual([live, live - 15]);
    checkInvariants(b.k);
    expect(other.remove(b.task)).toBe(0);
    expect(b.end()).toEqual([]);
  });
});

describe('P2P memory in the BAR of a third device (DM-15, DM-90)', () => {
  const PLACE = { switchId: 1, hostBridge: 0, allowedBridges: BRIDGES };

  function mapped(client: PciPlace) {
    const b = new AcceleratorBench({ place: client });
    const provider = new P2pProvider(b.k, PLACE);
    if (provider.probe(0, 2 ** 23, PAGES_PER_SECTION) !== 0) throw new Error('no room for a BAR');
    const start = provider.mmap(b.task, 4, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    storeWord(b.k, b.task, start, 7);
    const page = pageAt(b.k, b.task.mm!, start);
    return { b, provider, start, page, route: hmmDmaMapPfn(b.k, client, page) };
  }

  it('is used where it is when the bus lets it', () => {
    const { b, provider, start, page, route } = mapped({ switchId: 1, hostBridge: 9 });
    expect(route).toBe('BUS_ADDR');
    expect(b.context.load(b.task, start)).toBe(7);
    expect(b.context.store(b.task, start + 1, 8)).toBe(0);
    expect(loadWord(b.k, b.task, start + 1)).toBe(8);
    expect([b.live, b.device.stats.peerAccesses]).toEqual([0, 2]);
    expect(hmmDmaMapPfn(b.k, PLACE, page)).toBe('BUS_ADDR');
    expect(provider.remove()).toBe(0);
    expect(b.context.table.size).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('is -EREMOTEIO when it does not', () => {
    const { b, start, route } = mapped({ switchId: -1, hostBridge: 3 });
    expect(route).toBe(-EREMOTEIO);
    expect(b.context.load(b.task, start)).toBe(-EREMOTEIO);
    expect(b.end()).toEqual([]);
  });

  it('goes over host bridges that pass it on; system memory is the host’s', () => {
    const { b, page, route } = mapped({ switchId: -1, hostBridge: 2 });
    expect(route).toBe('THRU_HOST_BRIDGE');
    const own = b.mapWritten(1);
    expect(hmmDmaMapPfn(b.k, PLACE, pageAt(b.k, b.task.mm!, own))).toBe('HOST');
    expect(hmmDmaMapPfn(b.k, undefined, page)).toBe('BUS_ADDR');
  });
});
