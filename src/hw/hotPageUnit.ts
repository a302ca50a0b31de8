/**
 * The hot page monitoring unit of a CXL memory device (CHMU; CXL 3.2, HS-51..HS-58): counters for
 * units of device memory, and a ring of those that were hot.
 *
 * Epoch mode: counters start at 0 and saturate; at the end of an epoch each unit that reached the
 * threshold goes into the ring with its count, in order of address. Always-on mode: a unit goes
 * into the ring when it reaches the threshold, and its counter starts again. A full ring drops
 * entries and says so (overflow). Ranges of 256 MiB that are not chosen are not counted.
 *
 * Entries are numbers: index * 2^width + count, exact below 2^53 (HS-56).
 *
 * Not modelled: registers at their offsets and interrupts, the reader polls; epochs that begin with
 * a counter's first access (type 1); random down-sampling; operations that take time (HS-58: busy);
 * trusted execution's own kinds of accesses.
 */
import { assert } from '../base/assert.ts';
import type { Bytes, Nanoseconds } from '../base/units.ts';
import { EINVAL } from '../uapi/errno.ts';

export const CHMU_EPOCH = 0;
export const CHMU_ALWAYS_ON = 1;

/** Bits of accessKinds. */
export const CHMU_READS = 1;
export const CHMU_WRITES = 2;

/** Bytes that one bit of the range bitmap stands for. */
const RANGE_BYTES = 256 * 1024 * 1024;
/** Epoch scales by code, from 1 (HS-53). */
const EPOCH_SCALES: readonly Nanoseconds[] = [100e3, 1e6, 10e6, 100e6, 1e9];
const MULTIPLIER_MAX = 4095;

export interface HotPageCapabilities {
  readonly deviceBytes: Bytes;
  /** Entries of the ring, one of which stays empty. */
  readonly hotlistSize: number;
  /** Bits of a counter, at most 32. */
  readonly counterWidth: number;
  /** Largest down-sampling: log2 of the factor. */
  readonly downsampleMax: number;
  readonly epochMinNs: Nanoseconds;
  readonly epochMaxNs: Nanoseconds;
}

export interface HotPageConfig {
  /** CHMU_EPOCH or CHMU_ALWAYS_ON. */
  readonly mode: number;
  /** A power of two, 256 to 256 MiB. */
  readonly unitBytes: Bytes;
  readonly threshold: number;
  /** log2: one access in so many counts. */
  readonly downsample: number;
  /** CHMU_READS | CHMU_WRITES. */
  readonly accessKinds: number;
  /** HS-53: scale code and multiplier. */
  readonly epochScale: number;
  readonly epochMultiplier: number;
}

/** Scale and multiplier of the epoch length nearest to `ns` that registers can hold. HS-53. */
export function epochRegister(ns: Nanoseconds): { scale: number; multiplier: number } {
  for (const [i, scaleNs] of EPOCH_SCALES.entries()) {
    const multiplier = Math.max(1, Math.round(ns / scaleNs));
    if (multiplier <= MULTIPLIER_MAX) return { scale: i + 1, multiplier };
  }
  return { scale: EPOCH_SCALES.length, multiplier: MULTIPLIER_MAX };
}

/** Length of an epoch; 0 for a scale that does not exist. */
export function epochNs(scale: number, multiplier: number): Nanoseconds {
  return (EPOCH_SCALES[scale - 1] ?? 0) * multiplier;
}

export class HotPageUnit {
  readonly capabilities: HotPageCapabilities;
  /** null = not enabled. */
  #config: HotPageConfig | null = null;
  /** Unit -> downsampled accesses of the epoch. */
  #counters: Uint32Array = new Uint32Array(0);
  /** Range of 256 MiB -> 1 if counted. */
  readonly #ranges: Uint8Array;
  #rangeShift = 0;
  #downsampleMask = 0;
  #kinds = 0;
  #threshold = 0;
  #isAlwaysOn = false;
  /** Where counters saturate. */
  readonly #countMax: number;
  /** Accesses since the last one that counted. */
  #skipped = 0;
  readonly #ring: Float64Array;
  #head = 0;
  #tail = 0;
  /** Status bit: entries were dropped since it was cleared. */
  hasOverflowed = false;
  dropped = 0;

  constructor(capabilities: HotPageCapabilities) {
    const { counterWidth, hotlistSize, deviceBytes } = capabilities;
    assert(counterWidth >= 1 && counterWidth <= 32 && hotlistSize >= 2, 'a hot page unit');
    this.capabilities = capabilities;
    this.#countMax = powerOfTwo(counterWidth) - 1;
    this.#ring = new Float64Array(hotlistSize);
    this.#ranges = new Uint8Array(Math.ceil(deviceBytes / RANGE_BYTES)).fill(1);
  }

  /** Starts counting: 0, or -EINVAL for what it cannot do (HS-58) or while it is enabled. */
  enable(config: HotPageConfig): number {
    const { deviceBytes, downsampleMax, epochMinNs, epochMaxNs } = this.capabilities;
    if (this.#config !== null) return -EINVAL;
    const log = log2(config.unitBytes);
    if (log < 8 || log > 28) return -EINVAL;
    if (config.mode !== CHMU_EPOCH && config.mode !== CHMU_ALWAYS_ON) return -EINVAL;
    if (config.downsample < 0 || config.downsample > downsampleMax) return -EINVAL;
    if (config.accessKinds < 1 || config.accessKinds > (CHMU_READS | CHMU_WRITES)) return -EINVAL;
    const lengthNs = epochNs(config.epochScale, config.epochMultiplier);
    const isEpoch = config.mode === CHMU_EPOCH;
    if (isEpoch && (lengthNs < epochMinNs || lengthNs > epochMaxNs)) return -EINVAL;
    this.#config = config;
    this.#counters = new Uint32Array(Math.ceil(deviceBytes / config.unitBytes));
    this.#rangeShift = Math.max(0, 28 - log);
    this.#downsampleMask = powerOfTwo(config.downsample) - 1;
    this.#kinds = config.accessKinds;
    this.#threshold = Math.max(1, config.threshold);
    this.#isAlwaysOn = !isEpoch;
    return 0;
  }

  /** Every access counts, and counts one, until the end of the epoch: their order is no matter. */
  get isPlain(): boolean {
    const all = CHMU_READS | CHMU_WRITES;
    const isAll = this.#kinds === all && this.#downsampleMask === 0 && !this.#isAlwaysOn;
    return isAll && !this.#ranges.includes(0);
  }

  /** Counters are lost, the ring stays. */
  disable(): void {
    this.#config = null;
    this.#counters = new Uint32Array(0);
  }

  /** Empties the ring. */
  reset(): void {
    this.#head = 0;
    this.#tail = 0;
    this.hasOverflowed = false;
  }

  /** Range bitmap: whether 256 MiB of DPA from `range` * 256 MiB on are counted. */
  setRange(range: number, isCounted: boolean): void {
    this.#ranges[range] = isCounted ? 1 : 0;
  }

  /** `n` accesses to a unit. Preconditions: enabled. */
  count(unit: number, n: number, isWrite: number): void {
    if ((this.#kinds & (1 << isWrite)) === 0 || this.#ranges[unit >>> this.#rangeShift] === 0) {
      return;
    }
    let hits = n;
    if (this.#downsampleMask !== 0) {
      const sum = this.#skipped + n;
      this.#skipped = sum & this.#downsampleMask;
      hits = (sum - this.#skipped) / (this.#downsampleMask + 1);
    }
    const sum = this.#counters[unit] + hits;
    const next = Math.min(sum, this.#countMax);
    this.#counters[unit] = next;
    if (this.#isAlwaysOn && next >= this.#threshold) {
      this.#counters[unit] = 0;
      this.#append(unit, next);
    }
  }

  /** The end of an epoch, for the device's own clock. */
  endEpoch(): void {
    if (this.#isAlwaysOn) return;
    const counters = this.#counters;
    for (let unit = 0; unit < counters.length; unit++) {
      if (counters[unit] >= this.#threshold) this.#append(unit, counters[unit]);
    }
    counters.fill(0);
  }

  /** HS-57. */
  #append(unit: number, count: number): void {
    const next = this.#tail + 1 === this.#ring.length ? 0 : this.#tail + 1;
    if (next === this.#head) {
      this.dropped++;
      this.hasOverflowed = true;
      return;
    }
    this.#ring[this.#tail] = unit * (this.#countMax + 1) + count;
    this.#tail = next;
  }

  /** Entries that wait to be read. */
  get nrWaiting(): number {
    return (this.#tail - this.#head + this.#ring.length) % this.#ring.length;
  }

  /** Takes the oldest entry. Preconditions: one waits. */
  take(): number {
    assert(this.#head !== this.#tail, 'an entry of an empty hot list');
    const entry = this.#ring[this.#head];
    this.#head = this.#head + 1 === this.#ring.length ? 0 : this.#head + 1;
    return entry;
  }

  unitOf(entry: number): number {
    return Math.floor(entry / (this.#countMax + 1));
  }

  countOf(entry: number): number {
    return entry % (this.#countMax + 1);
  }
}

function powerOfTwo(exponent: number): number {
  let power = 1;
  for (let n = 0; n < exponent; n++) power *= 2;
  return power;
}

/** Exponent of a power of two, -1 for other numbers. */
function log2(value: number): number {
  let log = 0;
  let power = 1;
  for (; power < value; power *= 2) log++;
  return power === value ? log : -1;
}
