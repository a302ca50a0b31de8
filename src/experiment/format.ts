/**
 * Numbers as the terminal and the report print them: one form for each kind of number, always with
 * its unit. Sizes count in 1024, everything else in 1000. No locale is asked.
 */
import { type Bytes, GIB, KIB, MIB, type Nanoseconds, TIB } from '../base/units.ts';

type Unit = readonly [name: string, size: number];

const SIZES: readonly Unit[] = [
  ['TiB', TIB],
  ['GiB', GIB],
  ['MiB', MIB],
  ['KiB', KIB],
  ['B', 1],
];
const TIMES: readonly Unit[] = [
  ['s', 1e9],
  ['ms', 1e6],
  ['µs', 1e3],
  ['ns', 1],
];
const COUNTS: readonly Unit[] = [
  [' G', 1e9],
  [' M', 1e6],
  [' k', 1e3],
  ['', 1],
];

/** 1610612736 -> "1.50 GiB". */
export function formatBytes(bytes: Bytes): string {
  return inUnit(bytes, SIZES, ' ');
}

/** 1234567 -> "1.23 ms". */
export function formatNs(ns: Nanoseconds): string {
  return inUnit(ns, TIMES, ' ');
}

/** 1234567 -> "1.23 M"; up to 9,999 in full. */
export function formatCount(count: number): string {
  if (Number.isInteger(count) && Math.abs(count) < 10_000) return formatWhole(count);
  return inUnit(count, COUNTS, '');
}

/** 1234567 -> "1,234,567". */
export function formatWhole(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** 0.1234 -> "12.3 %"; what is there but would be printed as nothing is "<0.1 %". */
export function formatShare(share: number): string {
  if (share > 0 && share < 0.0005) return '<0.1 %';
  return `${(100 * share).toFixed(1)} %`;
}

/** 1.0712 -> "1.07×". */
export function formatSlowdown(slowdown: number): string {
  return `${slowdown.toFixed(2)}×`;
}

/** 25.4 bytes a nanosecond -> "25.4 GB/s". */
export function formatBandwidth(bytesPerNs: number): string {
  return `${significant(bytesPerNs)} GB/s`;
}

function inUnit(value: number, units: readonly Unit[], gap: string): string {
  if (value === 0) return `0${gap}${units.at(-1)![0]}`.trimEnd();
  // 999.96 would be printed as 1000: it belongs to the next unit.
  const [name, size] = units.find(([, unit]) => Math.abs(value) >= 0.9995 * unit) ?? units.at(-1)!;
  const scaled = value / size;
  const isWholeBase = size === 1 && Number.isInteger(value);
  return `${isWholeBase ? String(value) : significant(scaled)}${gap}${name}`;
}

/** Three digits that count, the point where it falls; never an exponent. */
function significant(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return value.toFixed(0);
  return size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}
