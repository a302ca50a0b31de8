/** D10: two accelerators and one page: in Linux by way of system memory, or where it is (DM-92). */
import { describe, expect, it } from 'vitest';
import { checkInvariants, loadWord, munmapRange } from '../mm/index.ts';
import { AcceleratorBench, PLAIN_ACCELERATOR } from './acceleratorBench.ts';
import { AcceleratorContext } from './acceleratorContext.ts';
import { PrivateAccelerator } from './privateAccelerator.ts';

function bench(isOn: boolean) {
  const experimental = isOn ? (['device_peer_ranges'] as const) : [];
  const b = new AcceleratorBench({ experimental, isReachableByPeers: true });
  const other = new PrivateAccelerator(b.k, { ...PLAIN_ACCELERATOR, name: 'other' });
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
});
