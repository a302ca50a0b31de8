import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { EINVAL, ENXIO, EOPNOTSUPP } from '../uapi/errno.ts';
import {
  ADDRESS_INVALID,
  type CxlRegion,
  checkRegion,
  dpaToHpa,
  encodeGranularity,
  encodeWays,
  exampleXorMaps,
  hdmDpaOffset,
  hdmHpaOffset,
  hdmPosition,
  hpaToDpa,
  xorAddress,
} from './hdmDecoder.ts';

const WAYS = [1, 2, 3, 4, 6, 8, 12, 16];
const GRANULARITIES = [256, 512, 1024, 2048, 4096, 8192, 16384];
const GIB = 2 ** 30;

function region(ways: number, granularity: number, isXor = false): CxlRegion {
  const eig = encodeGranularity(granularity);
  return {
    hpaBase: 3 * 2 ** 38,
    hpaSize: ways * GIB,
    eig,
    eiw: encodeWays(ways),
    cacheBytes: 0,
    xorMaps: isXor ? exampleXorMaps(ways, eig) : [],
    dpaBase: Array.from({ length: ways }, (_, position) => position * 4096),
  };
}

describe('HDM decoders', () => {
  it('have codes for these ways and granularities only (HS-40)', () => {
    expect(WAYS.map(encodeWays)).toEqual([0, 1, 8, 2, 9, 3, 10, 4]);
    expect(GRANULARITIES.map(encodeGranularity)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect([0, 5, 7, 32].map(encodeWays)).toEqual([-1, -1, -1, -1]);
    expect([128, 300, 32768].map(encodeGranularity)).toEqual([-1, -1, -1]);
  });

  it.each([
    [2, 256, 0x345, 1, 0x145],
    [4, 4096, 0x12345678, 1, 0x48d1678],
    [3, 256, 0x12345678, 0, 0x6117278],
    [6, 1024, 0x12345678, 1, 0x308ba78],
    [12, 4096, 0x3ffffffff, 3, 0x55555fff],
  ])(
    'S-HS-12, S-HS-13 HS-41, HS-42, HS-44: %d ways of %d',
    (ways, granularity, h, position, dpa) => {
      const [eig, eiw] = [encodeGranularity(granularity), encodeWays(ways)];
      expect(hdmPosition(h, eig, eiw)).toBe(position);
      expect(hdmDpaOffset(h, eig, eiw)).toBe(dpa);
      expect(hdmHpaOffset(dpa, position, eig, eiw)).toBe(h);
    },
  );

  it('lead back for every code (HS-43)', () => {
    const random = new RandomStream(1, 'hdm');
    for (const ways of WAYS) {
      for (const granularity of GRANULARITIES) {
        const [eig, eiw] = [encodeGranularity(granularity), encodeWays(ways)];
        for (let n = 0; n < 200; n++) {
          const h = random.below(2 ** 30) * 4096 + random.below(4096);
          const position = hdmPosition(h, eig, eiw);
          expect(position).toBeLessThan(ways);
          expect(hdmHpaOffset(hdmDpaOffset(h, eig, eiw), position, eig, eiw)).toBe(h);
        }
      }
    }
  });

  it('S-HS-14: XOR by the parity under each map, an involution (HS-47)', () => {
    expect(xorAddress(0x4000, [0x404100])).toBe(0x4100);
    expect(xorAddress(0x4100, [0x404100])).toBe(0x4000);
    const random = new RandomStream(2, 'xor');
    for (const ways of WAYS) {
      const maps = exampleXorMaps(ways, 2);
      for (let n = 0; n < 200; n++) {
        const address = random.below(2 ** 30) * 2 ** 20 + random.below(2 ** 20);
        expect(xorAddress(xorAddress(address, maps), maps)).toBe(address);
      }
    }
  });

  it('are refused where the kernel refuses them (HS-40, HS-47, HS-48)', () => {
    for (const ways of WAYS) expect(checkRegion(region(ways, 256, true))).toBe(0);
    expect(checkRegion({ ...region(2, 256), eiw: 5 })).toBe(-EINVAL);
    expect(checkRegion({ ...region(2, 256), dpaBase: [0] })).toBe(-EINVAL);
    expect(checkRegion({ ...region(4, 256), xorMaps: [0x404100] })).toBe(-EINVAL);
    expect(checkRegion({ ...region(3, 256), hpaBase: 256 * 2 ** 20 })).toBe(-EOPNOTSUPP);
    expect(checkRegion({ ...region(2, 256), hpaBase: 256 * 2 ** 20 })).toBe(0);
  });
});

describe('regions', () => {
  it.each(WAYS)('translate there and back, modulo and XOR: %d ways (HS-45, HS-46)', (ways) => {
    const random = new RandomStream(3, `region ${ways}`);
    for (const isXor of [false, true]) {
      const set = region(ways, 1024, isXor);
      const seen = new Set<number>();
      for (let n = 0; n < 300; n++) {
        const hpa = set.hpaBase + random.below(GIB) + random.below(ways) * GIB;
        const place = hpaToDpa(set, hpa);
        if (typeof place === 'number') throw new Error(`${place}`);
        seen.add(place.position);
        expect(dpaToHpa(set, place.position, place.dpa)).toBe(hpa);
      }
      expect(seen.size).toBe(ways);
    }
  });

  it('give what is outside no address', () => {
    const set = region(2, 256);
    expect(hpaToDpa(set, set.hpaBase - 1)).toBe(-ENXIO);
    expect(hpaToDpa(set, set.hpaBase + set.hpaSize)).toBe(-ENXIO);
    expect(dpaToHpa(set, 1, 4095)).toBe(ADDRESS_INVALID);
    expect(dpaToHpa(set, 0, GIB)).toBe(ADDRESS_INVALID);
  });

  it('S-HS-15 HS-46: a position without a target is -ENXIO', () => {
    const set = { ...region(4, 256), dpaBase: [0, 0, 0] };
    const places = [0, 256, 512, 768].map((offset) => hpaToDpa(set, set.hpaBase + offset));
    expect(places.slice(0, 3)).toMatchObject([0, 1, 2].map((position) => ({ position })));
    expect(places[3]).toBe(-ENXIO);
  });

  it('have an extended linear cache in front of the device (HS-45)', () => {
    const set = { ...region(1, 256), cacheBytes: GIB / 2 };
    expect(dpaToHpa(set, 0, 0)).toBe(set.hpaBase + GIB / 2);
    expect(hpaToDpa(set, set.hpaBase)).toBe(-ENXIO);
    expect(hpaToDpa(set, set.hpaBase + GIB / 2)).toEqual({ position: 0, dpa: 0 });
  });

  it('spread a page over devices when the granularity is smaller (HS-50)', () => {
    const set = region(4, 256);
    const positions = Array.from({ length: 16 }, (_, chunk) => {
      const place = hpaToDpa(set, set.hpaBase + 4096 + chunk * 256);
      return typeof place === 'number' ? place : place.position;
    });
    expect(positions.slice(0, 4)).toEqual([0, 1, 2, 3]);
    expect(new Set(positions).size).toBe(4);
  });
});
