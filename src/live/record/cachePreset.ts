/**
 * The caches that the recorder models, as presets and as options of the command line.
 *
 * A trace is what misses these caches. Larger caches give smaller traces; caches that are larger
 * than those of the machine to be modelled hide traffic that it would have.
 */
import { UserError } from '../../base/assert.ts';
import { KIB, MIB } from '../../base/units.ts';
import type { CacheLevel } from '../../trace/index.ts';

/** One level: `sizeBytes` 0 = absent. */
export interface CacheShape {
  readonly sizeBytes: number;
  readonly ways: number;
}

export interface CacheSetup {
  readonly l1: CacheShape;
  readonly l2: CacheShape;
  readonly llc: CacheShape;
  readonly lineBytes: number;
}

export interface CachePreset extends CacheSetup {
  readonly name: string;
  readonly purpose: string;
}

const NONE: CacheShape = { sizeBytes: 0, ways: 0 };

export const CACHE_PRESETS: readonly CachePreset[] = [
  {
    name: 'server-l2',
    purpose: 'L1d 48 KiB and L2 2 MiB per thread (Xeon since Sapphire Rapids), no LLC',
    l1: { sizeBytes: 48 * KIB, ways: 12 },
    l2: { sizeBytes: 2 * MIB, ways: 16 },
    llc: NONE,
    lineBytes: 64,
  },
  {
    name: 'server-llc',
    purpose: 'as server-l2, and an LLC of 32 MiB for all threads',
    l1: { sizeBytes: 48 * KIB, ways: 12 },
    l2: { sizeBytes: 2 * MIB, ways: 16 },
    llc: { sizeBytes: 32 * MIB, ways: 16 },
    lineBytes: 64,
  },
  {
    name: 'desktop',
    purpose: 'L1d 32 KiB, L2 512 KiB per thread, LLC 16 MiB (Zen 3 and alike)',
    l1: { sizeBytes: 32 * KIB, ways: 8 },
    l2: { sizeBytes: 512 * KIB, ways: 8 },
    llc: { sizeBytes: 16 * MIB, ways: 16 },
    lineBytes: 64,
  },
  {
    name: 'small',
    purpose: 'L1d 32 KiB and L2 256 KiB per thread: large traces, or small programs',
    l1: { sizeBytes: 32 * KIB, ways: 8 },
    l2: { sizeBytes: 256 * KIB, ways: 8 },
    llc: NONE,
    lineBytes: 64,
  },
  {
    name: 'none',
    purpose: 'no caches: every load and store is recorded',
    l1: NONE,
    l2: NONE,
    llc: NONE,
    lineBytes: 64,
  },
];

/** Errors: UserError with the list of names. */
export function findCachePreset(name: string): CachePreset {
  const preset = CACHE_PRESETS.find((candidate) => candidate.name === name);
  if (preset !== undefined) return preset;
  const names = CACHE_PRESETS.map((candidate) => candidate.name).join(', ');
  throw new UserError(`--cache ${name}`, 'no such preset', `one of ${names}`);
}

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['k', KIB],
  ['m', MIB],
]);

/**
 * "32k:8" = 32 KiB in 8 ways, "0" = this level is absent.
 * Errors: UserError that names `option`.
 */
export function parseCacheShape(option: string, text: string): CacheShape {
  if (text === '0') return NONE;
  const match = /^(\d+)([km]?)(?:i?b)?:(\d+)$/i.exec(text);
  const unit = UNITS.get((match?.[2] ?? '').toLowerCase());
  if (match === null || unit === undefined) {
    throw new UserError(`${option} ${text}`, 'is no cache', 'SIZE:WAYS, such as 2m:16, or 0');
  }
  return { sizeBytes: Number(match[1]) * unit, ways: Number(match[3]) };
}

/** Errors: UserError for a level whose sets are not a power of two, or for an unusual line. */
export function checkCacheSetup(setup: CacheSetup): CacheSetup {
  const line = setup.lineBytes;
  if (![32, 64, 128, 256].includes(line)) {
    throw new UserError(`--line ${line}`, 'is no line size', '32, 64, 128 or 256 bytes');
  }
  for (const name of ['l1', 'l2', 'llc'] as const) {
    const { sizeBytes, ways } = setup[name];
    if (sizeBytes === 0) continue;
    const sets = sizeBytes / ways / line;
    if (ways > 0 && ways <= 64 && Number.isInteger(Math.log2(sets)) && sets >= 1) continue;
    throw new UserError(
      `--${name} ${sizeBytes}:${ways}`,
      `${sizeBytes} bytes in ${ways} ways of ${line}-byte lines make ${sets} sets`,
      'the number of sets has to be a power of two, with at most 64 ways',
    );
  }
  return setup;
}

/** The levels as a trace's header names them, innermost first. */
export function cacheLevels(setup: CacheSetup): CacheLevel[] {
  const levels: CacheLevel[] = [];
  for (const name of ['l1', 'l2', 'llc'] as const) {
    const { sizeBytes, ways } = setup[name];
    if (sizeBytes === 0) continue;
    const label = { l1: 'L1d', l2: 'L2', llc: 'LLC' }[name];
    levels.push({
      name: label,
      sizeBytes,
      ways,
      lineBytes: setup.lineBytes,
      shared: name === 'llc',
    });
  }
  return levels;
}

/** The plugin's arguments for `setup` (native/hetmemTrace.c: parseOption). */
export function pluginCacheOptions(setup: CacheSetup): string {
  const shape = ({ sizeBytes, ways }: CacheShape) =>
    sizeBytes === 0 ? '0' : `${sizeBytes}:${ways}`;
  const { l1, l2, llc } = setup;
  const shift = Math.log2(setup.lineBytes);
  return `l1=${shape(l1)},l2=${shape(l2)},llc=${shape(llc)},lineshift=${shift}`;
}
