import { describe, expect, it } from 'vitest';
import { EINVAL } from '../uapi/errno.ts';
import {
  CHMU_ALWAYS_ON,
  CHMU_EPOCH,
  CHMU_READS,
  CHMU_WRITES,
  epochNs,
  epochRegister,
  type HotPageCapabilities,
  type HotPageConfig,
  HotPageUnit,
} from './hotPageUnit.ts';

const MIB = 2 ** 20;
const CAPABILITIES: HotPageCapabilities = {
  deviceBytes: 1024 * MIB,
  hotlistSize: 4,
  counterWidth: 8,
  downsampleMax: 4,
  epochMinNs: 1e6,
  epochMaxNs: 1e9,
};
const CONFIG: HotPageConfig = {
  mode: CHMU_EPOCH,
  unitBytes: 4096,
  threshold: 10,
  downsample: 0,
  accessKinds: CHMU_READS | CHMU_WRITES,
  epochScale: 2,
  epochMultiplier: 100,
};

function unit(config: Partial<HotPageConfig> = {}): HotPageUnit {
  const device = new HotPageUnit(CAPABILITIES);
  expect(device.enable({ ...CONFIG, ...config })).toBe(0);
  return device;
}

function entries(device: HotPageUnit): number[][] {
  const all: number[][] = [];
  while (device.nrWaiting > 0) {
    const entry = device.take();
    all.push([device.unitOf(entry), device.countOf(entry)]);
  }
  return all;
}

describe('HotPageUnit', () => {
  it('S-HS-17 HS-54, HS-56: tells after an epoch what reached the threshold, starts at 0', () => {
    const device = unit();
    device.count(7, 10, 0);
    device.count(3, 300, 1);
    device.count(9, 9, 0);
    expect(device.nrWaiting).toBe(0);
    device.endEpoch();
    // Saturated at 8 bits.
    expect(entries(device)).toEqual([
      [3, 255],
      [7, 10],
    ]);
    device.count(9, 9, 0);
    device.endEpoch();
    expect(entries(device)).toEqual([]);
  });

  it('tells at once when it is always on (HS-55)', () => {
    const device = unit({ mode: CHMU_ALWAYS_ON });
    device.count(5, 9, 0);
    expect(device.nrWaiting).toBe(0);
    device.count(5, 1, 0);
    expect(entries(device).map(([index]) => index)).toEqual([5]);
    device.count(5, 9, 0);
    device.endEpoch();
    expect(device.nrWaiting).toBe(0);
  });

  it('S-HS-16: drops what a full ring cannot hold, and says so (HS-57)', () => {
    const device = unit();
    for (let index = 0; index < 5; index++) device.count(index, 20, 0);
    device.endEpoch();
    expect(device.nrWaiting).toBe(3);
    expect([device.dropped, device.hasOverflowed]).toEqual([2, true]);
    expect(entries(device).map(([index]) => index)).toEqual([0, 1, 2]);
    device.reset();
    expect(device.hasOverflowed).toBe(false);
    for (let round = 0; round < 5; round++) {
      device.count(round, 20, 0);
      device.endEpoch();
      expect(entries(device)).toEqual([[round, 20]]);
    }
  });

  it('counts one access in 2^k, whatever the unit (HS-54)', () => {
    const device = unit({ downsample: 3, threshold: 1 });
    for (let n = 0; n < 16; n++) device.count(n % 2, 1, 0);
    device.count(5, 81, 0);
    device.endEpoch();
    expect(entries(device)).toEqual([
      [1, 2],
      [5, 10],
    ]);
  });

  it('counts chosen ranges and kinds of accesses only', () => {
    const device = unit({ accessKinds: CHMU_WRITES });
    device.setRange(1, false);
    const unitsOfRange = (256 * MIB) / 4096;
    device.count(0, 20, 0);
    device.count(1, 20, 1);
    device.count(unitsOfRange, 20, 1);
    device.count(2 * unitsOfRange, 20, 1);
    device.endEpoch();
    expect(entries(device).map(([index]) => index)).toEqual([1, 2 * unitsOfRange]);
  });

  it('refuses what it cannot do, and to change while it counts (HS-58)', () => {
    const refused = (config: Partial<HotPageConfig>) =>
      new HotPageUnit(CAPABILITIES).enable({ ...CONFIG, ...config });
    expect(refused({ unitBytes: 128 })).toBe(-EINVAL);
    expect(refused({ unitBytes: 5000 })).toBe(-EINVAL);
    expect(refused({ unitBytes: 512 * MIB })).toBe(-EINVAL);
    expect(refused({ downsample: 5 })).toBe(-EINVAL);
    expect(refused({ accessKinds: 0 })).toBe(-EINVAL);
    expect(refused({ mode: 2 })).toBe(-EINVAL);
    expect(refused({ epochScale: 5, epochMultiplier: 2 })).toBe(-EINVAL);
    expect(refused({ epochScale: 6 })).toBe(-EINVAL);
    const device = unit();
    expect(device.enable(CONFIG)).toBe(-EINVAL);
    device.disable();
    expect(device.enable(CONFIG)).toBe(0);
  });

  it('has epochs of scale times multiplier (HS-53)', () => {
    expect([1, 2, 3, 4, 5].map((scale) => epochNs(scale, 1))).toEqual([1e5, 1e6, 1e7, 1e8, 1e9]);
    expect(epochRegister(100e6)).toEqual({ scale: 1, multiplier: 1000 });
    expect(epochRegister(1e9)).toEqual({ scale: 2, multiplier: 1000 });
    expect(epochNs(5, epochRegister(1e15).multiplier)).toBe(4095e9);
  });
});
