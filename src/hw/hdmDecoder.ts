/**
 * HDM decoders of CXL memory: which device of an interleave set an address belongs to, and where in
 * the device it lies (CXL specification, HDM decoder capability; drivers/cxl/core/region.c,
 * cxl_dpa_to_hpa; drivers/cxl/acpi.c, CXIMS). HS-40..HS-50.
 *
 * Addresses are bytes: HPA those of the host, DPA those of one device. Numbers stay exact, as they
 * are below 2^52. Endpoint decoders hold the ways and granularity of the whole set, so levels of
 * switches need nothing of their own (HS-49).
 *
 * Not modelled: regions of 3, 6 or 12 ways at a base that is no multiple of ways * 256 MiB (HS-48),
 * regions in normalised addresses.
 */
import { assert } from '../base/assert.ts';
import { EINVAL, ENXIO, EOPNOTSUPP } from '../uapi/errno.ts';

/** What a translation answers for an address that is nothing's. */
export const ADDRESS_INVALID = -1;

/** Ways by their code (HS-40); 0 = there is no such code. */
const WAYS_OF_CODE = [1, 2, 4, 8, 16, 0, 0, 0, 3, 6, 12];
/** Codes from here on divide by three. */
const CODE_THREE = 8;
const MIB_256 = 256 * 1024 * 1024;
/** XOR maps that a root decoder of so many ways has (HS-47). */
const XOR_MAPS: Readonly<Record<number, number>> = {
  1: 0,
  2: 1,
  3: 0,
  4: 2,
  6: 1,
  8: 3,
  12: 2,
  16: 4,
};
const POWERS: readonly number[] = Array.from({ length: 53 }).reduce<number[]>(
  (powers) => [...powers, powers.length === 0 ? 1 : 2 * powers[powers.length - 1]],
  [],
);

/** Encoded interleave ways, or -1. */
export function encodeWays(ways: number): number {
  return ways === 0 ? -1 : WAYS_OF_CODE.indexOf(ways);
}

/** Encoded interleave granularity of 256 bytes to 16 KiB, or -1. */
export function encodeGranularity(bytes: number): number {
  for (let code = 0; code <= 6; code++) if (256 * POWERS[code] === bytes) return code;
  return -1;
}

/** The device, by position in the set, of an offset in the region. HS-41. */
export function hdmPosition(offset: number, eig: number, eiw: number): number {
  return Math.floor(offset / POWERS[eig + 8]) % WAYS_OF_CODE[eiw];
}

/** The offset in that device. HS-42. */
export function hdmDpaOffset(offset: number, eig: number, eiw: number): number {
  const granularity = POWERS[eig + 8];
  const low = offset % granularity;
  if (eiw < CODE_THREE) return Math.floor(offset / POWERS[eig + 8 + eiw]) * granularity + low;
  return Math.floor(Math.floor(offset / POWERS[eig + eiw]) / 3) * granularity + low;
}

/** The offset in the region of an offset in the device at `position`. HS-43. */
export function hdmHpaOffset(dpa: number, position: number, eig: number, eiw: number): number {
  const granularity = POWERS[eig + 8];
  const low = dpa % granularity;
  const chunk = Math.floor(dpa / granularity);
  const ways = eiw < CODE_THREE ? POWERS[eiw] : 3 * POWERS[eiw - CODE_THREE];
  return (chunk * ways + position) * granularity + low;
}

/**
 * XOR arithmetic of a root decoder (HS-47): the lowest bit of each map becomes the parity of the
 * address under the map. An involution when no map's lowest bit is in another map.
 */
export function xorAddress(address: number, maps: readonly number[]): number {
  let result = address;
  for (const map of maps) {
    const bit = lowestBit(map);
    const isSet = Math.floor(result / bit) % 2 === 1;
    if (isSet !== isOddUnder(result, map)) result += isSet ? -bit : bit;
  }
  return result;
}

function lowestBit(map: number): number {
  let bit = 1;
  while (Math.floor(map / bit) % 2 === 0) bit *= 2;
  return bit;
}

/** Parity of address & map, by halves that fit bitwise operators. */
function isOddUnder(address: number, map: number): boolean {
  const half = POWERS[26];
  let bits =
    (Math.floor(address / half) & Math.floor(map / half)) ^ ((address % half) & (map % half));
  let isOdd = false;
  for (; bits !== 0; bits &= bits - 1) isOdd = !isOdd;
  return isOdd;
}

/** A region: an interleave set of endpoint decoders below one root decoder. */
export interface CxlRegion {
  readonly hpaBase: number;
  readonly hpaSize: number;
  readonly eig: number;
  readonly eiw: number;
  /** Extended linear cache at the start of the region; 0 = none. */
  readonly cacheBytes: number;
  /** XOR maps of the root decoder; [] = modulo arithmetic. */
  readonly xorMaps: readonly number[];
  /** DPA at which each device's part begins, skipped bytes included; the index is the position. */
  readonly dpaBase: readonly number[];
}

/** 0, -EINVAL (codes, XOR maps, devices that do not fit the ways), -EOPNOTSUPP (HS-48). */
export function checkRegion(region: CxlRegion): number {
  const { hpaBase, eig, eiw, xorMaps, dpaBase } = region;
  const ways = WAYS_OF_CODE[eiw] ?? 0;
  if (ways === 0 || eig < 0 || eig > 6 || dpaBase.length !== ways) return -EINVAL;
  if (xorMaps.length > 0 && xorMaps.length !== XOR_MAPS[ways]) return -EINVAL;
  if (xorMaps.some((map) => map <= 0)) return -EINVAL;
  return eiw >= CODE_THREE && hpaBase % (ways * MIB_256) !== 0 ? -EOPNOTSUPP : 0;
}

/**
 * The host's address of a device's (HS-45), or ADDRESS_INVALID: below the decoder, outside the
 * region, or, with modulo arithmetic, in another device's chunk.
 */
export function dpaToHpa(region: CxlRegion, position: number, dpa: number): number {
  const { hpaBase, hpaSize, eig, eiw, cacheBytes, xorMaps, dpaBase } = region;
  assert(position >= 0 && position < dpaBase.length, `no device at position ${position}`);
  if (dpa < dpaBase[position]) return ADDRESS_INVALID;
  const offset = hdmHpaOffset(dpa - dpaBase[position], position, eig, eiw) + cacheBytes;
  const hpa = xorAddress(hpaBase + offset, xorMaps);
  if (hpa < hpaBase || hpa >= hpaBase + hpaSize) return ADDRESS_INVALID;
  if (xorMaps.length > 0) return hpa;
  return hdmPosition(offset, eig, eiw) === position ? hpa : ADDRESS_INVALID;
}

export interface DeviceAddress {
  readonly position: number;
  readonly dpa: number;
}

/** The device and its address of a host's (HS-46), or -ENXIO. */
export function hpaToDpa(region: CxlRegion, hpa: number): DeviceAddress | number {
  const { hpaBase, hpaSize, eig, eiw, cacheBytes, xorMaps, dpaBase } = region;
  if (hpa < hpaBase || hpa >= hpaBase + hpaSize) return -ENXIO;
  const offset = xorAddress(hpa, xorMaps) - hpaBase - cacheBytes;
  if (offset < 0) return -ENXIO;
  const position = hdmPosition(offset, eig, eiw);
  if (position >= dpaBase.length) return -ENXIO;
  return { position, dpa: dpaBase[position] + hdmDpaOffset(offset, eig, eiw) };
}

/**
 * XOR maps for a set of `ways`, each pairing a bit above the granularity with one 6 and one 14 bits
 * higher, as in the map 0x404100 of the specification's example (HS-47).
 */
export function exampleXorMaps(ways: number, eig: number): number[] {
  const maps: number[] = [];
  for (let n = 0; n < XOR_MAPS[ways]; n++) {
    maps.push(POWERS[8 + eig + n] + POWERS[14 + eig + n] + POWERS[22 + eig + n]);
  }
  return maps;
}
