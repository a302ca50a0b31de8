/**
 * Quantities as people write them: "64GiB", "80ns", "38.4GB/s", and back.
 *
 * Sizes count in 1024 (memory is built so) and bandwidths in 1000 (data sheets do so), unless the
 * unit says otherwise (GiB/s). A number without a unit is refused: it is always a guess.
 */
import { GIB, KIB, MIB, TIB } from '../base/units.ts';

interface QuantityKind {
  readonly units: Readonly<Record<string, number>>;
  /** What the text must look like, for JSON Schema too. */
  readonly pattern: string;
  readonly example: string;
}

function kind(units: Record<string, number>, example: string): QuantityKind {
  const names = Object.keys(units).map((name) => name.replace('/', '\\/'));
  return { units, example, pattern: `^(0|\\d+(\\.\\d+)? ?(${names.join('|')}))$` };
}

/** In bytes. */
export const SIZE = kind({ KiB: KIB, MiB: MIB, GiB: GIB, TiB: TIB }, '64GiB');
/** In nanoseconds. */
export const DURATION = kind({ ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9 }, '80ns');
/** In bytes per nanosecond, which is GB/s. */
export const BANDWIDTH = kind(
  { 'MB/s': 1e-3, 'GB/s': 1, 'TB/s': 1e3, 'MiB/s': MIB / 1e9, 'GiB/s': GIB / 1e9 },
  '38.4GB/s',
);

/** The number that `text` means in the kind's base unit; undefined = not such a quantity. */
export function parseQuantity(of: QuantityKind, text: string): number | undefined {
  if (text === '0') return 0;
  const match = /^(\d+(?:\.\d+)?) ?(\D+)$/.exec(text);
  if (match === null) return undefined;
  const factor = of.units[match[2]!];
  return factor === undefined ? undefined : Number(match[1]) * factor;
}

/** At most `digits` after the point, none of them a trailing zero. */
function trim(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

/** 68719476736 -> "64 GiB". */
export function formatSize(bytes: number): string {
  const units: [string, number][] = [
    ['TiB', TIB],
    ['GiB', GIB],
    ['MiB', MIB],
    ['KiB', KIB],
  ];
  for (const [name, unit] of units) if (bytes >= unit) return `${trim(bytes / unit, 2)} ${name}`;
  return `${bytes} B`;
}

/** 2800 -> "2.8 us". */
export function formatDuration(ns: number): string {
  const units: [string, number][] = [
    ['s', 1e9],
    ['ms', 1e6],
    ['us', 1e3],
  ];
  for (const [name, unit] of units) if (ns >= unit) return `${trim(ns / unit, 2)} ${name}`;
  return `${trim(ns, 1)} ns`;
}

/** 17.8 -> "17.8 GB/s". */
export function formatBandwidth(bytesPerNs: number): string {
  return `${trim(bytesPerNs, 1)} GB/s`;
}
